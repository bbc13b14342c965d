"""Numbers and pages of a run, and comparisons of two outputs."""
