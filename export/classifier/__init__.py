"""The numerics trained on top of an encoder."""
