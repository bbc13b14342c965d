"""Files to records and scored rows to bytes; one module a format, one way to read and one to write."""
