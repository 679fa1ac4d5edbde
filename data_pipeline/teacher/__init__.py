"""Collects monologues from other models and accepts those that agree with the run."""
