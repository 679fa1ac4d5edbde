"""Packs the sampled answers that have a gradient into few rows of the batch of a step.

An answer is much shorter than the longest one, and in many groups all answers have one reward.
Packed, such a batch fills a part of its rows, and the step skips microbatches without any
(`objective.make_policy_sums`).
"""

from collections.abc import Sequence

import numpy as np

from semcoder_jax.config import ObjectiveConfig

Batch = dict[str, np.ndarray]
_OF_ROWS = ("row_weights", "computed")  # [R, 1]


def with_gradient(batch: Batch, objective: ObjectiveConfig) -> np.ndarray:
    """Returns which rows (bool) can change the parameters, or must be measured all the same.

    An answer without advantage has a gradient only by the KL term; the guard of `ratio_bound`
    measures every answer.
    """
    weighted_RxT = batch["loss_mask"] > 0
    if not objective.kl_weight and objective.ratio_bound is None:
        weighted_RxT = weighted_RxT & (batch["advantages"] != 0)
    return weighted_RxT.any(axis=1)


def pack_answers(batch: Batch, chosen_R: np.ndarray, *, shards: int, microbatches: int) -> Batch:
    """Packs the chosen answers (bool) of a batch of one answer a row; the shape stays the same.

    The divisor of the loss still counts all answers: each row has an equal share of it. The rows
    fill one microbatch after the other; `shards` are the parts of the rows that lie on different
    devices. `computed` is 1 in the rows of a microbatch that has any answer.
    """
    lengths_R = (batch["segment_ids"] > 0).sum(axis=1)
    R, T = batch["tokens"].shape
    packed = {name: np.zeros_like(batch[name]) for name in batch}
    order = _computed_order(R, shards, microbatches)
    chosen = [row for row in np.argsort(-lengths_R, kind="stable") if chosen_R[row]]
    rows = _first_fit(lengths_R[chosen], T)
    for target, members in zip(order, rows, strict=False):
        place = 0
        for segment, member in enumerate(members, 1):
            row = chosen[member]
            here = slice(place, place + lengths_R[row])
            for name in packed.keys() - {"segment_ids", *_OF_ROWS}:
                packed[name][target, here] = batch[name][row, : lengths_R[row]]
            packed["segment_ids"][target, here] = segment
            place += lengths_R[row]
    packed["computed"] = np.zeros((R, 1), np.int32)
    if not R:
        return packed
    packed["row_weights"][:] = batch["row_weights"].sum() / R
    used = -(-len(rows) * microbatches // R)  # microbatches
    packed["computed"][order[: used * R // microbatches]] = 1
    return packed


def _computed_order(rows: int, shards: int, microbatches: int) -> np.ndarray:
    """Returns the numbers of the rows, those of the first microbatch first, and so on.

    Row r of a device's own belongs to its microbatch r % microbatches (see gradient_sums).
    """
    numbers = np.arange(rows).reshape(shards, -1, microbatches)
    return numbers.transpose(2, 1, 0).ravel()


def _first_fit(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Puts each item in the first row of `size` with room; returns the items of each row."""
    rows: list[list[int]] = []
    room: list[int] = []
    for item, length in enumerate(lengths):
        row = next((n for n, free in enumerate(room) if free >= length), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(size)
        rows[row].append(item)
        room[row] -= length
    return rows
