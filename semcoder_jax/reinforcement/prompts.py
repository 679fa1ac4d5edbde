"""Draws the prompts of each step from records; the position is one number in the checkpoint."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import grain
import numpy as np

from data_pipeline.pyx.records import TRAINING_KINDS, Record
from data_pipeline.tokens.batches import tokenize_records
from data_pipeline.tokens.packing import TokenTable
from semcoder_jax.config import ConfigError, RunConfig
from semcoder_jax.errors import UserError

# Kinds of records that a term of the reward by truth applies to.
_REWARDED = {
    "answer": ("forward", "backward"),
    "steps": ("forward", "backward"),
    "first_wrong_step": ("forward", "backward"),
    "format": ("nl", "forward", "backward", "refine"),
    "length": TRAINING_KINDS,
    "tests": ("nl", "refine"),
}


class PositionError(UserError):
    """Raised if a checkpoint's position is one among other prompts or beside another reference."""


@dataclasses.dataclass(frozen=True)
class Prompt:
    """Holds a record that a step asks, its kind's number, and the tokens of its prompt."""

    record: Record
    kind: int
    tokens: np.ndarray


class Prompts:
    """Gives the prompts of each step: a pass over the records in one order, then in another.

    Uses the records whose kind a term of `rewards` judges, whose weight in `data.mixture` is not 0,
    and whose prompt leaves room for an answer; `notes` counts the others. Raises ConfigError if
    none is left.
    """

    def __init__(self, records: Sequence[Record], tokenizer, run: RunConfig):
        if run.rollouts is None or run.rewards is None:
            raise ConfigError("config: section rollouts is missing: nothing says how to sample")
        self._records = records
        self._table = tokenize_records(records, tokenizer)
        self._per_step = run.data.global_batch_size // run.rollouts.group_size
        self._seed = run.seed
        kinds = _rewarded_kinds(run.rewards, run.data.mixture)
        judged_R = np.isin(self._table.kinds_R, [1 + TRAINING_KINDS.index(kind) for kind in kinds])
        longest = run.data.sequence_length + 1 - run.rollouts.max_new_tokens
        fits_R = self._table.prompt_lengths_R <= longest
        numbers = np.flatnonzero(judged_R & fits_R)
        if not len(numbers):
            raise ConfigError(
                f"config: data: none of {len(records):,} records is of a kind that the rewards "
                f"judge ({', '.join(kinds) or 'none'}) and has a prompt of at most {longest} tokens"
            )
        self.notes = (
            f"{len(numbers):,} of {len(records):,} records are asked; left out: "
            f"{np.count_nonzero(~judged_R):,} of kinds without a reward, "
            f"{np.count_nonzero(judged_R & ~fits_R):,} with prompts of over {longest} tokens"
        )
        self._numbers = numbers
        self._order = grain.MapDataset.source(numbers).seed(run.seed).shuffle().repeat()

    def __len__(self) -> int:
        return len(self._numbers)

    def num_steps(self, num_epochs: int) -> int:
        """Returns the steps that ask every prompt at least `num_epochs` times."""
        return -(-num_epochs * len(self) // self._per_step)

    def of_step(self, step: int) -> list[Prompt]:
        """Returns the prompts of a step, counted from 1."""
        first = (step - 1) * self._per_step
        numbers = [int(self._order[place]) for place in range(first, first + self._per_step)]
        return [
            Prompt(self._records[number], int(self._table.kinds_R[number]), self._tokens(number))
            for number in numbers
        ]

    def identity(self) -> dict[str, Any]:
        """Returns all that decides the prompts of a step."""
        return {
            "records": self._table.digest()[:16],
            "prompts": len(self),
            "prompts_per_step": self._per_step,
            "seed": self._seed,
        }

    def _tokens(self, number: int) -> np.ndarray:
        table: TokenTable = self._table
        first = table.offsets[number]
        return table.tokens_N[first : first + table.prompt_lengths_R[number]]


class Position:
    """The position of a run among its prompts, as a checkpoint saves it.

    Also holds the checksum of the KL term's reference (None without one), so that a run never goes
    on with another. Has the two methods of grain's iterators that Checkpoints uses.
    """

    def __init__(self, prompts: Prompts, reference: str | None):
        self.step = 0
        self._identity = prompts.identity() | {"reference": reference}

    def get_state(self) -> dict[str, Any]:
        return {"step": self.step, **self._identity}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes to a saved position. Raises PositionError if it belongs to other prompts."""
        for name, now in self._identity.items():
            if state.get(name) != now:
                raise PositionError(
                    f"saved position: expected {name} {now}, as now; got {state.get(name)}: resume "
                    "with the records, options and initial model of the run that saved it"
                )
        self.step = int(state["step"])


def _rewarded_kinds(rewards: Mapping[str, float], mixture: Mapping[str, float]) -> list[str]:
    """Returns the kinds of records to ask, in the order of TRAINING_KINDS. Raises ConfigError."""
    for name, weight in mixture.items():
        if weight not in (0, 1):
            raise ConfigError(
                f"config: data.mixture.{name} is {weight}, expected 1 or, to leave it out, 0: "
                "every prompt is asked once in a pass"
            )
    judged = {kind for name, weight in rewards.items() if weight for kind in _REWARDED[name]}
    return [kind for kind in TRAINING_KINDS if kind in judged and mixture.get(kind, 1)]
