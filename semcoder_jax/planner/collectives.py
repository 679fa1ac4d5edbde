"""Lists the collectives of a compiled step: kind, bytes, and number of runs.

Reads the program right after SPMD partitioning, where each collective has its own name and the
shapes are per device. Later passes hide them: the TPU compiler renames (a gather or
reduce-scatter may become an all-reduce), merges, and copies a collective into every stage of the
computation it overlaps with. `collectives` reads both forms.

Bytes assume ring algorithms, which have optimal bandwidth: of n devices, each sends
(n-1)/n of the array for an all-gather, reduce-scatter or all-to-all, twice that for an all-reduce,
all of it for a collective-permute.
"""

import dataclasses
import math
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from semcoder_jax.model import fsdp, sharding

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One exchange of one array.

    Attributes:
      kind: one of KINDS.
      dtype: JAX's name of it.
      shape: of the whole array on a device: a gather's result, a reduction's operand.
      group_size: number of devices that take part in each exchange.
      loops: numbers of turns of the enclosing loops, outermost first; () if it runs once a step.
      between_slices: whether a group spans several slices, so that it uses the data-center network.
      source: its place in the program, as the compiler reports it.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...]
    group_size: int
    loops: tuple[int, ...] = ()
    between_slices: bool = False
    source: str = ""

    @property
    def array_bytes(self) -> int:
        return math.prod(self.shape) * jnp.dtype(self.dtype).itemsize

    @property
    def times(self) -> int:
        """Returns the number of runs in a step."""
        return math.prod(self.loops)

    @property
    def moved_bytes(self) -> float:
        """Returns the bytes that each device sends in a step."""
        return self.times * ring_bytes(self.kind, self.array_bytes, self.group_size)


@dataclasses.dataclass(frozen=True)
class Minimum:
    """Bytes that each device must send in a step of fully sharded data parallelism.

    `gather` covers, in the compute dtype, the weights of each layer for the forward and the
    backward pass of each microbatch, and all other weights once per microbatch. `reduce` covers
    each gradient once per microbatch in that dtype. Gradients over `data`, and those of replicated
    parameters, are reduced once a step in float32.
    """

    gather: float
    reduce: float

    @property
    def total(self) -> float:
        return self.gather + self.reduce


def compile_with_collectives(
    lowered: jax.stages.Lowered, mesh: Mesh, dynamic_turns: int | None = None
) -> tuple[jax.stages.Compiled, tuple[Collective, ...]]:
    """Compiles the program; returns it with its collectives after partitioning.

    Raises JaxRuntimeError if the program does not fit the devices. `dynamic_turns` as in
    `collectives`.
    """
    with tempfile.TemporaryDirectory() as folder:
        compiled = lowered.compile(
            compiler_options={
                "xla_dump_to": folder,
                "xla_dump_hlo_pass_re": "spmd-partitioning",
                "xla_dump_hlo_as_text": True,
            }
        )
        texts = sorted(Path(folder).glob("*.after_*spmd-partitioning*.txt"))
        # A program for one device is not partitioned.
        text = texts[-1].read_text() if texts else compiled.as_text()
    slices = [getattr(device, "slice_index", 0) for device in mesh.devices.flat]
    return compiled, collectives(text, slices, dynamic_turns)


def collectives(
    text: str, slices: Sequence[int] = (), dynamic_turns: int | None = None
) -> tuple[Collective, ...]:
    """Finds every collective among several devices in the text of an HLO module.

    `slices` gives the slice of each device in mesh order (default: all in one). A loop whose turns
    the program does not fix counts with `dynamic_turns`, inside another loop with one; ValueError
    if that is None.
    """
    computations, entry = _computations(text)
    found: dict[tuple, Collective] = {}

    def turns(condition: str, loops: tuple[int, ...]) -> int:
        try:
            return _turns(condition, computations)
        except ValueError:
            if dynamic_turns is None:
                raise
            return 1 if loops else dynamic_turns

    def visit(name: str, loops: tuple[int, ...], fused: bool) -> None:
        # The compiler writes its own reduce-scatter as a fusion of an all-reduce and a slice.
        scatters = name.startswith("all-reduce-scatter")
        for line in computations.get(name, ()):
            instruction = _INSTRUCTION.match(line)
            if not instruction:
                continue
            operation = instruction["operation"]
            if operation == "while":
                body, condition = _callees(line, "body"), _callees(line, "condition")
                visit(body[0], (*loops, turns(condition[0], loops)), fused)
                continue
            kind = operation.removesuffix("-start")
            if kind in KINDS:
                for place, collective in enumerate(_read(kind, instruction, line, loops, slices)):
                    # Copies of one exchange in the stages of a fusion share a channel.
                    key = (_channel(line), loops, kind, place) if fused else (len(found),)
                    if scatters and kind == "all-reduce":
                        collective = dataclasses.replace(collective, kind="reduce-scatter")
                    found[key] = collective
            elif operation != "all-reduce-done":
                for called in _callees(line, "calls", "to_apply", "branch_computations"):
                    visit(called, loops, fused or operation == "fusion")

    visit(entry, (), False)
    return tuple(one for one in found.values() if one.group_size > 1)


def moved_bytes(exchanges: Iterable[Collective]) -> float:
    """Sums the bytes that each device sends in a step."""
    return sum(exchange.moved_bytes for exchange in exchanges)


def sent_bytes_by_kind(text: str) -> dict[str, float] | None:
    """Returns the bytes that each device sends in a step by kind, from an optimized program.

    None if the text has a loop whose number of turns is not plain.
    """
    try:
        found = collectives(text)
    except ValueError:
        return None
    kinds = sorted({one.kind for one in found})
    return {kind: moved_bytes(one for one in found if one.kind == kind) for kind in kinds}


def fsdp_minimum(
    shapes, shardings, mesh: Mesh, *, dtype: str, microbatches: int = 1, frozen=None
) -> Minimum:
    """Computes the bytes that fully sharded data parallelism must send.

    `shapes` (ShapeDtypeStructs) and `shardings` (NamedShardings) are trees of the trained
    parameters. `frozen` is a pair of such trees for the frozen parameters. `dtype` is the compute
    dtype.
    """
    gather = reduce = 0.0
    sizes = mesh.shape
    trees = [(shapes, shardings, True), *([(*frozen, False)] if frozen else [])]
    for tree, tree_shardings, trained in trees:
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        for (path, leaf), leaf_sharding in zip(
            leaves, jax.tree.leaves(tree_shardings), strict=True
        ):
            spec = tuple(leaf_sharding.spec)
            split = math.prod(sizes[axis] for axis in spec if axis == "tensor")
            elements = math.prod(leaf.shape) // split
            itemsize = leaf.dtype.itemsize
            if "fsdp" in spec:
                keys = sharding.path_keys(path)
                itemsize = fsdp.gathered_dtype(keys, leaf.dtype, dtype).itemsize
                passes = 2 if keys[0] == "layers" else 1
                gather += (
                    passes
                    * microbatches
                    * ring_bytes("all-gather", elements * itemsize, sizes["fsdp"])
                )
            if not trained:
                continue
            if "fsdp" in spec:
                reduce += microbatches * ring_bytes(
                    "reduce-scatter", elements * itemsize, sizes["fsdp"]
                )
                own = 4 * elements // sizes["fsdp"]
                reduce += ring_bytes("all-reduce", own, sizes["data"])
            else:
                reduce += ring_bytes("all-reduce", 4 * elements, sizes["data"] * sizes["fsdp"])
    return Minimum(gather, reduce)


def ring_bytes(kind: str, array_bytes: float, group_size: int) -> float:
    """Returns the bytes that each of `group_size` devices sends for an array of `array_bytes`."""
    share = (group_size - 1) / group_size
    if kind == "collective-permute":
        return float(array_bytes)
    return array_bytes * share * (2 if kind == "all-reduce" else 1)


# ==== The text of an HLO module

_INSTRUCTION = re.compile(
    r"^\s*(?:ROOT )?%?(?P<name>[\w.-]+) = (?P<type>\(.*?\)|\S+) (?P<operation>[\w-]+)\("
)
_HEADER = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.-]+) \(.*->.*\{\s*$")
_ARRAY = re.compile(r"\b(pred|bf16|f8\w+|[suf]\d+)\[([\d,]*)\]")
_DTYPES = {
    "pred": "bool",
    "bf16": "bfloat16",
    "f": "float",
    "s": "int",
    "u": "uint",
    "c": "complex",
}


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """Returns the lines of each computation by its name, and the name of the entry."""
    found, entry, lines = {}, "", []
    for line in text.splitlines():
        if header := _HEADER.match(line):
            lines = found.setdefault(header["name"], [])
            entry = header["name"] if header["entry"] else entry
        else:
            lines.append(line)
    return found, entry


def _callees(line: str, *attributes: str) -> list[str]:
    """Returns the names of the computations in an instruction's attributes."""
    names = []
    for attribute in attributes:
        for value in re.findall(rf"\b{attribute}=(\{{[^}}]*\}}|%?[\w.-]+)", line):
            names += re.findall(r"[\w.-]+", value)
    return names


def _turns(condition: str, computations: dict[str, list[str]]) -> int:
    """Returns the number of turns of a jax.lax.scan loop: the upper limit of its counter."""
    lines = list(computations[condition])
    for called in [name for line in lines for name in _callees(line, "calls", "to_apply")]:
        lines += computations.get(called, [])
    limits = [
        int(limit)
        for line in lines
        for limit in re.findall(r" [su]\d+\[\]\S* constant\((\d+)\)", line)
    ]
    if len(limits) != 1:
        raise ValueError(f"loop condition {condition}: expected one constant, found {limits}")
    return limits[0]


def _read(kind, instruction, line, loops, slices) -> list[Collective]:
    groups = _groups(line)
    group_size = 2 if kind == "collective-permute" else groups.shape[1]
    arrays = [
        (_dtype(dtype), tuple(int(size) for size in sizes.split(",") if size))
        for dtype, sizes in _ARRAY.findall(instruction["type"])
    ]
    if instruction["operation"] == "collective-permute-start":
        arrays = arrays[1:2]  # (operand, result, two numbers)
    elif instruction["operation"].endswith("-start") and kind != "all-reduce":
        arrays = arrays[len(arrays) // 2 :]  # (operands, results)
    source = re.search(r'op_name="([^"]*)"', line)
    across = any(len({slices[i] for i in group}) > 1 for group in groups) if slices else False
    found = []
    for dtype, shape in arrays:
        if kind == "reduce-scatter":  # the text shows the result
            axis = int(re.search(r"dimensions=\{(\d+)\}", line)[1])
            shape = (*shape[:axis], shape[axis] * group_size, *shape[axis + 1 :])
        found.append(
            Collective(kind, dtype, shape, group_size, loops, across, source[1] if source else "")
        )
    return found


def _groups(line: str) -> np.ndarray:
    """Parses the replica groups in any of HLO's forms; returns devices, int [groups, devices]."""
    if pairs := re.search(r"source_target_pairs=\{(\{.*?\})\}", line):
        return np.array(
            [[int(i) for i in re.findall(r"\d+", pair)] for pair in pairs[1].split("},")]
        )
    if listed := re.search(r"replica_groups=\{(\{.*?\})\}", line):
        return np.array(
            [[int(i) for i in re.findall(r"\d+", one)] for one in listed[1].split("},")]
        )
    if iota := re.search(r"replica_groups=\[(\d+),(\d+)\]<=(\S+?)(?:,\s|$)", line):
        return _iota(iota[3]).reshape(int(iota[1]), int(iota[2]))
    named = re.search(r"replica_groups=mesh\[(.*?)\](?:, device_ids=\((.*?\)?)\))? \{(.*?)\}", line)
    if not named:
        raise ValueError(f"devices of a collective are written in an unknown form: {line[:300]}")
    sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", named[1])}
    ids = _iota(named[2]) if named[2] else np.arange(math.prod(sizes.values()))
    axes = list(sizes)
    exchanged = [axes.index(name) for name in re.findall(r"'(\w+)'", named[3])]
    others = [axis for axis in range(len(axes)) if axis not in exchanged]
    size = math.prod(sizes[axes[axis]] for axis in exchanged)
    return ids.reshape(list(sizes.values())).transpose(*others, *exchanged).reshape(-1, size)


def _iota(text: str) -> np.ndarray:
    """Parses HLO's iota form: [4,2]T(1,0) is arange(8) in shape [4, 2], transposed by (1, 0)."""
    sizes = [int(size) for size in re.search(r"\[([\d,]+)\]", text)[1].split(",")]
    order = re.search(r"T\(([\d,]+)\)", text)
    ids = np.arange(math.prod(sizes)).reshape(sizes)
    return (ids.transpose([int(i) for i in order[1].split(",")]) if order else ids).reshape(-1)


def _channel(line: str) -> str:
    found = re.search(r"channel_id=(\d+)", line)
    return found[1] if found else line


def _dtype(name: str) -> str:
    return _DTYPES.get(name) or _DTYPES[name[0]] + name[1:]
