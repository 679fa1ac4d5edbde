"""Turns the rewards of groups into advantages and weights of tokens, on the host in float64."""

import dataclasses

import numpy as np

from semcoder_jax.config import ObjectiveConfig

_EPSILON = 1e-6  # added to a standard deviation


@dataclasses.dataclass(frozen=True)
class GroupStatistics:
    """Holds the mean reward, the mean standard deviation within groups, and the share of groups
    whose answers all have one reward, and so no gradient."""

    mean: float
    std: float
    no_signal: float


def group_statistics(rewards_PxG: np.ndarray) -> GroupStatistics:
    return GroupStatistics(
        mean=float(rewards_PxG.mean()),
        std=float(rewards_PxG.std(axis=1).mean()),
        no_signal=float(_is_flat(rewards_PxG).mean()),
    )


def group_advantages(rewards_PxG: np.ndarray, *, scale_by_std: bool) -> np.ndarray:
    """Returns each answer's reward above its group's mean, [P, G], exactly 0 for equal rewards.

    `scale_by_std` divides it by the group's standard deviation.
    """
    rewards_PxG = np.asarray(rewards_PxG, np.float64)
    advantages_PxG = rewards_PxG - rewards_PxG.mean(axis=1, keepdims=True)
    if scale_by_std:
        advantages_PxG /= rewards_PxG.std(axis=1, keepdims=True) + _EPSILON
    # Rounding of the mean would be a gradient, and an optimizer enlarges small ones.
    return np.where(_is_flat(rewards_PxG)[:, None], 0.0, advantages_PxG)


def token_advantages(
    advantage: float, num_tokens: int, first_wrong: int | None, credit: str
) -> np.ndarray:
    """Returns the advantage of each token of an answer.

    By the credit "first_wrong_step", an answer below its group's mean is blamed only from its
    token `first_wrong` on, and one above it praised only before; None: the answer has no such step.
    """
    advantages_N = np.full(num_tokens, advantage)
    if credit == "first_wrong_step" and first_wrong is not None:
        if advantage < 0:
            advantages_N[:first_wrong] = 0.0
        else:
            advantages_N[first_wrong:] = 0.0
    return advantages_N


def token_weight(num_tokens: int, objective: ObjectiveConfig, max_new_tokens: int) -> float:
    """Returns the weight of each token of an answer; the loss is divided by the rows' weights."""
    if objective.length_normalization == "sequence":
        return 1.0 / num_tokens
    return 1.0 if objective.length_normalization == "token" else 1.0 / max_new_tokens


def row_weight(num_tokens: int, objective: ObjectiveConfig) -> float:
    """Returns what an answer adds to the divisor of the loss."""
    return float(num_tokens) if objective.length_normalization == "token" else 1.0


def _is_flat(rewards_PxG: np.ndarray) -> np.ndarray:
    return np.ptp(rewards_PxG, axis=1) == 0
