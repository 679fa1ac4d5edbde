"""Tests TPU slices by name: the valid ones, their links, and the errors for wrong names."""

import math

import pytest

from semcoder_jax.model import flops
from semcoder_jax.planner.topologies import CHIPS, TopologyError, names, parse


@pytest.mark.parametrize(
    ("name", "chips", "devices"),
    [
        ("v5e:1x1", 1, 1),
        ("v5e:4x4", 16, 16),
        ("v5e:16x16", 256, 256),
        ("v4:2x2x4", 16, 16),  # megacore: a chip is one device
        ("v5p:2x2x2", 8, 8),
        ("v6e:4x8", 32, 32),
        ("v3:2x2", 4, 8),  # a chip is two devices
        ("tpu7x:2x2x1", 4, 8),
        ("V5E:8x8x2slices", 128, 128),
        (" v5p:4x4x4x2slices ", 128, 128),
    ],
)
def test_a_name_is_read(name, chips, devices):
    topology = parse(name)
    assert (topology.num_chips, topology.num_devices) == (chips, devices)
    assert parse(topology.name) == topology


def test_slices_are_told_apart_from_sides():
    topology = parse("v4:2x2x4", num_slices=2)
    assert topology == parse("v4:2x2x4x2slices")
    assert topology.slice_name == "v4:2x2x4" and topology.devices_per_slice == 16
    with pytest.raises(TopologyError, match="says 2 slices, --slices 3"):
        parse("v5e:4x4x2slices", num_slices=3)
    with pytest.raises(TopologyError, match="at least 1 slice"):
        parse("v5e:4x4", num_slices=0)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("v5e:4x5", "v5e:4x4"),
        ("v5e-16", "v5e:4x4"),
        ("v5litepod-64", "v5e:8x8"),
        ("v4-32", "v4:2x2x4"),  # Cloud's name counts cores
        ("v5p-128", "v5p:4x4x4"),
        ("v6e-256", "v6e:16x16"),
        ("v6e:4*4", "v6e:4x4"),
        ("v5:2x2x2", "v5p:2x2x2"),
        ("v5e:4x2", "v5e:2x4"),
        ("v5e:32x32", "v5e:16x16"),
        ("v5e:4x4x4", "v5p:4x4x4"),
        ("v4:4x2x4", "v4:2x4x4"),
        ("h100", "like v5e:4x4"),
        ("", "like v5e:4x4"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest_real_one(wrong, nearest):
    with pytest.raises(TopologyError) as caught:
        parse(wrong)
    assert nearest in str(caught.value) and "\n" not in str(caught.value)
    assert repr(wrong) in str(caught.value)


def test_every_listed_name_can_be_parsed():
    for chip in CHIPS.values():
        listed = names(chip)
        assert [parse(name).slice_name for name in listed] == listed
        sizes = [parse(name).num_chips for name in listed]
        assert sizes == sorted(sizes) and sizes[-1] <= chip.largest


@pytest.mark.parametrize(
    ("name", "links"),
    [
        ("v5e:1x1", 0),
        ("v5e:4x4", 2),  # the corner of a grid that does not close
        ("v5e:8x16", 3),  # one side closes to a ring
        ("v5e:16x16", 4),
        ("v4:2x2x1", 2),
        ("v4:2x2x4", 3),  # rings are made of whole cubes only
        ("v5p:4x4x4", 6),
        ("v5p:4x4x4x2slices", 6),
    ],
)
def test_links_of_the_chip_that_has_fewest(name, links):
    assert parse(name).links == links


def test_peaks_are_those_that_training_reports_mfu_by():
    kinds = {
        "v2": "TPU v2", "v3": "TPU v3", "v4": "TPU v4", "v5e": "TPU v5e", "v5p": "TPU v5p",
        "v6e": "TPU v6e", "tpu7x": "TPU7x",
    }  # fmt: skip
    for name, kind in kinds.items():
        chip = CHIPS[name]
        assert math.isclose(chip.peak_flops / chip.devices, flops.peak_flops(kind)), name


def test_a_program_may_use_a_little_less_than_the_memory_sold():
    for chip in CHIPS.values():
        sold = chip.memory_bytes / chip.devices
        assert 0.9 * sold < chip.usable_bytes < 1.08 * sold, chip.name
