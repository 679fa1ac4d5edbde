"""PyX and PyX-R: the record, its prompts, and the dataset that holds it."""
