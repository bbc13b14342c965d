"""A pretrained encoder: its weights, tokenizer and pooled vectors."""
