"""Engines that compute logits from token ids."""
