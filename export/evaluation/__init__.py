"""Evaluation of a bundle: metrics, baseline, figures and model card."""
