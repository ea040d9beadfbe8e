"""etcd and kube-apiserver on loopback, and what the kernel counts of a process: shared by the benchmarks beside this file."""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator, NamedTuple

CHECKOUT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", CHECKOUT / "target"))


class ControlPlane(NamedTuple):
    """A running one."""

    kubeconfig: Path  # of an administrator
    etcd: int  # process
    apiserver: int  # process


class Look(NamedTuple):
    """What the kernel counted of a process so far."""

    resident: float  # MB
    cpu: float  # seconds
    wakeups: int


@contextlib.contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """etcd and kube-apiserver on loopback with the CRDs and a Node."""
    cluster = CHECKOUT / "e2e/cluster/cluster"
    found = subprocess.run([cluster, "program", "kube-apiserver"], capture_output=True, text=True, check=True)
    programs = Path(found.stdout.strip()).parent
    require(programs / "kube-apiserver", "make setup")
    client, peer, port, token = free_port(), free_port(), free_port(), secrets.token_hex(16)
    key = folder / "service-accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    tokens = folder / "tokens"
    tokens.write_text(f"{token},admin,admin,system:masters\n")
    etcd = [
        programs / "etcd", f"--data-dir={folder}/etcd", "--unsafe-no-fsync", "--log-level=warn",
        f"--listen-client-urls=http://127.0.0.1:{client}", f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
    ]  # fmt: skip
    server = [
        programs / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{client}", "--bind-address=127.0.0.1",
        f"--secure-port={port}", f"--cert-dir={folder}/certificates", f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount",
        "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.0.0.0/24",
    ]  # fmt: skip
    with running(etcd, folder / "etcd.log") as storage, running(server, folder / "apiserver.log") as apiserver:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}}],
            "users": [{"name": "bench", "user": {"token": token}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        }))  # fmt: skip
        kubectl = [programs / "kubectl", f"--kubeconfig={kubeconfig}"]

        def done(*arguments: str, given: str | None = None) -> bool:
            return subprocess.run([*kubectl, *arguments], input=given, capture_output=True, text=True).returncode == 0

        eventually(lambda: done("get", "--raw=/readyz"), "the API server is ready", folder / "apiserver.log")
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "bench"}}
        crds = ["apply", "--server-side", *(f"--filename={crd}" for crd in (CHECKOUT / "crds").glob("*.yaml"))]
        eventually(lambda: done(*crds), "the CRDs are installed", folder / "apiserver.log")
        eventually(lambda: done("apply", "--filename=-", given=json.dumps(node)), "there is a Node", folder / "apiserver.log")
        served = ["wait", "--for=condition=Established", "crd/resourcepersonas.foreshift.dev", "--timeout=30s"]
        eventually(lambda: done(*served), "personas are served", folder / "apiserver.log")
        yield ControlPlane(kubeconfig, storage, apiserver)


@contextlib.contextmanager
def running(command: list, log: Path, environment: dict[str, str] | None = None) -> Iterator[int]:
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=output, stderr=output, env={**os.environ, **(environment or {})}
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def look(pid: int) -> Look:
    """Sums over all threads; the kernel's own nanoseconds where it keeps them, else its ticks."""
    process = Path(f"/proc/{pid}")
    resident = re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())
    nanoseconds, wakeups = 0, 0
    for task in process.glob("task/*"):
        nanoseconds += int((task / "schedstat").read_text().split()[0])
        wakeups += int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text())[1])
    if nanoseconds == 0:
        fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
        nanoseconds = (int(fields[11]) + int(fields[12])) * 10**9 // os.sysconf("SC_CLK_TCK")
    return Look(int(resident[1]) / 1024, nanoseconds / 1e9, wakeups)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def require(path: Path, advice: str) -> None:
    if not path.exists():
        sys.exit(f"{path} is missing: {advice}")


def eventually(condition, what: str, log: Path) -> None:
    for _ in range(120):
        if condition():
            return
        time.sleep(0.5)
    sys.exit(f"not within a minute: {what}. The end of the log:\n{log.read_text()[-2000:]}")
