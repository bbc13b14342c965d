"""Values that the command line and the library share, where importing them costs nothing."""

BATCH_TOKENS = 32768
"""Padded tokens of a batch on CUDA, where neither the command line nor the bundle says otherwise."""

ARENA_STRATEGY = "same-as-requested"
"""How onnxruntime's memory on a GPU grows; the other way is ``next-power-of-two``."""

MAX_RECORD_BYTES = 10_000_000
"""A longer record is rejected."""
