"""Caches compiler results on disk, so that a program is compiled once.

The key of a result is a hash of everything that determines it: the sections of the config that
shape the program, the topology, the versions of the libraries that lower and compile it, and the
source of the step. $SEMCODER_CACHE or ~/.cache/semcoder-jax, in `plans/`.
"""

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path

from data_pipeline.files import write_json
from data_pipeline.source.import_closure import source_digest
from semcoder_jax.cache import cache_folder
from semcoder_jax.config import RunConfig

REPOSITORY = Path(__file__).parents[2]
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "tokamax")
# Of these sections only these fields reach the program; other sections count whole.
_FIELDS = {
    "data": ("sequence_length", "global_batch_size"),
    "train": ("accumulation_steps", "skip_gradient_norm"),
    "initialization": (),
    "rewards": (),
    "accuracy": (),
    "seed": (),
}
PROCESS = "semcoder_jax.planner.compiler_process"


class PlanCache:
    """Stores results (JSON values) by key; creates `folder` with the first."""

    def __init__(self, folder: Path | None = None):
        self._folder = folder or cache_folder() / "plans"

    def get(self, key: str) -> dict | None:
        """Returns the result, or None if it is missing or unreadable."""
        try:
            return json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def put(self, key: str, answer: dict) -> None:
        """Writes a result atomically, also with concurrent writers."""
        write_json(self._path(key), answer)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def plan_key(
    run: RunConfig,
    topology: str,
    libtpu_version: str,
    question: object = None,
    process: str = PROCESS,
) -> str:
    """Returns the cache key of a program's result.

    `question` (a JSON value) distinguishes several results of one program, `process` is the module
    that answers it.
    """
    record = run.to_record()
    for section, fields in _FIELDS.items():
        given = record.pop(section)
        if isinstance(given, Mapping):
            record[section] = {name: given[name] for name in fields}
    record["model"].pop("init_from", None)
    parts = {
        "run": record,
        "topology": topology,
        "question": question,
        "libtpu": libtpu_version,
        "packages": {name: _version(name) for name in _PACKAGES},
        "source": source_hash(process),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


@functools.cache
def source_hash(process: str = PROCESS) -> str:
    """Returns a hash of the step's source, the planner's and all our modules that they import."""
    return source_digest(["semcoder_jax.training.step", process])


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
