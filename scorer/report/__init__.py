"""A run in numbers and pages, and two outputs compared."""
