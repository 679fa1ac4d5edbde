"""Stores a build's intermediate results: seeds as JSON lines, and rows by group of seeds.

A group file is written atomically and its name is a hash of everything that decides its content.
So a killed build reuses the groups it has finished, and a changed source rebuilds only the groups
it affects.
"""

import hashlib
import json
import math
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from data_pipeline.builder.held_out import EVAL, TRAIN
from data_pipeline.builder.rows import DeadLetter, SeedRows
from data_pipeline.builder.tally import Tally
from data_pipeline.files import AnyPath, write_json
from data_pipeline.pyx.records import Record, parse_record, record_to_row
from data_pipeline.seeds import Seed

GROUPS = 1024  # fewest groups, so that small builds are shared out and killed ones repeat little
GROUP_SECONDS = 60.0  # work of one core that a group holds at most, and a killed build repeats
_INPUT_SECONDS = 0.1  # of one core for each input of a function (measured on toolz and boltons)


def count_groups(functions: int, inputs: int) -> int:
    """Returns the number of groups, a power of two, for groups of about GROUP_SECONDS of work.

    More functions double it now and then; until then their groups stay as they are.
    """
    wanted = functions * inputs * _INPUT_SECONDS / GROUP_SECONDS
    return max(GROUPS, 1 << math.ceil(math.log2(max(wanted, 1))))


def group_of(seed: Seed, groups: int = GROUPS) -> str:
    """Returns the number of a seed's group, at least four digits."""
    return f"{int(seed.id[:8], 16) % groups:04d}"


def seed_to_row(seed: Seed) -> dict[str, Any]:
    return dict(sorted(asdict(seed).items()))


def seed_to_json(seed: Seed) -> str:
    return json.dumps(seed_to_row(seed))


def seed_from_json(line: str) -> Seed:
    return seed_from_row(json.loads(line))


def seed_from_row(row: dict[str, Any]) -> Seed:
    return Seed(**row | {name: tuple(row[name]) for name in ("calls", "tests")})


def group_name(
    group: str, seeds: Sequence[Seed], recipe: str, held_out: Container[str] = ()
) -> str:
    """Returns a group's file name, a hash of `recipe` and of its sorted seeds with their splits."""
    digest = hashlib.sha256(recipe.encode())
    for seed in seeds:
        split = b"\n" if seed.id not in held_out else b" held out\n"
        digest.update(seed_to_json(seed).encode() + split)
    return f"{group}-{digest.hexdigest()[:24]}.json"


@dataclass(frozen=True)
class RowGroup:
    """Holds a group: rows of upstream's schema by split, problems, dead letters and counts.

    Args:
      functions: split -> digests of the functions and classes in the programs of its seeds.
      variants: id of a training row with a faulty program -> digests and length (`SeedRows`).
    """

    rows: dict[str, list[dict[str, str]]]
    problems: list[dict[str, str]]
    dead: list[dict[str, str]]
    tally: Tally
    functions: dict[str, list[str]]
    variants: dict[str, dict[str, Any]]

    def records(self, split: str) -> Iterator[Record]:
        for row in self.rows[split]:
            yield parse_record(row, "a group of this build")


def write_group(path: AnyPath, parts: Iterable[SeedRows]) -> RowGroup:
    """Merges the rows of the group's seeds and writes them to `path`."""
    rows: dict[str, list[dict[str, str]]] = {TRAIN: [], EVAL: []}
    problems: list[dict[str, str]] = []
    dead: list[DeadLetter] = []
    tally = Tally()
    functions: dict[str, set[str]] = {TRAIN: set(), EVAL: set()}
    variants: dict[str, dict[str, Any]] = {}
    for part in parts:
        functions[part.split] |= part.functions
        variants |= part.variants
        rows[part.split] += [record_to_row(record) for record in part.records]
        problems += part.problems
        dead += part.dead
        tally.add(part.tally)
    content = {
        "rows": rows,
        "problems": problems,
        "dead": [asdict(letter) for letter in dead],
        "tally": tally.to_json(),
        "functions": {split: sorted(digests) for split, digests in functions.items()},
        "variants": variants,
    }
    write_json(path, content, durable=True)
    return RowGroup(**content | {"tally": tally})


def read_group(path: AnyPath) -> RowGroup | None:
    """Reads a group file; None if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return RowGroup(**content | {"tally": Tally.from_json(content["tally"])})
