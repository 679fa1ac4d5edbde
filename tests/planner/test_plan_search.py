"""Compares the planner's search with an exhaustive one, using a formula as the compiler."""

import dataclasses
import itertools
import math
import random

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from semcoder_jax.checkpoints import abstract_model
from semcoder_jax.config import MODELS, ConfigError, parse_run
from semcoder_jax.model.remat import POLICIES
from semcoder_jax.model.sharding import MeshError
from semcoder_jax.planner.compiled_step import CompiledStep, batch_shapes
from semcoder_jax.planner.roofline import Roofline
from semcoder_jax.planner.search import Candidate, search
from semcoder_jax.planner.settings import _KEPT, Setting, candidates
from semcoder_jax.planner.step_bounds import activation_bytes, tensor_bytes
from semcoder_jax.planner.topologies import parse
from semcoder_jax.training.step import batch_loss_sums
from tests.support.planned_run import planned_run

USABLE = 100.0


def step(fits: bool, needed: float = 0.0) -> CompiledStep:
    return CompiledStep(
        fits=fits,
        peak_bytes=int(needed) if fits else None,
        needed_bytes=None if fits else int(needed),
        usable_bytes=int(USABLE),
        argument_bytes=0,
        trained_parameters=0,
        executed_flops=0.0,
        collectives=(),
        least_exchanged_bytes=0.0,
        seconds=0.0,
    )


class World:
    """Settings with random needs of memory, growing as they really do, and random times, never
    below those at best."""

    def __init__(self, seed: int, pressure: float):
        chance = random.Random(seed)
        meshes = [(1, 8, 1), (2, 4, 1), (1, 4, 2)]
        base = {mesh: chance.uniform(0, 80) * pressure for mesh in meshes}
        row = {mesh: chance.uniform(1, 10) * pressure for mesh in meshes}
        kept, most = {}, 1.0
        for group in _KEPT:
            for remat in sorted(group):
                kept[remat] = most + chance.uniform(0, 0.5)
            most = max(kept.values())
        self.memory, self.at_best, self.seconds = {}, {}, {}
        for mesh, steps, remat in itertools.product(meshes, (1, 2, 4, 8), POLICIES):
            setting = Setting(mesh, steps, remat)
            rows = 8 // steps
            self.memory[setting] = (
                base[mesh] + rows * row[mesh] * kept[remat] + (5 if steps > 1 else 0)
            )
            best = chance.choice([10.0, 10.0, chance.uniform(8, 14)])
            self.at_best[setting] = best
            self.seconds[setting] = best * chance.choice([1, 1, chance.uniform(1, 1.3)])
        self.compiled = []

    def candidates(self, share: float):
        """With bounds of memory that are this share of the truth."""
        return [
            Candidate(setting, share * memory, Roofline(self.at_best[setting], 0, 0, 0))
            for setting, memory in self.memory.items()
        ]

    def compile(self, setting, number, most) -> CompiledStep:
        self.compiled.append(setting)
        assert number == len(self.compiled) <= most <= len(self.memory)
        return step(self.memory[setting] <= USABLE, self.memory[setting])

    def estimate(self, setting, _) -> Roofline:
        return Roofline(self.seconds[setting], 0, 0, 0)

    def fastest(self) -> float | None:
        """By trying everything."""
        fitting = [s for s, memory in self.memory.items() if memory <= USABLE]
        return min((self.seconds[s] for s in fitting), default=None)


@pytest.mark.parametrize("pressure", [0.3, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_it_finds_what_trying_everything_finds(pressure, share):
    for seed in range(25):
        world = World(seed, pressure)
        found = search(world.candidates(share), USABLE, world.compile, world.estimate, 0.0)
        fastest = world.fastest()
        if fastest is None:
            assert found.step is None or not found.step.fits
        else:
            assert found.step.fits and world.seconds[found.setting] == fastest
        assert len(world.compiled) == len(set(world.compiled)) == found.compiled
        assert found.considered == len(world.memory)


def test_it_compiles_few_and_gives_up_little_for_it():
    tried = considered = 0
    for seed in range(40):
        world = World(seed, 1.0)
        found = search(world.candidates(0.7), USABLE, world.compile, world.estimate, 0.02)
        fastest = world.fastest()
        if fastest is not None:
            assert world.seconds[found.setting] * 0.98 <= fastest
        tried += found.compiled
        considered += found.considered
    assert tried < 0.15 * considered


def test_nothing_is_compiled_that_cannot_fit():
    world = World(0, 50.0)
    found = search(world.candidates(1.0), USABLE, world.compile, world.estimate)
    assert world.compiled == [] and found.step is None
    assert world.memory[found.setting] == min(world.memory.values())


def test_a_setting_that_the_compiler_fails_at_is_passed_over():
    world = World(3, 0.3)
    best = search(world.candidates(1.0), USABLE, world.compile, world.estimate, 0.0).setting
    others = {s: world.seconds[s] for s, m in world.memory.items() if m <= USABLE and s != best}

    def failing(setting, number, most):
        found = world.compile(setting, number, most)
        if setting == best:
            found = dataclasses.replace(found, fits=False, refusal="INTERNAL: no")
        return found

    world.compiled.clear()
    found = search(world.candidates(1.0), USABLE, failing, world.estimate, 0.0)
    assert best in world.compiled and world.seconds[found.setting] == min(others.values())


def test_where_all_fail_the_one_of_least_memory_is_shown():
    world = World(0, 50.0)
    found = search(world.candidates(0.0), USABLE, world.compile, world.estimate)
    assert not found.step.fits
    assert found.step.needed_bytes == int(min(world.memory[s] for s in world.compiled))


def test_needing_as_much_is_true_of_the_formula_wherever_it_is_claimed():
    for seed in range(5):
        world = World(seed, 1.0)
        claimed = 0
        for one, other in itertools.permutations(world.memory, 2):
            if one.needs_at_least(other):
                claimed += 1
                assert world.memory[one] >= world.memory[other]
        assert claimed > len(world.memory)


def test_policies_that_cannot_be_compared_are_not():
    def setting(remat, steps=2):
        return Setting((1, 8, 1), steps, remat)

    assert setting("none").needs_at_least(setting("offload"))
    assert not setting("offload").needs_at_least(setting("none"))
    assert not setting("nothing_saveable").needs_at_least(setting("offload_save_attention"))
    assert not setting("offload_save_attention").needs_at_least(setting("nothing_saveable"))
    # In one microbatch no gradients are added up, so it may need less in spite of its rows.
    assert not setting("none", 1).needs_at_least(setting("none", 2))
    assert setting("none", 2).needs_at_least(setting("none", 4))


def test_every_policy_has_its_place():
    assert sorted(POLICIES) == sorted(name for group in _KEPT for name in group)


# ==== Which settings there are


def test_candidates_are_all_that_divide():
    config, place, run = MODELS["6.7b"], parse("v5e:2x4"), planned_run(48)
    found = list(candidates(run.data.global_batch_size, config, place))
    expected = {
        Setting((data, fsdp, tensor), steps, remat)
        for data, fsdp, tensor, steps in itertools.product(range(1, 9), repeat=4)
        if data * fsdp * tensor == 8
        for remat in POLICIES
        if 48 % (data * fsdp * steps) == 0
    }
    # range() above stops at 8 microbatches; 12, 16, 24 and 48 divide as well.
    assert {one for one in found if one.accumulation_steps <= 8} == expected
    assert {one.accumulation_steps for one in found if one.mesh == (1, 8, 1)} == {1, 2, 3, 6}
    assert {one.accumulation_steps for one in found if one.mesh == (1, 1, 8)} >= {12, 16, 24, 48}
    for setting in found:
        setting.check(run.data.global_batch_size, place)
        assert Setting.of(setting.apply_to(run), 8) == setting
        assert parse_run(setting.apply_to(run).to_record()) == setting.apply_to(run)


def test_slices_share_only_the_data_axis():
    place = parse("v5e:2x2x2slices")
    found = list(candidates(16, MODELS["6.7b"], place))
    assert {one.mesh for one in found} == {
        (2, 4, 1), (4, 2, 1), (8, 1, 1), (2, 2, 2), (4, 1, 2), (2, 1, 4),
    }  # fmt: skip
    with pytest.raises(MeshError, match="expected a multiple of the 2 slices"):
        Setting((1, 8, 1), 1, "none").check(16, place)


def test_heads_that_tensor_does_not_divide():
    config = dataclasses.replace(MODELS["1.3b"], num_heads=6, num_kv_heads=6)
    found = list(candidates(16, config, parse("v5e:2x4")))
    assert {one.mesh[2] for one in found} == {1, 2}


def test_a_batch_that_nothing_divides():
    assert {one.mesh for one in candidates(1, MODELS["6.7b"], parse("v5e:2x4"))} == {(1, 1, 8)}
    assert list(candidates(3, MODELS["6.7b"], parse("v5e:4x4"))) == []
    with pytest.raises(ConfigError, match="gives 1 rows, which the 4 batch shards"):
        Setting((1, 4, 2), 1, "none").check(1, parse("v5e:2x4"))


# ==== What is known before compiling


def test_bounds_of_memory_and_exchange_by_hand():
    run, config = planned_run(64), MODELS["6.7b"]
    whole = Setting((1, 8, 1), 4, "nothing_saveable")  # 2 rows of 2,048 tokens, float32
    a_row = 32 * 2048 * 4  # layers, tokens, bytes of an element
    assert activation_bytes(config, run.data, run.compute, whole) == 2 * a_row * 4096
    split = Setting((1, 4, 2), 8, "dots_saveable")  # 2 rows again; q, k, v, gate, up are split
    products = (3 * 4096 + 2 * 11008) // 2
    assert activation_bytes(config, run.data, run.compute, split) == 2 * a_row * (4096 + products)
    all_of_it = Setting((1, 4, 2), 8, "none")
    between = 3 * 4096 + (4096 + 2 * 11008) // 2
    assert activation_bytes(config, run.data, run.compute, all_of_it) == 2 * a_row * (
        4096 + products + between
    )
    away = Setting((1, 8, 1), 4, "offload")
    assert activation_bytes(config, run.data, run.compute, away) == 0
    assert tensor_bytes(config, run.data, run.compute, whole) == 0
    # 16 rows a device in all; two devices send an array's size each for a sum.
    assert tensor_bytes(config, run.data, run.compute, split) == 4 * 16 * a_row * 4096


@pytest.mark.parametrize("remat", sorted(POLICIES))
def test_a_layer_keeps_at_least_what_the_bound_says(remat):
    """Against JAX's own account of what the gradient keeps."""
    T, layers = 37, 3  # no other axis is as long
    run = parse_run(
        {
            "model": {
                "vocab_size": 16,
                "hidden_size": 8,
                "intermediate_size": 20,
                "num_layers": layers,
                "num_heads": 2,
            },
            "compute": {"remat": remat, "attention": "xla"},
            "data": {
                "source": "jsonl",
                "train": "-",
                "tokenizer": "-",
                "sequence_length": T,
                "global_batch_size": 1,
            },
            "train": {"num_steps": 1},
        }
    )
    config = run.decoder_config(16)
    graphdef, params = nnx.split(abstract_model(config, run.compute))
    shapes = batch_shapes(run.data)
    batch = {name: jnp.zeros(leaf.shape, leaf.dtype) for name, leaf in shapes.items()}

    def kept(params):
        return jax.vjp(lambda p: batch_loss_sums(graphdef, p, batch)[0], params)[1]

    leaves = jax.tree.leaves(jax.eval_shape(kept, params))
    found = sum(
        math.prod(leaf.shape) * leaf.dtype.itemsize
        for leaf in leaves
        if leaf.shape[:1] == (layers,) and T in leaf.shape
    )
    bound = activation_bytes(config, run.data, run.compute, Setting((1, 1, 1), 1, remat))
    assert 0 <= bound <= found
    if remat in ("nothing_saveable", "save_attention"):
        assert bound == found
