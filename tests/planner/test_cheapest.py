"""Compares the search for the cheapest slice with an exhaustive one, and the command with sums."""

import dataclasses
import json
import math
import random

import pytest

from semcoder_jax.commands import plan
from semcoder_jax.config import parse_run
from semcoder_jax.planner import deadline, topologies
from semcoder_jax.planner.cheapest import FITS, TOO_SMALL, Goal, find_cheapest
from semcoder_jax.planner.report import make_plan
from tests.planner.test_plan_command import SEARCHED
from tests.support.config_file import write_config_file
from tests.support.planned_run import planned_run
from tests.support.planner_stand_in import FITS as COMPILED
from tests.support.planner_stand_in import Answers, record

PLACES = [
    topologies.parse(name)
    for version in ("v5e", "v6e", "v4")
    for name in topologies.names(topologies.CHIPS[version])[:7]
]


class World:
    """Slices with random times, each level's above the one before, some of them too small."""

    def __init__(self, seed: int):
        chance = random.Random(seed)
        self.price = {place.chip.name: chance.uniform(0.5, 4) for place in PLACES}
        self.share = {place.chip.name: chance.uniform(0.5, 0.9) for place in PLACES}
        self.floors = {place: 100 / place.num_chips for place in PLACES}
        self.bounds = {p: self.floors[p] * chance.uniform(1, 2) for p in PLACES}
        self.seconds = {
            p: self.bounds[p] * chance.choice([1, chance.uniform(1, 2)]) for p in PLACES
        }
        self.small = {place for place in PLACES if chance.random() < 0.3}
        self.limit_hours = chance.uniform(1, 50)
        self.compiled = []

    @property
    def goal(self) -> Goal:
        return Goal(
            lambda place, seconds: seconds / self.share[place.chip.name],
            lambda place, hours: hours * place.num_chips * self.price[place.chip.name],
            self.limit_hours,
        )

    def bound(self, place):
        return TOO_SMALL if place in self.small else self.bounds[place]

    def compile(self, place, most_seconds):
        self.compiled.append(place)
        assert self.bounds[place] < most_seconds
        run = planned_run(place.num_devices, mesh={"fsdp": -1})
        made = make_plan(run, place, COMPILED)
        roofline = dataclasses.replace(made.roofline, compute=self.seconds[place], memory=0, ici=0)
        return dataclasses.replace(made, roofline=roofline)

    def cheapest(self) -> float:
        """By trying everything."""
        costs = [
            self.goal.run_cost(place, self.seconds[place])
            for place in PLACES
            if place not in self.small and not self.goal.is_late(place, self.seconds[place])
        ]
        return min(costs, default=math.inf)


def test_it_finds_what_trying_everything_finds_with_few_compilations():
    compiled = 0
    for seed in range(60):
        world = World(seed)
        found = find_cheapest(PLACES, world.goal, world.floors.get, world.bound, world.compile)
        cost = math.inf
        if found.best:
            place = found.best.topology
            assert place not in world.small
            assert not world.goal.is_late(place, world.seconds[place])
            cost = world.goal.run_cost(place, world.seconds[place])
        assert cost == world.cheapest()
        assert sorted(one.topology.name for one in found.considered) == sorted(
            place.name for place in PLACES
        )
        assert len(set(world.compiled)) == len(world.compiled)
        fitting = [one for one in found.considered if one.verdict == FITS]
        assert all(one.plan.topology == one.topology for one in fitting)
        compiled += len(world.compiled)
    assert compiled < 0.25 * 60 * len(PLACES)


# ==== The command


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Runs the command with a compiler in which offloading alone fits 16 GB, at 8e15 FLOPs."""
    monkeypatch.chdir(tmp_path)
    program = SEARCHED.replace("MEMORY", "3").replace("2e15", "8e15").replace("1e15", "4e15")
    monkeypatch.setattr(deadline, "Compiler", lambda: Answers(tmp_path, program))

    def run(*flags, **changes):
        changes = {"data__sequence_length": 2048} | changes
        config = record(**changes) | {"model": {"architecture": "6.7b"}}
        path = write_config_file(tmp_path, config)
        code = plan.main([f"--config={path}", *flags])
        return code, capsys.readouterr()

    return run


def test_the_cheapest_slice_of_each_version_by_hand(command, tmp_path):
    """100 steps of 8e15 FLOPs at 197e12 a v5e chip and 69.9 % of the roofline: 5,810 chip-seconds.

    Four chips take 1,452 s, more than 0.4 hours; eight 726 s. One v6e, at 918e12 and 51.8 %, takes
    1,682 s; four take 421 s.
    """
    slices = "--topology=v5e:1x1,v5e:2x2,v5e:2x4,v6e:1x1,v6e:2x2"
    code, captured = command("--within=0.4", slices)
    assert code == 0
    lines = captured.out.splitlines()
    starred = [line.split() for line in lines if line.endswith("*")]
    assert [(cells[0], cells[1]) for cells in starred] == [("v5e:2x4", "8"), ("v6e:2x2", "4")]
    assert " offload " in next(line for line in lines if line.startswith("v5e:2x4 "))
    assert "v5e: out, too slow: v5e:1x1" in captured.out
    assert "bounds of" in captured.err and "fits" in captured.err
    assert "published runs reach 70% to 83% of this roofline" in captured.out
    assert "AI-Hypercomputer/tpu-recipes" in captured.out
    # Asked again, all is known.
    asked = (tmp_path / "asked.jsonl").read_text().count("\n")
    code, captured = command("--within=0.4", slices, "--json")
    assert (tmp_path / "asked.jsonl").read_text().count("\n") == asked
    groups = {group["name"]: group for group in json.loads(captured.out)["groups"]}
    best = groups["v5e"]["considered"][0]
    assert groups["v5e"]["best"] == best["topology"] == "v5e:2x4"
    assert best["calibrated_chip_hours"][1] == pytest.approx(8e17 / 197e12 / 0.699 / 3600)
    assert best["calibrated_price"] is None


@pytest.mark.parametrize(("price", "winner"), [("4", "v5e:2x4"), ("3", "v6e:2x2")])
def test_prices_decide_between_versions(command, price, winner):
    """v5e takes 1.614 chip-hours, v6e 0.467."""
    slices = "--topology=v5e:2x2,v5e:2x4,v6e:1x1,v6e:2x2"
    code, captured = command("--within=0.4", f"--price=v5e:1,v6e:{price}", slices)
    assert code == 0
    starred = [line.split()[0] for line in captured.out.splitlines() if line.endswith("*")]
    assert starred == [winner]


def test_slices_that_the_batch_splits_over_compete():
    config = parse_run(record(data__global_batch_size=8)).decoder_config(1)
    names = {place.name for place in deadline.slices_of(["v5e", "tpu7x"], 8, config)}
    # 8 rows and 2 heads: at most 16 devices, of which tpu7x has two a chip.
    expected = {"v5e:1x1", "v5e:2x2", "v5e:2x4", "v5e:4x4", "tpu7x:2x2x1", "tpu7x:2x2x2"}
    assert names == expected


def test_tokens_count_as_whole_steps(command):
    changes = {"data__num_epochs": 3, "train__num_steps": None}
    code, captured = command("--within=1", "--topology=v5e:2x4", "--tokens=65537", **changes)
    assert code == 0 and captured.out.startswith("2 steps, 131,072 tokens, in at most 1 hours")


def test_no_slice_finishes(command):
    code, captured = command("--within=0.0001", "--topology=v5e")
    assert code == 1 and "v5e: no slice finishes in 0.0001 hours" in captured.out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--within=soon"], "--within is 'soon', expected a number of hours above 0"),
        (["--within=0"], "--within is '0'"),
        (["--within=nan"], "--within is 'nan'"),
        (["--within=1", "--topology="], "--topology is empty"),
        (["--within=1", "--topology=v5f"], "topology 'v5f' is none"),
        (["--within=1", "--topology=v5e", "--slices=2"], "--slices: expected with --topology nam"),
        (["--within=1", "--search"], "--search: expected without --within"),
        (["--within=1", "--steps=5"], "--steps: the config has train.num_steps 100"),
        (["--within=1", "--tokens=5"], "--tokens and train.num_steps in the config both"),
        (["--within=1", "--price=v5f:1"], "'v5f' is no TPU version"),
        (["--within=1", "--price=v5e"], "--price: v5e is '', expected a price above 0"),
        (["--within=1", "--price=v5e:-1"], "--price: v5e is '-1'"),
        (["--within=1", "--price=v5e:1", "--topology=v6e:2x2"], "--price: none given for v6e"),
        (["--topology=v5e:2x4", "--price=v5e:1"], "--price: expected with --within only"),
    ],
)
def test_mistakes_are_one_line(command, flags, said):
    code, captured = command(*flags)
    assert code == 2 and captured.out == ""
    assert captured.err.count("\n") == 1 and said in captured.err


def test_a_run_of_epochs_needs_its_length(command):
    code, captured = command("--within=1", data__num_epochs=3, train__num_steps=None)
    assert code == 2 and "give --steps=N or --tokens=N" in captured.err
