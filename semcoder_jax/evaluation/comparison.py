"""Two evaluations compared, task by task, wherever both have the same benchmark."""

from collections.abc import Sequence

from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.results import Run, outcomes_by_task
from semcoder_jax.evaluation.statistics import Comparison, compare


class ComparisonError(UserError):
    """Two results that share nothing to compare."""


def compare_runs(a: Sequence[Run], b: Sequence[Run]) -> list[tuple[tuple[str, ...], Comparison]]:
    """Every (benchmark, variant, mode) that both have, compared on the tasks of both.

    Raises ComparisonError where there is none.
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
