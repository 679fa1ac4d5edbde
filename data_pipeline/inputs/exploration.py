"""The search for inputs: run, look at the coverage, mutate what was worth it, run again."""

from data_pipeline.execution.service import Limits, Sandbox
from data_pipeline.inputs.case import Explored
from data_pipeline.seeds import Seed

# Of one run while exploring: what is to be told step by step takes milliseconds.
EXPLORATION_LIMITS = Limits(cpu_seconds=1.0, memory_bytes=256 << 20, output_bytes=1 << 16)


def cases(seed: Seed, sandbox: Sandbox, *, limit: int = 8, random_seed: int = 0) -> Explored:
    """At most `limit` kept runs of a seed, by the same `random_seed` always the same."""
    raise NotImplementedError
