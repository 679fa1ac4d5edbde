"""Generates the quickstart's corpus: small random functions and a tokenizer for them."""
