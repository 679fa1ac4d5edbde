"""Parses and describes TPU slices by name: `v5e:4x4` is 16 chips of a v5e in a 4 x 4 grid.

A slice of v2, v3, v5e and v6e is a rectangle of its pod; one of v4, v5p and tpu7x is a box. Several
slices joined by the data-center network are written `v5e:8x8x2slices`. Checking a name does not
need the TPU compiler; `describe` does.

Sources of the chips' figures: Google Cloud's page on each version (docs.cloud.google.com/tpu/docs/
v2 … tpu7x), for the links of v2 and v3 Norrie et al., The Design Process for Google's Training
Chips (2021), for those of v4 Jouppi et al., TPU v4 (2023). `usable_bytes` is the memory that
libtpu 0.0.42 reports when a program does not fit: the chip's memory minus the system's share.
"""

import dataclasses
import difflib
import itertools
import math
import re

from semcoder_jax.errors import UserError

GIBIBYTE = 2**30


class TopologyError(UserError):
    """Raised for a name that is not a TPU slice."""


@dataclasses.dataclass(frozen=True)
class Chip:
    """A TPU version; figures are per chip unless stated otherwise.

    Attributes:
      devices: JAX devices a chip shows (v4 as "megacore", its ordinary use: one).
      dimensions: of the grid of chips, 2 or 3.
      peak_flops: dense bfloat16 FLOP/s.
      memory_bytes: HBM as sold.
      usable_bytes: HBM of one *device* that a program may use.
      memory_bandwidth: HBM, bytes/s.
      link_bandwidth: one ICI link, one direction, bytes/s; a chip has two links a dimension.
      network_bandwidth: a chip's share of its host's data-center network, one direction, bytes/s;
        None if no page states it.
      largest: chips of the largest slice.
      sides: lengths of a side of a slice; in three dimensions all sides of more than one cube
        are multiples of 4.
      ring: a side of this length (three dimensions: every multiple of it, if all sides are)
        closes to a ring.
    """

    name: str
    devices: int
    dimensions: int
    peak_flops: float
    memory_bytes: float
    usable_bytes: float
    memory_bandwidth: float
    link_bandwidth: float
    network_bandwidth: float | None
    largest: int
    sides: tuple[int, ...]
    ring: int


_BOX_SIDES = (1, 2, 4, 8, 12, 16, 20, 24)
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v2", 2, 2, 45e12, 16e9, 7.48 * GIBIBYTE, 700e9, 62e9, None, 256, (2, 4, 8, 16), 16),
        Chip(
            "v3", 2, 2, 123e12, 32 * GIBIBYTE, 15.48 * GIBIBYTE, 900e9, 82e9, None, 1024,
            (2, 4, 8, 16, 32), 32,
        ),
        Chip(
            "v4", 1, 3, 275e12, 32 * GIBIBYTE, 30.75 * GIBIBYTE, 1200e9, 50e9, None, 4096,
            _BOX_SIDES, 4,
        ),
        Chip(
            "v5e", 1, 2, 197e12, 16e9, 15.75 * GIBIBYTE, 819e9, 50e9, 3.125e9, 256,
            (1, 2, 4, 8, 16), 16,
        ),
        Chip(
            "v5p", 1, 3, 459e12, 95 * GIBIBYTE, 95.74 * GIBIBYTE, 2765e9, 100e9, 6.25e9, 6144,
            _BOX_SIDES, 4,
        ),
        Chip(
            "v6e", 1, 2, 918e12, 32e9, 31.25 * GIBIBYTE, 1638e9, 100e9, 12.5e9, 256,
            (1, 2, 4, 8, 16), 16,
        ),
        Chip(
            "tpu7x", 2, 3, 2307e12, 192 * GIBIBYTE, 94.75 * GIBIBYTE, 7380e9, 100e9, 12.5e9, 9216,
            _BOX_SIDES, 4,
        ),
    )
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Topology:
    """`num_slices` slices of `shape` chips each."""

    chip: Chip
    shape: tuple[int, ...]
    num_slices: int = 1

    @property
    def slice_name(self) -> str:
        """Returns the compiler's name of one slice."""
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def name(self) -> str:
        slices = f"x{self.num_slices}slices" if self.num_slices > 1 else ""
        return self.slice_name + slices

    @property
    def num_chips(self) -> int:
        return math.prod(self.shape) * self.num_slices

    @property
    def num_devices(self) -> int:
        return self.num_chips * self.chip.devices

    @property
    def devices_per_slice(self) -> int:
        return self.num_devices // self.num_slices

    @property
    def links(self) -> int:
        """Returns the fewest ICI links of any chip.

        A side that closes to a ring gives two; any other longer than one chip gives one, because
        the chip at its end has one neighbour there.
        """
        return sum(2 if ring else 1 for side, ring in self._sides() if side > 1)

    def _sides(self):
        chip = self.chip
        whole = chip.dimensions == 2 or all(side % chip.ring == 0 for side in self.shape)
        for side in self.shape:
            yield side, whole and side % chip.ring == 0


def parse(name: str, num_slices: int | None = None) -> Topology:
    """Parses a topology name; `num_slices` may give the number of slices instead of the name.

    Raises TopologyError, with the nearest valid name, if the name is invalid.
    """
    match = re.fullmatch(r"(.+?)(?:x(\d+)slices?)?", name.strip().lower())
    found = match and _slice(match[1])
    if not found:
        raise TopologyError(f"topology {name!r} is none: {_nearest(name.strip().lower())}")
    named = int(match[2]) if match[2] else None
    if named is not None and num_slices not in (None, named):
        raise TopologyError(f"topology {name!r} says {named} slices, --slices {num_slices}")
    count = next((count for count in (named, num_slices) if count is not None), 1)
    if count < 1:
        raise TopologyError(f"topology {name!r}: expected at least 1 slice")
    return dataclasses.replace(found, num_slices=count)


def names(chip: Chip) -> list[str]:
    """Lists the slices of a version, smallest first."""
    sides = itertools.combinations_with_replacement(chip.sides, chip.dimensions)
    shapes = [shape for shape in map(_canonical_shape, sides) if _is_slice(chip, shape)]
    return [Topology(chip, shape).slice_name for shape in sorted(shapes, key=math.prod)]


def describe(topology: Topology) -> list:
    """Returns the JAX devices to compile for. Needs libtpu; raises TopologyError if it fails."""
    import jax
    from jax.experimental import topologies

    options = {}
    if math.prod(topology.shape) == 1:
        options["chips_per_host_bounds"] = (1, 1, 1)
    if topology.chip.name == "v4":
        options["chip_config_name"] = "megacore"
    if topology.num_slices > 1:
        options["num_slices"] = topology.num_slices
    try:
        found = topologies.get_topology_desc(
            platform="tpu", topology_name=topology.slice_name, **options
        )
    except jax.errors.JaxRuntimeError as error:
        line = str(error).strip().splitlines()[0]
        raise TopologyError(f"topology {topology.name}: the compiler refuses it: {line}") from None
    if len(found.devices) != topology.num_devices:
        raise TopologyError(
            f"topology {topology.name}: expected {topology.num_devices} devices, the compiler "
            f"has {len(found.devices)}"
        )
    return found.devices


def _slice(name: str) -> Topology | None:
    version, _, grid = name.partition(":")
    chip = CHIPS.get(version)
    if chip is None or not re.fullmatch(r"\d+(x\d+)*", grid):
        return None
    shape = tuple(map(int, grid.split("x")))
    return Topology(chip, shape) if _is_slice(chip, shape) else None


def _is_slice(chip: Chip, shape: tuple[int, ...]) -> bool:
    if len(shape) != chip.dimensions or math.prod(shape) > chip.largest:
        return False
    if chip.dimensions == 2:  # squares and one by two of them
        short, long = sorted(shape)
        square = set(shape) <= set(chip.sides) and long in (short, 2 * short)
        return square and shape == (short, long) and shape != (1, 2)
    if shape in ((2, 2, 1), (2, 2, 2), (2, 2, 4), (2, 4, 4)):
        return True
    return all(side % 4 == 0 for side in shape) and shape == tuple(sorted(shape))


def _canonical_shape(sides: tuple[int, ...]) -> tuple[int, ...]:
    """Sorts the sides as in the compiler's names: 2x2x1 for one host, otherwise ascending."""
    return (2, 2, 1) if sides == (1, 2, 2) else sides


def _nearest(name: str) -> str:
    version, _, grid = name.partition(":")
    # Cloud's accelerator types count chips; in v2, v3, v4 and v5p cores, two a chip.
    if match := re.fullmatch(r"(v\d\w*?|tpu7x)-(\d+)", name.replace("litepod", "e")):
        version, number = match[1], int(match[2])
        chips = number // 2 if version in ("v2", "v3", "v4", "v5p") else number
    else:
        sides = [int(side) for side in grid.split("x") if side.isdigit()]
        dimensions = CHIPS[version].dimensions if version in CHIPS else 0
        chips = math.prod(sides) if len(sides) == dimensions else 0
    if version in CHIPS and chips:
        found = min(names(CHIPS[version]), key=lambda n: abs(math.log(_slice(n).num_chips / chips)))
        return f"did you mean {found}?"
    known = [slice_name for chip in CHIPS.values() for slice_name in names(chip)]
    close = difflib.get_close_matches(name, [n for n in known if len(n) < 12], n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    return f"expected a version ({', '.join(CHIPS)}) and a grid of chips, like v5e:4x4 or v5p:2x2x2"
