"""One file a benchmark: its tasks, prompts, and how answers are judged (see `flow.Benchmark`)."""
