"""Training: labelled texts to a bundle."""
