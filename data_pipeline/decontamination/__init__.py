"""Finds overlap with benchmarks and near-duplicates within a corpus."""
