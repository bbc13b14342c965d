"""Values that the command line and the library share, where importing them costs nothing."""

BATCH_TOKENS = 16384
"""Padded tokens of a batch on CUDA."""

MAX_RECORD_BYTES = 10_000_000
"""A longer record is rejected."""
