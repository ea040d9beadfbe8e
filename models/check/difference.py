"""Prints the largest relative difference between onnxruntime's answers and the golden vectors of the shipped model."""

from test_load import LEAST_LOAD, MANIFEST, MODELS

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(MODELS / "load.onnx", providers=["CPUExecutionProvider"])
worst = 0.0
for golden in MANIFEST["golden"]:
    window = np.array(golden["input"], dtype=np.float32).reshape(1, MANIFEST["window"], 1)
    (answer,) = session.run(["quantiles"], {"window": window})
    expected = np.array(golden["output"])
    worst = max(worst, np.max(np.abs(answer.ravel() - expected) / np.maximum(np.abs(expected), LEAST_LOAD)))
print(worst)
