"""Bundles written, read back and checked."""
