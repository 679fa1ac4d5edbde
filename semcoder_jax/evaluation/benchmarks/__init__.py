"""Benchmarks, one per file: tasks, prompts and rules of judging (see `harness.Benchmark`)."""
