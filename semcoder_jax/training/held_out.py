"""Keeps the history of held-out losses of a run: which is the best, and when to stop early."""

import dataclasses
from pathlib import Path

from semcoder_jax.config import TrainConfig
from semcoder_jax.training.metrics import METRICS_FILE, read_metrics


@dataclasses.dataclass
class HeldOutHistory:
    """Holds (step, held-out loss) of every evaluation of a run, in order."""

    losses: list[tuple[int, float]]

    @classmethod
    def read(cls, workdir: Path, last_step: int) -> "HeldOutHistory":
        """Returns the history of WORKDIR's run up to `last_step`; later steps are made again."""
        rows = read_metrics(workdir / METRICS_FILE)
        return cls([(r["step"], r["eval_loss"]) for r in rows if _counts(r, last_step)])

    def record(self, step: int, loss: float) -> None:
        self.losses.append((step, loss))

    def loss_at(self, step: int) -> float | None:
        """Returns the loss of the last evaluation if that was after `step`."""
        return self.losses[-1][1] if self.losses and self.losses[-1][0] == step else None

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


def _counts(row: dict, last_step: int) -> bool:
    return "eval_loss" in row and row["step"] <= last_step
