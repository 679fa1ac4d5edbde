"""Writes every sampled answer with its verdicts to WORKDIR/rollouts.jsonl.

A row: step, record (id), kind, sample, text, answer, finished, tokens (their number), terms,
reward, advantage, and first_wrong, {"token", "finding"} of the first contradicted line, or null.
"""

from collections.abc import Sequence

from data_pipeline.files import AnyPath, AppendedFile, append_row, open_appended
from data_pipeline.pyx.records import TRAINING_KINDS
from semcoder_jax.reinforcement.judging import Judgement
from semcoder_jax.reinforcement.rollouts import Rollout
from semcoder_jax.training.metrics import keep_rows

ROLLOUTS_FILE = "rollouts.jsonl"


class RolloutStore:
    """Appends the answers of each step; first drops those of steps that will be made again."""

    def __init__(self, workdir: AnyPath, first: int, *, write: bool):
        self._file: AppendedFile | None = None
        if write:
            path = workdir / ROLLOUTS_FILE
            keep_rows(path, lambda row: row["step"] <= first)
            self._file = open_appended(path)

    def append(
        self,
        step: int,
        groups: Sequence[Sequence[Rollout]],
        judged: Sequence[Sequence[Judgement]],
        advantages_PxG: Sequence[Sequence[float]],
    ) -> None:
        if self._file is None:
            return
        for group, judgements, advantages in zip(groups, judged, advantages_PxG, strict=True):
            parts = zip(group, judgements, advantages, strict=True)
            for sample, (rollout, judgement, advantage) in enumerate(parts):
                row = _row(step, sample, rollout, judgement, float(advantage))
                append_row(self._file.fileno(), row, self._file.path)

    def save(self) -> None:
        """Returns once all rows survive a kill, also in an object store."""
        if self._file is not None:
            self._file.save()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _row(
    step: int, sample: int, rollout: Rollout, judgement: Judgement, advantage: float
) -> dict[str, object]:
    wrong = None
    if judgement.first_wrong is not None:
        wrong = {"token": judgement.first_wrong, "finding": judgement.finding}
    return {
        "step": step,
        "record": rollout.prompt.record.id,
        "kind": TRAINING_KINDS[rollout.prompt.kind - 1],
        "sample": sample,
        "text": rollout.text,
        "answer": judgement.answer,
        "finished": rollout.finished,
        "tokens": len(rollout.tokens),
        "terms": dict(judgement.terms),
        "reward": judgement.reward,
        "advantage": advantage,
        "first_wrong": wrong,
    }
