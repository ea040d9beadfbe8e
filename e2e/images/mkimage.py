#!/usr/bin/env python3
"""Writes a container image of a few programs and the shared libraries they link.

The archive is an OCI image layout for containerd, kind and skopeo. It is a `docker load` archive as well: manifest.json
names the same blobs, and Docker engines without the containerd image store read nothing else.

Needs nothing but Python: the image has one layer and no base image. The same input gives the same digest, because
times and owners are constants and the layer is not compressed. A file that would not change is not written again.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # machine name -> the name that images use
OCI = "application/vnd.oci.image"


class File(NamedTuple):
    content: bytes
    mode: int


def main() -> None:
    options = parse_options()
    files = {}
    for binary in options.binary:
        files[f"usr/bin/{binary.name}"] = File(binary.read_bytes(), 0o755)
        for library in linked_libraries(binary):
            # The dynamic loader is executed, and so needs its x bit.
            files[str(library).lstrip("/")] = File(library.read_bytes(), 0o755)
    for source, destination, mode in options.file:
        files[destination] = File(source.read_bytes(), mode)
    files["etc/passwd"] = File(b"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n", 0o644)
    files["etc/group"] = File(b"root:x:0:\nnonroot:x:65532:\n", 0o644)
    files["etc/nsswitch.conf"] = File(b"hosts: files\n", 0o644)

    archive = image_archive(options.name, layer_of(files), options.entrypoint, options.user)
    unchanged = options.out.exists() and options.out.read_bytes() == archive
    if not unchanged:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        scratch = options.out.with_suffix(f".{os.getpid()}")
        scratch.write_bytes(archive)
        scratch.replace(options.out)
    print(f"{options.name}: {len(archive) / 1e6:.1f} MB, {len(files)} files{', unchanged' if unchanged else ''}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, metavar="NAME:TAG")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE")
    parser.add_argument("--binary", required=True, type=Path, nargs="+", metavar="PATH",
                        help="goes to /usr/bin, the libraries it links to where the dynamic loader finds them")
    parser.add_argument("--file", type=extra_file, nargs="*", default=[], metavar="SOURCE:DESTINATION[:MODE]")
    parser.add_argument("--entrypoint", nargs="+", metavar="WORD", help="default: the first binary")
    parser.add_argument("--user", default="65532", help="default: %(default)s (nonroot)")
    options = parser.parse_args()
    options.entrypoint = options.entrypoint or [f"/usr/bin/{options.binary[0].name}"]
    return options


def extra_file(text: str) -> tuple[Path, str, int]:
    source, destination, *mode = text.split(":")
    return Path(source), destination.lstrip("/"), int(mode[0], 8) if mode else 0o644


def linked_libraries(binary: Path) -> list[Path]:
    """All shared libraries, the indirect ones and the dynamic loader included; none for a static binary."""
    ldd = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    if ldd.returncode != 0 or "statically linked" in ldd.stdout:
        if ldd.returncode == 0 or "not a dynamic executable" in ldd.stdout + ldd.stderr:
            return []
        sys.exit(f"mkimage: ldd {binary}: {ldd.stderr.strip()}")
    if missing := re.findall(r"(\S+) => not found", ldd.stdout):
        sys.exit(f"mkimage: {binary} links libraries that this machine lacks: {', '.join(missing)}")
    # "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)" and "/lib64/ld-linux-x86-64.so.2 (0x...)"
    return sorted(Path(path) for path in re.findall(r"(?:^\s*|=> )(/\S+) \(0x", ldd.stdout, re.MULTILINE))


def layer_of(files: dict[str, File]) -> bytes:
    directories = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."} | {"tmp"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as layer:
        for path in sorted(directories):
            add_directory(layer, path, 0o1777 if path == "tmp" else 0o755)
        for path, file in sorted(files.items()):
            add_file(layer, path, file)
    return buffer.getvalue()


def image_archive(name: str, layer: bytes, entrypoint: list[str], user: str) -> bytes:
    target = {"architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux"}
    config = encode({
        **target,
        "config": {"Entrypoint": entrypoint, "User": user, "WorkingDir": "/", "Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        "history": [{"created_by": "mkimage"}],
    })
    manifest = encode({
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": descriptor(f"{OCI}.config.v1+json", config),
        "layers": [descriptor(f"{OCI}.layer.v1.tar", layer)],
    })
    named = descriptor(f"{OCI}.manifest.v1+json", manifest) | {
        "platform": target,
        "annotations": {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rpartition(":")[2],
        },
    }
    index = encode({"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [named]})
    docker = encode([{"Config": blob_path(config), "RepoTags": [name], "Layers": [blob_path(layer)]}])

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        add_file(archive, "oci-layout", File(encode({"imageLayoutVersion": "1.0.0"}), 0o644))
        add_file(archive, "index.json", File(index, 0o644))
        add_file(archive, "manifest.json", File(docker, 0o644))
        for directory in ("blobs", "blobs/sha256"):
            add_directory(archive, directory, 0o755)
        for blob in (manifest, config, layer):
            add_file(archive, blob_path(blob), File(blob, 0o644))
    return buffer.getvalue()


def descriptor(media_type: str, blob: bytes) -> dict:
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob)}


def blob_path(blob: bytes) -> str:
    return "blobs/" + digest(blob).replace(":", "/")


def digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def encode(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def add_file(archive: tarfile.TarFile, path: str, file: File) -> None:
    entry = tarfile.TarInfo(path)  # owner root, time zero
    entry.size, entry.mode = len(file.content), file.mode
    archive.addfile(entry, io.BytesIO(file.content))


def add_directory(archive: tarfile.TarFile, path: str, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


if __name__ == "__main__":
    main()
