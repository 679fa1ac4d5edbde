"""Turns records into training batches: tokenizes, plans packs by index, feeds grain."""
