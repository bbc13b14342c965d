"""Readers from bytes to records, and writers from scored rows to bytes; one module for each format."""
