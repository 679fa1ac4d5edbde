"""Compares two evaluations, task by task, on the benchmarks that both contain."""

from collections.abc import Sequence

from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.results import EvaluationRun, outcomes_by_task
from semcoder_jax.evaluation.statistics import Comparison, compare


class ComparisonError(UserError):
    """Raised for two results without a common benchmark, variant and mode."""


def compare_runs(
    a: Sequence[EvaluationRun], b: Sequence[EvaluationRun]
) -> list[tuple[tuple[str, ...], Comparison]]:
    """Compares each (benchmark, variant, mode) of both runs on their common tasks.

    Raises ComparisonError if the runs have none in common.
    """
    found = []
    for run_a in a:
        for run_b in b:
            if run_a.name != run_b.name:
                continue
            keys = dict.fromkeys((s.benchmark, s.variant, s.mode) for s in run_a.scores)
            others = {(s.benchmark, s.variant, s.mode) for s in run_b.scores}
            for key in keys:
                if key in others:
                    samples = [outcomes_by_task(run, *key) for run in (run_a, run_b)]
                    found.append((key, compare(*samples)))
    if not found:
        raise ComparisonError("the two results have no benchmark, variant and mode in common")
    return found
