#!/usr/bin/env python3
"""Measures what journal entries cost: sends real log lines, as batches of 100 B to 1 MiB, to real receivers on
loopback, one at a time, and reads the CPU time that each took from /proc/PID/task/*/schedstat.

Receivers: systemd-journal-remote (journal export format over HTTP), and indexer.py, whose steps are heavier. Both run
under a CPU quota if this may make a cgroup. The result is a CSV for `foreshift-predictor evaluate-impact`.

    models/record/record.py --count 4000 --out models/impact.csv.gz
"""

import argparse
import contextlib
import csv
import gzip
import http.client
import io
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
JOURNAL_REMOTE = "/usr/lib/systemd/systemd-journal-remote"
LOGS = ["/var/log/dpkg.log", "/var/log/alternatives.log", "/var/log/apt/term.log", "/var/log/apt/history.log"]
SMALLEST, LARGEST = 100, 1 << 20
QUOTA = Path("/sys/fs/cgroup/cpu/foreshift-record")

# What each class does: destination, steps, and how its records look.
CLASSES = {
    "syslog": ("journal-remote", [], "few"),
    "audit": ("journal-remote", [], "many"),
    "trace": ("journal-remote", [], "binary"),
    "search": ("indexer", ["parse", "index"], "few"),
    "search-packed": ("indexer", ["unpack", "parse", "index"], "many"),
    "archive": ("indexer", ["gzip"], "few"),
    "archive-packed": ("indexer", ["unpack", "xz"], "few"),
    "cold-store": ("indexer", ["parse", "xz"], "many"),
    "full": ("indexer", ["unpack", "parse", "gzip", "index"], "binary"),
}


def sources(paths: list[str]) -> dict[str, list[str]]:
    """Lines by where they came from; every source with at least 50."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[Path(path).stem] = Path(path).read_text("utf-8", "replace").splitlines()
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        found["kernel"] = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout.splitlines()
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        lines = subprocess.run(["journalctl", "-o", "cat", "-n", "20000"], capture_output=True, text=True, check=True)
        found["journal"] = lines.stdout.splitlines()
    return {name: [line for line in lines if line.strip()] for name, lines in found.items() if len(lines) >= 50}


def record(message: str, source: str, number: int, look: str, rng: random.Random) -> bytes:
    """One record in journal export format."""
    now = time.time_ns() // 1000
    fields = [
        ("__REALTIME_TIMESTAMP", now), ("__MONOTONIC_TIMESTAMP", time.monotonic_ns() // 1000),
        ("_BOOT_ID", "0" * 31 + "1"), ("PRIORITY", rng.randint(3, 6)), ("SYSLOG_IDENTIFIER", source),
        ("_SYSTEMD_UNIT", f"{source}.service"),
    ]
    if look != "few":
        pid = rng.randint(300, 900)
        fields += [
            ("_PID", pid), ("_UID", pid % 5), ("_GID", pid % 5), ("_COMM", source), ("_EXE", f"/usr/bin/{source}"),
            ("_CMDLINE", f"/usr/bin/{source} --instance {pid % 7}"), ("_HOSTNAME", f"node-{pid % 3}"),
            ("_TRANSPORT", "stdout"), ("_STREAM_ID", f"{pid % 11:032x}"), ("_MACHINE_ID", "0" * 31 + "2"),
            ("REQUEST_ID", f"{rng.getrandbits(64):016x}"), ("SEQUENCE", number),
        ]
    lines = b"".join(f"{name}={value}\n".encode() for name, value in fields)
    if look == "binary":
        value = f"{message}\n  at {source}:{number}\n".encode() + rng.randbytes(12)
        return lines + b"MESSAGE\n" + len(value).to_bytes(8, "little") + value + b"\n\n"
    return lines + f"MESSAGE={message}\n\n".encode()


def batch(lines: list[str], source: str, size: int, look: str, rng: random.Random) -> bytes:
    at = rng.randrange(len(lines))
    parts, length = [], 0
    while length < size or not parts:
        parts.append(record(lines[(at + len(parts)) % len(lines)], source, len(parts), look, rng))
        length += len(parts[-1])
    return b"".join(parts)


def cpu_ns(pid: int) -> int:
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())


def quota(share: float) -> bool:
    """A cgroup with so many CPUs; false if this machine does not let us."""
    try:
        QUOTA.mkdir(exist_ok=True)
        (QUOTA / "cpu.cfs_period_us").write_text("100000")
        (QUOTA / "cpu.cfs_quota_us").write_text(str(int(share * 100_000)))
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(port: int, path: str, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body, {"content-type": "application/vnd.fdo.journal", **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def start(folder: Path) -> dict[str, tuple[subprocess.Popen, int]]:
    port = free_port()
    remote = subprocess.Popen(
        [JOURNAL_REMOTE, f"--listen-http=127.0.0.1:{port}", f"--output={folder}/remote.journal", "--split-mode=none"],
        stderr=subprocess.DEVNULL)
    indexer = subprocess.Popen([sys.executable, HERE / "indexer.py", folder / "index.db"], stdout=subprocess.PIPE)
    assert indexer.stdout is not None
    index_port = int(indexer.stdout.readline())
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            break
        time.sleep(0.1)
    return {"journal-remote": (remote, port), "indexer": (indexer, index_port)}


def measure(count: int, receivers: dict, logs: dict[str, list[str]], seed: int) -> list[list]:
    rng, rows, began = random.Random(seed), [], time.monotonic()
    names = sorted(logs)
    for number in range(count):
        kind = rng.choice(list(CLASSES))
        destination, steps, look = CLASSES[kind]
        source = names[min(int(rng.expovariate(0.6)), len(names) - 1)]
        size = int(math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST))))
        body = batch(logs[source], source, size, look, rng)
        body = gzip.compress(body, 1) if "unpack" in steps else body
        process, port = receivers[destination]
        before, at = cpu_ns(process.pid), time.monotonic()
        status = post(port, "/upload", body, {"x-steps": ",".join(steps)})
        spent = cpu_ns(process.pid) - before
        if status != 202:
            raise SystemExit(f"{destination} answered {status} to entry {number} of class {kind}")
        rows.append([int((at - began) * 1000), kind, source, destination, len(body), 1 + len(steps),
                     f"{spent / 1e6:.3f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=HERE.parent / "impact.csv.gz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quota", type=float, default=0.5, help="CPUs for the receivers")
    parser.add_argument("--log", action="append", help="a log file to take lines from, instead of the system's")
    arguments = parser.parse_args()
    logs = sources(arguments.log or LOGS)
    if not logs:
        raise SystemExit("no log with 50 lines was found; name some with --log")
    limited = quota(arguments.quota)
    with tempfile.TemporaryDirectory() as folder:
        receivers = start(Path(folder))
        try:
            if limited:
                for process, _ in receivers.values():
                    (QUOTA / "cgroup.procs").write_text(str(process.pid))
            rows = measure(arguments.count, receivers, logs, arguments.seed)
        finally:
            for process, _ in receivers.values():
                process.terminate()
                process.wait(timeout=10)
            if limited:
                QUOTA.rmdir()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["timestamp_ms", "class", "source", "destination", "bytes", "steps", "cost_ms"])
    writer.writerows(rows)
    # Without a time of its own, so that equal rows give equal bytes.
    arguments.out.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))
    print(f"{len(rows)} entries from {', '.join(sorted(logs))}; quota {arguments.quota if limited else 'none'}; "
          f"wrote {arguments.out} ({os.path.getsize(arguments.out)} bytes)")


if __name__ == "__main__":
    main()
