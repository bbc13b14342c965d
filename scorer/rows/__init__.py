"""Bytes to records, and scored rows to bytes; one module a format."""
