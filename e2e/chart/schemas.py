#!/usr/bin/env python3
"""Writes JSON schemas for kubeconform from the OpenAPI document of the pinned Kubernetes version.

Usage: schemas.py SWAGGER.JSON FOLDER

One small file a kind, named as kubeconform looks it up, refers into one file with all definitions. They are strict:
a field that the API does not know is an error.
"""

import json
import sys
from pathlib import Path

DEFINITIONS = "definitions.json"

# Written as text or as a number; the OpenAPI document says text only.
TEXT_OR_NUMBER = {"io.k8s.apimachinery.pkg.api.resource.Quantity": "number",
                  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "integer"}


def main(swagger: Path, folder: Path) -> None:
    definitions = {name: strict(schema) for name, schema in json.loads(swagger.read_bytes())["definitions"].items()}
    for name, number in TEXT_OR_NUMBER.items():
        definitions[name] = {"type": ["string", number]}
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / DEFINITIONS, {"definitions": definitions})
    for name, schema in definitions.items():
        kinds = schema.get("x-kubernetes-group-version-kind", [])
        if len(kinds) == 1:  # DeleteOptions and the like belong to every group
            write(folder / file_name(**kinds[0]), {"$ref": f"{DEFINITIONS}#/definitions/{name}"})


def strict(schema: dict) -> dict:
    """Forbids properties that are not declared, at every level."""
    if "properties" in schema:
        schema = {"additionalProperties": False} | schema
        schema["properties"] = {name: strict(child) for name, child in schema["properties"].items()}
    if isinstance(schema.get("items"), dict):
        schema = schema | {"items": strict(schema["items"])}
    return schema


def file_name(group: str, version: str, kind: str) -> str:
    """kubeconform's {{.ResourceKind}}{{.KindSuffix}}: of the group it takes only what stands before the first dot."""
    return "-".join(part for part in (kind.lower(), group.split(".")[0], version.lower()) if part) + ".json"


def write(path: Path, document: dict) -> None:
    path.write_text(json.dumps(document))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
