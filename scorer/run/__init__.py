"""One `score`: options to published files."""
