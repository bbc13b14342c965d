"""The classifier in ONNX, and the parity gate."""
