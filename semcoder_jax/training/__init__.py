"""Training: the loop, its step, its state and its data."""
