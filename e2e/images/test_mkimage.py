#!/usr/bin/env python3
"""Reads archives of mkimage.py as containerd and as `docker load` do; needs neither. Usage: test_mkimage.py"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

MKIMAGE = Path(__file__).with_name("mkimage.py")
NAME = "foreshift.dev/example:dev"


class Archive(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.archive = make()
        with tarfile.open(fileobj=io.BytesIO(cls.archive)) as tar:
            cls.members = tar.getmembers()
            cls.files = {member.name: tar.extractfile(member).read() for member in cls.members if member.isfile()}
        cls.index = json.loads(cls.files["index.json"])
        [cls.docker] = json.loads(cls.files["manifest.json"])

    def test_containerd_finds_the_image_by_its_name(self) -> None:
        self.assertEqual(json.loads(self.files["oci-layout"]), {"imageLayoutVersion": "1.0.0"})
        [named] = self.index["manifests"]
        self.assertEqual(named["annotations"]["io.containerd.image.name"], NAME)
        self.assertEqual(named["annotations"]["org.opencontainers.image.ref.name"], "dev")
        manifest = json.loads(self.blob(named))
        config = json.loads(self.blob(manifest["config"]))
        self.assertEqual([layer["digest"] for layer in manifest["layers"]], config["rootfs"]["diff_ids"])
        for layer in manifest["layers"]:
            self.blob(layer)

    def test_docker_load_finds_the_same_blobs(self) -> None:
        self.assertEqual(self.docker["RepoTags"], [NAME])
        config = json.loads(self.files[self.docker["Config"]])
        layers = [self.files[path] for path in self.docker["Layers"]]
        self.assertEqual([digest(layer) for layer in layers], config["rootfs"]["diff_ids"])
        self.assertEqual((config["os"], bool(config["architecture"])), ("linux", True))

    def test_every_blob_is_listed_once_under_its_digest(self) -> None:
        names = [member.name for member in self.members]
        self.assertEqual(len(names), len(set(names)))
        blobs = {name: blob for name, blob in self.files.items() if name.startswith("blobs/")}
        self.assertEqual(len(blobs), 3)
        for name, blob in blobs.items():
            self.assertEqual(name, "blobs/" + digest(blob).replace(":", "/"))

    def test_the_layer_holds_the_program_which_runs_as_a_non_root_user(self) -> None:
        config = json.loads(self.files[self.docker["Config"]])["config"]
        self.assertEqual((config["Entrypoint"], config["User"]), (["/usr/bin/program"], "65532"))
        with tarfile.open(fileobj=io.BytesIO(self.files[self.docker["Layers"][0]])) as layer:
            program = layer.getmember("usr/bin/program")
        self.assertEqual((program.mode, program.uid, program.mtime), (0o755, 0, 0))

    def test_the_same_input_makes_the_same_bytes(self) -> None:
        self.assertEqual(make(), self.archive)

    def blob(self, descriptor: dict) -> bytes:
        blob = self.files["blobs/" + descriptor["digest"].replace(":", "/")]
        self.assertEqual((digest(blob), len(blob)), (descriptor["digest"], descriptor["size"]))
        return blob


def make() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        program, out = Path(folder, "program"), Path(folder, "image.tar")
        program.write_text("#!/bin/sh\n")
        command = [sys.executable, MKIMAGE, "--name", NAME, "--out", out, "--binary", program]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return out.read_bytes()


def digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


if __name__ == "__main__":
    unittest.main()
