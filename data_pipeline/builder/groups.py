"""What a build keeps between its stages: seeds as JSON lines, and the rows of groups of seeds.

A group's file is written whole or not at all and named by all that decides its content, so that
a build which was killed goes on with the groups that are there, and one with a changed source
makes only the groups that changed.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from data_pipeline.builder.rows import EVAL, TRAIN, DeadLetter, SeedRows
from data_pipeline.builder.tally import Tally
from data_pipeline.files import write_json
from data_pipeline.pyx.records import Record, parse_record, record_to_row
from data_pipeline.seeds import Seed

GROUPS = 1024  # a thousand functions are lost at most one by one, a million by the thousand


def group_of(seed: Seed) -> str:
    return f"{int(seed.id[:8], 16) % GROUPS:04d}"


def seed_to_json(seed: Seed) -> str:
    return json.dumps(asdict(seed), sort_keys=True)


def seed_from_json(line: str) -> Seed:
    row = json.loads(line)
    return Seed(**row | {name: tuple(row[name]) for name in ("calls", "tests")})


def group_name(group: str, seeds: Sequence[Seed], recipe: str) -> str:
    """The file name of a group: of its seeds (sorted by id) and the options of its records."""
    digest = hashlib.sha256(recipe.encode())
    for seed in seeds:
        digest.update(seed_to_json(seed).encode() + b"\n")
    return f"{group}-{digest.hexdigest()[:24]}.json"


@dataclass(frozen=True)
class Group:
    """A group as read back: rows of upstream's schema by split, and what else it gave."""

    rows: dict[str, list[dict[str, str]]]
    problems: list[dict[str, str]]
    dead: list[dict[str, str]]
    tally: Tally

    def records(self, split: str) -> Iterator[Record]:
        for row in self.rows[split]:
            yield parse_record(row, "a group of this build")


def write_group(path: Path, parts: Iterable[SeedRows]) -> Group:
    rows: dict[str, list[dict[str, str]]] = {TRAIN: [], EVAL: []}
    problems: list[dict[str, str]] = []
    dead: list[DeadLetter] = []
    tally = Tally()
    for part in parts:
        rows[part.split] += [record_to_row(record) for record in part.records]
        problems += part.problems
        dead += part.dead
        tally.add(part.tally)
    told = {
        "rows": rows,
        "problems": problems,
        "dead": [asdict(letter) for letter in dead],
        "tally": tally.to_json(),
    }
    write_json(path, told, durable=True)
    return Group(rows, problems, told["dead"], tally)


def read_group(path: Path) -> Group | None:
    """None where there is none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Group(told["rows"], told["problems"], told["dead"], Tally.from_json(told["tally"]))
