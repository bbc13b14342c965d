"""Labelled texts to a bundle."""
