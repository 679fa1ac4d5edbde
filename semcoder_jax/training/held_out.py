"""Keeps the history of a run's held-out figures: which is the best, and when to stop early."""

import dataclasses
from collections.abc import Mapping

from data_pipeline.files import AnyPath
from semcoder_jax.config import TrainConfig
from semcoder_jax.training.metrics import METRICS_FILE, read_metrics

EVAL_LOSS, ACCURACY = "eval_loss", "accuracy"  # names in metrics.jsonl


@dataclasses.dataclass
class HeldOutHistory:
    """Holds (step, loss) of every evaluation that the run compares, in order; less is better.

    By `train.best_by` it is the held-out loss or the share of wrong answers.
    """

    losses: list[tuple[int, float]]

    @classmethod
    def read(cls, workdir: AnyPath, last_step: int, best_by: str) -> "HeldOutHistory":
        """Returns the history of WORKDIR's run up to `last_step`; later steps are made again."""
        history = cls([])
        for row in read_metrics(workdir / METRICS_FILE):
            if row["step"] <= last_step:
                history.record_figures(row["step"], row, best_by)
        return history

    def record_figures(self, step: int, figures: Mapping[str, float], best_by: str) -> None:
        """Records the one of an evaluation's figures that counts, if it is there."""
        if best_by == "loss" and EVAL_LOSS in figures:
            self.record(step, figures[EVAL_LOSS])
        elif best_by == "accuracy" and ACCURACY in figures:
            self.record(step, 1 - figures[ACCURACY])

    def record(self, step: int, loss: float) -> None:
        self.losses.append((step, loss))

    @property
    def best_step(self) -> int | None:
        """Returns the step of the least loss, the first of equal ones; None without a number."""
        numbers = [(loss, step) for step, loss in self.losses if loss == loss]
        return min(numbers)[1] if numbers else None

    def is_over(self, config: TrainConfig) -> bool:
        """Returns whether `config.early_stopping` evaluations in a row brought no better loss."""
        best = self.best_step
        since_best = [step for step, _ in self.losses if best is None or step > best]
        return 0 < config.early_stopping <= len(since_best)
