"""Figures of a bundle: metrics, baselines, the model card."""
