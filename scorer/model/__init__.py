"""A verified bundle, ready to score."""
