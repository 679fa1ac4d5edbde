"""Benchmarks generated, scored and reported."""
