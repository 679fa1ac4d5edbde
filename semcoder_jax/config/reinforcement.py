"""Defines the sections of a config for learning from rewards: rollouts, objective and rewards."""

import dataclasses
import math
from collections.abc import Mapping

from semcoder_jax.config.sections import ConfigError

REWARD_TERMS = ("answer", "steps", "first_wrong_step", "format", "length", "tests")
LENGTH_NORMALIZATIONS = ("sequence", "token", "constant")
CREDITS = ("sequence", "first_wrong_step")


@dataclasses.dataclass(frozen=True)
class RolloutsConfig:
    """The `rollouts` section: how a step samples answers to its prompts.

    Each of `data.global_batch_size` / `group_size` prompts gets `group_size` answers of at most
    `max_new_tokens` tokens, sampled at temperature 1 with the present weights. Each replica of the
    weights decodes `slots` answers together (None: the device's default). A step whose
    log-probabilities differ between engine and trainer by more than `max_drift` ends the run (None:
    it is only logged); in float32 they agree to 1e-4.
    """

    max_new_tokens: int
    group_size: int = 8
    slots: int | None = None
    max_drift: float | None = None

    def __post_init__(self):
        for name, least in (("max_new_tokens", 1), ("group_size", 2), ("slots", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"rollouts.{name} is {value}, expected at least {least}")
        if self.max_drift is not None and not self.max_drift > 0:
            raise ValueError(f"rollouts.max_drift is {self.max_drift}, expected more than 0")


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """The `objective` section: the loss over the sampled answers. The defaults are GRPO's.

    `scale_by_std` divides a group's advantages by their standard deviation; Dr. GRPO does not.
    `length_normalization`: "sequence" averages over each answer's tokens, then over answers (GRPO);
    "token" over all tokens (DAPO); "constant" divides the sum over all tokens by the number of
    answers times `rollouts.max_new_tokens` (Dr. GRPO). The ratio of probabilities is clipped at
    1 - `clip_low` and 1 + `clip_high` (a larger `clip_high` is DAPO's clip-higher). `kl_weight`
    above 0 adds the KL divergence from the initial model (k3 estimator), whose weights are then
    kept beside the trained ones. `credit` "first_wrong_step": tokens before an answer's first wrong
    step get no blame, and tokens from it on no praise. `passes` updates are made on each step's
    rollouts. `ratio_bound`: a token whose ratio lies outside [1 / bound, bound] gets no policy
    gradient, and a group with an answer whose mean |log ratio| is beyond it is dropped from the
    remaining passes (None: no guard).
    """

    scale_by_std: bool = True
    length_normalization: str = "sequence"
    clip_low: float = 0.2
    clip_high: float = 0.2
    kl_weight: float = 0.0
    credit: str = "sequence"
    passes: int = 1
    ratio_bound: float | None = None

    def __post_init__(self):
        for name, allowed in (
            ("length_normalization", LENGTH_NORMALIZATIONS),
            ("credit", CREDITS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"objective.{name} is {getattr(self, name)!r}, expected one of "
                    f"{', '.join(allowed)}"
                )
        if not 0 < self.clip_low < 1:
            raise ValueError(f"objective.clip_low is {self.clip_low}, expected 0 < clip_low < 1")
        if not self.clip_high > 0:
            raise ValueError(f"objective.clip_high is {self.clip_high}, expected more than 0")
        if not self.kl_weight >= 0:
            raise ValueError(f"objective.kl_weight is {self.kl_weight}, expected 0 or more")
        if self.passes < 1:
            raise ValueError(f"objective.passes is {self.passes}, expected at least 1")
        if self.ratio_bound is not None and not self.ratio_bound > 1:
            raise ValueError(f"objective.ratio_bound is {self.ratio_bound}, expected more than 1")


def check_rewards(weights: Mapping[str, float]) -> None:
    """Raises ConfigError unless `weights` maps names of REWARD_TERMS to numbers, one above 0."""
    for name, weight in weights.items():
        if name not in REWARD_TERMS:
            raise ConfigError(
                f"config: unknown field rewards.{name}; expected one of {', '.join(REWARD_TERMS)}"
            )
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not 0 <= weight < math.inf:
            raise ConfigError(f"config: rewards.{name} is {weight!r}, expected a number, 0 or more")
    if not any(weights.values()):
        raise ConfigError("config: rewards: expected a weight above 0")
