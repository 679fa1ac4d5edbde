"""Writes every sampled answer with its verdicts to WORKDIR/rollouts.jsonl.

A row: step, record (id), kind, sample, text, answer, finished, tokens (their number), terms,
reward, advantage, and first_wrong, {"token", "finding"} of the first contradicted line, or null.
"""

from collections.abc import Sequence

from data_pipeline.files import AnyPath
from data_pipeline.pyx.records import TRAINING_KINDS
from semcoder_jax.reinforcement.judging import Judgement
from semcoder_jax.reinforcement.rollouts import Rollout
from semcoder_jax.training.row_file import RowFile

ROLLOUTS_FILE = "rollouts.jsonl"


class RolloutStore:
    """Appends the answers of each step; first drops those of steps that will be made again."""

    def __init__(self, workdir: AnyPath, first: int, *, write: bool):
        self._rows = RowFile(
            workdir / ROLLOUTS_FILE, write=write, is_kept=lambda row: row["step"] <= first
        )

    def append(
        self,
        step: int,
        groups: Sequence[Sequence[Rollout]],
        judged: Sequence[Sequence[Judgement]],
        advantages_PxG: Sequence[Sequence[float]],
    ) -> None:
        for group, judgements, advantages in zip(groups, judged, advantages_PxG, strict=True):
            parts = zip(group, judgements, advantages, strict=True)
            for sample, (rollout, judgement, advantage) in enumerate(parts):
                self._rows.append(_row(step, sample, rollout, judgement, float(advantage)))

    def save(self) -> None:
        """Returns once all rows survive a kill, also in an object store."""
        self._rows.save()

    def close(self) -> None:
        self._rows.close()


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
