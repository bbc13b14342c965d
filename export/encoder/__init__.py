"""A pretrained encoder: weights, tokenizer, pooled vectors."""
