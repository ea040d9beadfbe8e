"""The shipped models in another runtime: onnxruntime must answer the golden vectors as tract does."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

MODELS = Path(__file__).resolve().parent.parent
MANIFEST = json.loads((MODELS / "load.json").read_text())
IMPACT = json.loads((MODELS / "impact.json").read_text())

RELATIVE_TOLERANCE = 1e-4
LEAST_LOAD = 0.1  # smaller loads are compared as if they were this large, as the operator does


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(MODELS / "load.onnx", options, providers=["CPUExecutionProvider"])


def test_the_file_is_valid_onnx_of_the_promised_operator_set() -> None:
    model = onnx.load(MODELS / "load.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", MANIFEST["opset"])]


@pytest.mark.parametrize("golden", MANIFEST["golden"], ids=lambda golden: golden["label"].replace(" ", "-"))
def test_onnxruntime_gives_the_golden_answer(session: onnxruntime.InferenceSession, golden: dict) -> None:
    window = np.array(golden["input"], dtype=np.float32).reshape(1, MANIFEST["window"], 1)
    (answer,) = session.run(["quantiles"], {"window": window})
    assert answer.shape == (1, len(MANIFEST["horizons"]) + 1, len(MANIFEST["quantiles"]))
    expected = np.array(golden["output"])
    allowed = RELATIVE_TOLERANCE * np.maximum(np.abs(expected), LEAST_LOAD)
    assert np.all(np.abs(answer.ravel() - expected) <= allowed)


def test_the_impact_model_answers_alike() -> None:
    onnx.checker.check_model(onnx.load(MODELS / "impact.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(MODELS / "impact.onnx", providers=["CPUExecutionProvider"])
    assert len(IMPACT["golden"]) >= 32
    for golden in IMPACT["golden"]:
        features = np.array(golden["input"], dtype=np.float32).reshape(1, -1)
        (answer,) = session.run(["quantiles"], {"features": features})
        expected = np.array(golden["output"])
        assert np.all(np.abs(answer.ravel() - expected) <= RELATIVE_TOLERANCE * np.maximum(np.abs(expected), 1.0))
