"""Encoders that PyTorch exports: families without a written graph, trained on and imported."""
