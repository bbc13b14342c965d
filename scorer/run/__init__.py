"""One run of `score`, from its options to its published files."""
