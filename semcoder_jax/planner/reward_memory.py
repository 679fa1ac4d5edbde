"""Adds up the memory of learning from rewards, and finds a change that would make a run fit.

While a program runs, the arrays that stay and that it does not take lie beside it: the moments and
the reference beside the sampler, the reference and the cache beside the update. A program fits if
its own peak and those bytes fit together.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from semcoder_jax.planner.reward_programs import ARGUMENTS, UPDATE, CompiledProgram

CACHE = ("cache", "history")


@dataclasses.dataclass(frozen=True)
class Room:
    """The memory of one program on a device: its own bytes (None: unknown), and those beside it."""

    own_bytes: int | None
    beside_bytes: int
    usable_bytes: int

    @property
    def total_bytes(self) -> int | None:
        return None if self.own_bytes is None else self.own_bytes + self.beside_bytes

    @property
    def excess_bytes(self) -> int | None:
        """Returns the bytes that are lacking (negative: to spare); None if unknown."""
        return None if self.own_bytes is None else self.total_bytes - self.usable_bytes


def room_of(name: str, program: CompiledProgram, stay: Mapping[str, int]) -> Room:
    """Returns the room that a program needs beside the arrays `stay` (bytes by name)."""
    beside = sum(size for array, size in stay.items() if array not in ARGUMENTS[name])
    own = program.peak_bytes if program.fits else program.needed_bytes
    return Room(own, beside, program.usable_bytes)


@dataclasses.dataclass(frozen=True)
class Adjustable:
    """What of a config may change, beside the bytes of the arrays that stay.

    Attributes:
      slots: answers decoded together.
      tensor: devices that split the cache, at most `most_tensor`.
      microbatches: of an update, at most `most_microbatches`.
      saved_activations: bytes that the most microbatches save at least.
      adapter_bytes: bytes of weights if only adapters are trained; None if that is so already.
    """

    slots: int
    tensor: int
    most_tensor: int
    microbatches: int
    most_microbatches: int
    saved_activations: int
    adapter_bytes: int | None


@dataclasses.dataclass(frozen=True)
class Change:
    """A change of the config, its reason, and the bytes that it saves at least in every program."""

    flag: str
    reason: str
    saved_bytes: float


def fitting_change(
    rooms: Mapping[str, Room], stay: Mapping[str, int], given: Adjustable
) -> Change | None:
    """Returns the first change after which every program fits by these bytes, or None.

    None if all fit, if the compiler does not say what is lacking, or if no single change will do.
    """
    lacking = {name: room.excess_bytes for name, room in rooms.items()}
    if None in lacking.values() or max(lacking.values()) <= 0:
        return None
    excess = max(lacking.values())
    changes = _changes(excess, stay, given, {n for n, size in lacking.items() if size > 0})
    return next((change for change in changes if change.saved_bytes >= excess), None)


def _changes(
    excess: int, stay: Mapping[str, int], given: Adjustable, lacking: set[str]
) -> Iterator[Change]:
    """Yields changes, first those that cost only time; only some save enough."""
    if lacking == {UPDATE} and given.microbatches < given.most_microbatches:
        yield Change(
            f"train.accumulation_steps={given.most_microbatches}",
            f"an update in {given.microbatches} microbatch(es) keeps more activations",
            given.saved_activations,
        )
    cache, reference = sum(stay[name] for name in CACHE), stay["reference"]
    wider = given.tensor
    while (wider := 2 * wider) <= given.most_tensor:
        yield Change(
            f"mesh.tensor={wider}",
            f"only tensor splits the cache, {_gib(cache)} a device",
            cache * (1 - given.tensor / wider),
        )
    fewer = given.slots - -(-excess * given.slots // cache)
    if fewer >= 1:
        yield Change(
            f"rollouts.slots={fewer}",
            f"the cache of {given.slots} slots is {_gib(cache)} a device",
            cache * (1 - fewer / given.slots),
        )
    yield Change("objective.kl_weight=0", f"the reference is {_gib(reference)} a device", reference)
    if given.adapter_bytes is not None:
        trained = stay["weights"] + stay["moments"] + reference
        yield Change(
            "a section lora",
            f"weights, moments and reference are {_gib(trained)} a device",
            trained - given.adapter_bytes,
        )


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"
