"""Tests the loss and its gradient against plain Python on groups made by hand."""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from semcoder_jax.config import Compute, ObjectiveConfig, RolloutsConfig
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.sharding import make_mesh
from semcoder_jax.reinforcement.advantages import (
    group_advantages,
    group_statistics,
    token_advantages,
)
from semcoder_jax.reinforcement.objective import make_logprobs, sum_tokens
from semcoder_jax.reinforcement.packing import pack_answers
from semcoder_jax.reinforcement.prompts import Prompt
from semcoder_jax.reinforcement.rollouts import Credit, Rollout, lay_out, without_rows
from semcoder_jax.training.optimizer import mean_gradients
from tests.support import policy_oracle
from tests.support.tiny_decoder import tiny_decoder

BUDGET, LENGTH = 10, 12
CONFIG = RolloutsConfig(max_new_tokens=BUDGET, group_size=3)
# Two groups of three answers: rewards, lengths, and the log-ratio of each token. Of the first
# group, every token is clipped or not on each side; the second has one reward.
REWARDS = [[1.0, 0.25, 0.0], [0.5, 0.5, 0.5]]
LENGTHS = [[3, 5, 2], [4, 1, 6]]
PROMPTS = [[4, 2, 3], [1, 5, 4]]
LOG_RATIOS = (0.0, 0.5, -0.5, 0.1, -0.1, 0.25)


def answers_of(scale_by_std, credit="sequence", first_wrong=None):
    """The answers as the oracle takes them, group by group."""
    answers = []
    for rewards, lengths in zip(REWARDS, LENGTHS, strict=True):
        advantages = policy_oracle.group_advantages(rewards, scale_by_std)
        for row, (advantage, count) in enumerate(zip(advantages, lengths, strict=True)):
            sampled = [-0.3 - 0.2 * ((row + t) % 4) for t in range(count)]
            each = [advantage] * count
            wrong = (first_wrong or {}).get(len(answers))
            if credit == "first_wrong_step" and wrong is not None:
                for t in range(count):
                    if (advantage < 0) == (t < wrong):
                        each[t] = 0.0
            answers.append(
                {
                    "sampled": sampled,
                    "logprobs": [
                        s + LOG_RATIOS[(row + t) % len(LOG_RATIOS)] for t, s in enumerate(sampled)
                    ],
                    "reference": [s - 0.4 + 0.3 * (t % 3) for t, s in enumerate(sampled)],
                    "advantages": each,
                    "advantage": advantage,
                    "first_wrong": wrong,
                }
            )
    return answers


def batch_of(answers, objective):
    """Our batch of the same answers, and our log-probabilities [R, T]: noise off the answers."""
    lengths = [count for group in PROMPTS for count in group]
    rollouts = [
        Rollout(
            Prompt(None, 2, np.arange(1, length + 1, dtype=np.int32)),
            np.arange(20, 20 + len(answer["sampled"]), dtype=np.int32),
            np.array(answer["sampled"], np.float32),
            "",
            True,
            None,
        )
        for length, answer in zip(lengths, answers, strict=True)
    ]
    credits = [Credit(answer["advantage"], answer["first_wrong"]) for answer in answers]
    batch = lay_out(rollouts, credits, objective, CONFIG, LENGTH)
    logprobs = np.random.default_rng(0).uniform(-90, 0, (6, LENGTH)).astype(np.float32)
    batch["reference_logprobs"] = np.full((6, LENGTH), -50.0, np.float32)
    for row, (length, answer) in enumerate(zip(lengths, answers, strict=True)):
        place = slice(length - 1, length - 1 + len(answer["sampled"]))
        logprobs[row, place] = answer["logprobs"]
        batch["reference_logprobs"][row, place] = answer["reference"]
    return batch, logprobs, lengths


def test_targets_with_weight_are_the_sampled_tokens():
    batch, _, lengths = batch_of(answers_of(True), ObjectiveConfig())
    for row, (length, count) in enumerate(
        zip(lengths, (n for group in LENGTHS for n in group), strict=True)
    ):
        ids = [*range(1, length + 1), *range(20, 20 + count)]
        end = len(ids) - 1
        assert batch["tokens"][row].tolist() == ids[:-1] + [0] * (LENGTH - end)
        assert batch["segment_ids"][row].tolist() == [1] * end + [0] * (LENGTH - end)
        assert batch["positions"][row, :end].tolist() == list(range(end))
        weighted = batch["loss_mask"][row] > 0
        assert batch["targets"][row][weighted].tolist() == ids[length:]


def our_loss(batch, logprobs, objective):
    def loss_sums(logprobs):
        return sum_tokens(logprobs, batch, objective, 6)

    batch = {name: jnp.asarray(array) for name, array in batch.items()}
    (total, sums), gradient = jax.value_and_grad(loss_sums, has_aux=True)(jnp.asarray(logprobs))
    loss, gradient = mean_gradients(total, sums.weight, gradient)
    return float(loss), np.asarray(gradient), sums


VARIANTS = {
    "GRPO": {},
    "Dr. GRPO": {"scale_by_std": False, "length_normalization": "constant"},
    "DAPO": {"length_normalization": "token", "clip_high": 0.28},
    "KL": {"kl_weight": 0.3},
    "credit": {"credit": "first_wrong_step"},
    "guard": {"ratio_bound": 1.5, "kl_weight": 0.1},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_loss_and_gradient_are_those_of_plain_python(name):
    objective = ObjectiveConfig(**VARIANTS[name])
    answers = answers_of(objective.scale_by_std, objective.credit, {0: 1, 2: 1, 4: 0})
    expected, slopes = policy_oracle.policy_loss(
        answers,
        low=objective.clip_low,
        high=objective.clip_high,
        normalization=objective.length_normalization,
        budget=BUDGET,
        kl_weight=objective.kl_weight,
        bound=objective.ratio_bound,
    )
    batch, logprobs, lengths = batch_of(answers, objective)
    loss, gradient, sums = our_loss(batch, logprobs, objective)
    assert loss == pytest.approx(expected, rel=1e-5, abs=1e-7)
    whole = np.zeros((6, LENGTH))
    for row, own in enumerate(slopes):
        whole[row, lengths[row] - 1 : lengths[row] - 1 + len(own)] = own
    np.testing.assert_allclose(gradient, whole, rtol=1e-5, atol=1e-8)
    assert float(sums.tokens) == sum(map(len, slopes))
    if name == "GRPO":  # tokens are clipped on both sides, and not all
        assert float(sums.clipped_low) > 0 and float(sums.clipped_high) > 0
        assert 0 < np.count_nonzero(gradient[:3]) < sum(LENGTHS[0])
    if name == "guard":
        assert float(sums.guarded) > 0


def test_equal_rewards_have_no_gradient_at_all():
    """Not even that of a rounded mean: an optimizer would make a whole step of it."""
    rewards = np.array([[0.1] * 6, [0.7] * 6])
    assert not group_advantages(rewards, scale_by_std=True).any()
    assert not group_advantages(rewards, scale_by_std=False).any()
    objective = ObjectiveConfig()
    batch, logprobs, _ = batch_of(answers_of(True), objective)
    _, gradient, _ = our_loss(batch, logprobs, objective)
    assert not gradient[3:].any() and gradient[:3].any()


def test_advantages_by_hand():
    rewards = np.array([[1.0, 0.0, 0.0, 1.0]])
    np.testing.assert_allclose(group_advantages(rewards, scale_by_std=True), [[1, -1, -1, 1]], 1e-5)
    np.testing.assert_allclose(
        group_advantages(rewards, scale_by_std=False), [[0.5, -0.5, -0.5, 0.5]]
    )
    found = group_statistics(np.array([[1.0, 0.0], [1.0, 1.0]]))
    assert (found.mean, found.std, found.no_signal) == (0.75, 0.25, 0.5)


@pytest.mark.parametrize(
    ("advantage", "first_wrong", "credit", "expected"),
    [
        (-1.0, 2, "first_wrong_step", [0, 0, -1, -1]),
        (2.0, 2, "first_wrong_step", [2, 2, 0, 0]),
        (-1.0, None, "first_wrong_step", [-1, -1, -1, -1]),
        (-1.0, 2, "sequence", [-1, -1, -1, -1]),
        (-1.0, 0, "first_wrong_step", [-1, -1, -1, -1]),
    ],
)
def test_blame_begins_and_praise_ends_at_the_first_wrong_step(
    advantage, first_wrong, credit, expected
):
    assert token_advantages(advantage, 4, first_wrong, credit).tolist() == expected


def test_dropped_rows_count_neither_in_the_loss_nor_in_its_divisor():
    """As if the batch had only the others."""
    objective = ObjectiveConfig(length_normalization="token")
    answers = answers_of(True)
    batch, logprobs, _ = batch_of(answers, objective)
    dropped = without_rows(batch, np.array([False] * 3 + [True] * 3))
    loss, gradient, sums = our_loss(dropped, logprobs, objective)
    expected, _ = policy_oracle.policy_loss(
        answers[:3], low=0.2, high=0.2, normalization="token", budget=BUDGET
    )
    assert loss == pytest.approx(expected, rel=1e-5) and not gradient[3:].any()
    assert float(sums.tokens) == sum(LENGTHS[0])


def test_log_ratios_are_reported_by_row():
    objective = ObjectiveConfig()
    answers = answers_of(True)
    batch, logprobs, _ = batch_of(answers, objective)
    _, _, sums = our_loss(batch, logprobs, objective)
    by_row = [
        [abs(a - b) for a, b in zip(one["logprobs"], one["sampled"], strict=True)]
        for one in answers
    ]
    np.testing.assert_allclose(sums.max_log_ratio_R, list(map(max, by_row)), atol=1e-6)
    np.testing.assert_allclose(sums.log_ratio_R, list(map(math.fsum, by_row)), atol=1e-6)


@pytest.mark.parametrize("shards, microbatches", [(1, 1), (1, 3), (2, 3)])
def test_packed_answers_keep_their_tokens_and_fill_the_first_microbatches(shards, microbatches):
    """Of six answers five are chosen, whose 5 to 9 positions share rows of 12."""
    objective = ObjectiveConfig(length_normalization="token")
    batch, _, lengths = batch_of(answers_of(True), objective)
    chosen = np.array([True, True, False, True, True, True])
    packed = pack_answers(batch, chosen, shards=shards, microbatches=microbatches)
    assert packed["row_weights"].sum() == pytest.approx(sum(map(sum, LENGTHS)))
    found = {}
    for row in range(6):
        for segment in set(packed["segment_ids"][row].tolist()) - {0}:
            here = packed["segment_ids"][row] == segment
            (number,) = set(packed["answers"][row][here].tolist())
            found[number] = {
                name: packed[name][row][here].tolist()
                for name in ("tokens", "targets", "positions", "loss_mask", "advantages")
            }
    assert sorted(found) == np.flatnonzero(chosen).tolist()
    for number, fields in found.items():
        end = lengths[number] + np.ravel(LENGTHS)[number] - 1
        for name, values in fields.items():
            assert values == batch[name][number, :end].tolist()
    # Row r of a shard's own belongs to its microbatch r % microbatches.
    own = packed["segment_ids"].reshape(shards, -1, microbatches, LENGTH)
    used = own.any(axis=(0, 1, 3))
    assert used.tolist() == sorted(used, reverse=True)
    computed = packed["computed"].reshape(shards, -1, microbatches)
    assert (computed == used).all()


@pytest.mark.parametrize("microbatches", [1, 3])
def test_scored_in_microbatches_each_row_has_the_logprobs_of_the_whole_model(microbatches):
    """Six rows of different tokens; ids from 36 on are padding of the vocabulary."""
    decoder = Decoder(tiny_decoder(), rngs=nnx.Rngs(0), compute=Compute(loss_chunk=4))
    graphdef, state = nnx.split(decoder)
    random = np.random.default_rng(0)
    ids = random.integers(0, 36, (6, 11))
    positions, segments = np.tile(np.arange(10), (6, 1)), np.ones((6, 10), np.int32)
    batch = {
        "tokens": ids[:, :-1],
        "targets": ids[:, 1:],
        "positions": positions,
        "segment_ids": segments,
        "answers": np.tile(np.arange(6)[:, None], (1, 10)),
    }
    setup = SimpleNamespace(graphdef=graphdef, mesh=make_mesh({}, jax.devices()[:1]))
    found = make_logprobs(setup, 6, 36, microbatches)(nnx.to_pure_dict(state), batch)
    logits = np.asarray(decoder(ids[:, :-1], positions, segments), np.float64)[..., :36]
    largest = logits.max(-1, keepdims=True)
    totals = largest[..., 0] + np.log(np.exp(logits - largest).sum(-1))
    expected = np.take_along_axis(logits, ids[:, 1:, None], -1)[..., 0] - totals
    np.testing.assert_allclose(found, expected, atol=1e-5)
