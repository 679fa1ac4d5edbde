"""Evaluation: generates answers to benchmarks, scores them and reports the results."""
