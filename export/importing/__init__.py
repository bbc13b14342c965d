"""Fine-tuned classifiers of others, brought into a bundle behind the same gates as those that are trained here."""
