"""Checks of finished outputs for `score-model verify`: files, rows and order, and a sample of rows scored again."""
