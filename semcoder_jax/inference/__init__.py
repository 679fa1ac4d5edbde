"""Sampling: the engine and its parts."""
