"""A journal service in Python that asks the entry router where its entries go. Usage: client.py ADDRESS PROTO_ROOT"""

import pathlib
import sys
import tempfile

import grpc
from grpc_tools import protoc

PROTO = "foreshift/router/v1/router.proto"


def stubs(root):
    """The published proto, compiled by Google's own compiler."""
    with tempfile.TemporaryDirectory() as out:
        arguments = [f"-I{root}", f"--python_out={out}", f"--grpc_python_out={out}", str(pathlib.Path(root) / PROTO)]
        assert protoc.main(["protoc", *arguments]) == 0
        sys.path.insert(0, out)
        from foreshift.router.v1 import router_pb2, router_pb2_grpc

        return router_pb2, router_pb2_grpc


def refused(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error.details(), dict(error.trailing_metadata() or ())
    raise AssertionError("the call was not refused")


def main(address, root):
    pb, services = stubs(root)
    entry = lambda route="shop/journal", **more: pb.AssignRequest(route=route, **{"class": "audit"}, bytes=512, **more)
    acknowledged = lambda ticket: pb.Outcome(ticket=ticket, result=pb.Outcome.ACKNOWLEDGED, service_seconds=0.01)
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=30)
        router = services.RouterStub(channel)

        one = router.Assign(entry(entry_id="e-1"), timeout=10)
        assert one.endpoints[0].count(":") == 1 and one.lease_seconds == 30, one
        assert router.Assign(entry(entry_id="e-1"), timeout=10).ticket == one.ticket, "the same entry, assigned once"
        report = router.Report(pb.ReportRequest(outcomes=[acknowledged(one.ticket)]), timeout=10)
        assert not report.unknown_tickets, report
        again = router.Report(pb.ReportRequest(outcomes=[acknowledged(one.ticket)]), timeout=10)
        assert list(again.unknown_tickets) == [one.ticket], again

        batch = router.AssignBatch(pb.AssignBatchRequest(entries=[entry(), entry("shop/unknown"), entry("nonsense")]), timeout=10)
        kinds = [result.WhichOneof("result") for result in batch.results]
        assert kinds == ["assigned", "refusal", "refusal"], kinds
        assert batch.results[1].refusal.reason == pb.Refusal.UNKNOWN_ROUTE
        assert batch.results[2].refusal.reason == pb.Refusal.INVALID

        streamed = list(router.AssignStream((entry() for _ in range(100)), timeout=30))
        assert len({result.assigned.ticket for result in streamed}) == 100

        code, details, _ = refused(lambda: router.Assign(entry("shop/unknown"), timeout=10))
        assert code == grpc.StatusCode.NOT_FOUND and "NAMESPACE/NAME" in details, details
        code, _, metadata = refused(lambda: router.Assign(entry("shop/full"), timeout=10))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and metadata["retry-after"] == "2", metadata
        many = pb.AssignBatchRequest(entries=[entry()] * 1025)
        assert refused(lambda: router.AssignBatch(many, timeout=10))[0] == grpc.StatusCode.INVALID_ARGUMENT


if __name__ == "__main__":
    main(*sys.argv[1:])
