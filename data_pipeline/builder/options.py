"""Defines the options of a build and validates them before anything starts."""

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from data_pipeline.decontamination.benchmark_tasks import visible_files
from data_pipeline.endpoint.client import Endpoint, EndpointError
from data_pipeline.errors import UserError
from data_pipeline.files import AnyPath, as_path, local_copy
from data_pipeline.source.import_closure import source_digest

DIRECT_RUNNER = "DirectRunner"
TIERS = ("A", "B", "C")
_ONLY_SHOW = (
    "data_pipeline.builder.page",
    "data_pipeline.builder.progress",
    "data_pipeline.builder.report",
    "data_pipeline.terminal",
)


class BuildError(UserError):
    """Reports a build that cannot be made with these options; one line: what, where, what to do."""


@dataclass(frozen=True)
class TeacherOptions:
    """Configures a teacher model, whose accepted monologues replace those of the offline narrator.

    Args:
      url: address of an OpenAI-compatible server; the key is read from OPENAI_API_KEY.
      model: the model's name on the server.
      attempts: most answers requested per monologue before the narrator's is used.
      temperature: sampling temperature.
      chat: True sends rules and an example as a chat, or as text if the server has no chat; False
        sends the checkpoints' bare prompt, for models trained on it.
      faults: faulty variants requested per function, in addition to the mutation operators.
      concurrency: most requests in flight per worker process.
      prices: per million prompt and completion tokens, in any currency.
    """

    url: str
    model: str
    attempts: int = 2
    temperature: float = 0.7
    chat: bool = True
    faults: int = 0
    concurrency: int = 8
    prices: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        bounds = {
            "--teacher_attempts": (self.attempts >= 1, "at least 1", self.attempts),
            "--teacher_temperature": (self.temperature >= 0, "at least 0", self.temperature),
            "--teacher_faults": (self.faults >= 0, "at least 0", self.faults),
            "--teacher_prices": (min(self.prices) >= 0, "at least 0", self.prices),
        }
        _check(bounds)
        try:
            self.endpoint  # noqa: B018
        except EndpointError as error:
            raise BuildError(f"--teacher: {error}") from None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.url, self.model, concurrency=self.concurrency)


@dataclass(frozen=True)
class BuildOptions:
    """Holds all options of a build.

    Options that decide the records:
      sources: folders, .jsonl[.gz] files of {"code", "nl", "tests"}, installed packages.
      seed: random seed for inputs, wording and faults.
      limit: most functions, chosen by hash; None for all.
      inputs: most inputs per function.
      faults: most PyX-R rows per function; 0 for none.
      heldout_share: share of functions, chosen by hash, for the split "eval"; 0 for none.
      benchmarks: files or folders of benchmarks, whose tasks must not occur in the records.
      tokenizer: folder or tokenizer.json; lengths are in its tokens, or in characters if None.
      max_length: longest prompt and response together, in that unit; None for no limit.
      teacher: model that writes monologues in addition to the offline narrator.
    Options that decide where it runs:
      runner: DirectRunner for this machine, without Beam, or the name of a Beam runner.
      workers: processes of the DirectRunner.
      pipeline: the runner's own options, such as "--region=europe-west4".
      tier: sandbox tier ("A", "B", "C"); None for the strongest available.
    """

    sources: tuple[str, ...]
    seed: int = 0
    limit: int | None = None
    inputs: int = 8
    faults: int = 3
    heldout_share: float = 0.04
    benchmarks: tuple[str, ...] = ()
    tokenizer: str | None = None
    max_length: int | None = None
    teacher: TeacherOptions | None = None
    runner: str = DIRECT_RUNNER
    workers: int = 2
    pipeline: tuple[str, ...] = ()
    tier: str | None = None

    def __post_init__(self) -> None:
        bounds = {
            "--limit": (self.limit is None or self.limit >= 1, "at least 1", self.limit),
            "--inputs": (self.inputs >= 1, "at least 1", self.inputs),
            "--faults": (self.faults >= 0, "at least 0", self.faults),
            "--heldout_share": (0 <= self.heldout_share < 1, "0 up to 1", self.heldout_share),
            "--max_length": (
                self.max_length is None or self.max_length >= 1,
                "at least 1",
                self.max_length,
            ),
            "--workers": (self.workers >= 1, "at least 1", self.workers),
            "--tier": (self.tier in (None, *TIERS), "A, B or C", self.tier),
        }
        if not self.sources:
            raise BuildError("--source: expected a folder, a .jsonl file or an installed package")
        _check(bounds)

    @property
    def tokenizer_file(self) -> AnyPath | None:
        """Returns the tokenizer.json for lengths, or None. Raises BuildError if it is missing."""
        if self.tokenizer is None:
            return None
        path = as_path(self.tokenizer)
        path = path / "tokenizer.json" if path.is_dir() else path
        if not path.is_file():
            raise BuildError(f"--tokenizer: {path}: no such file; expected a tokenizer.json")
        return path

    def benchmark_files(self) -> list[AnyPath]:
        """Lists the files that `benchmarks` names, sorted."""
        found: set[AnyPath] = set()
        for path in map(local_copy, self.benchmarks):
            found.update(_json_files(path) if path.is_dir() else [path])
        return sorted(found)

    def seeds_recipe(self, source_digest: str, tiers: str) -> str:
        """Returns a SHA-256 of everything that decides the set of functions.

        tiers: sandbox tiers in use, see `workers.join_tiers`.
        """
        return _hash(
            sources=source_digest,
            tiers=tiers,
            limit=self.limit,
            benchmarks=[_digest(path) for path in self.benchmark_files()],
        )

    def rows_recipe(self, tiers: str) -> str:
        """Returns a SHA-256 of everything that decides the records of a given function."""
        elsewhere = {"sources", "limit", "benchmarks", "runner", "workers", "pipeline", "tier"}
        decisive = {name: value for name, value in asdict(self).items() if name not in elsewhere}
        if decisive["teacher"] is not None:
            for name in ("concurrency", "prices"):
                del decisive["teacher"][name]
        decisive["tokenizer"] = self.tokenizer_file and _digest(self.tokenizer_file)
        return _hash(**decisive, tiers=tiers)


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Hashes the modules that make a dataset, so that results of other code are not reused.

    The sandbox's processes are listed because they are started by name, not imported.
    """
    by_name = ("data_pipeline.execution.launch", "data_pipeline.execution.guest.worker")
    return source_digest(("data_pipeline.builder.pipeline", *by_name), without=_ONLY_SHOW)


def _check(bounds: dict[str, tuple[bool, str, Any]]) -> None:
    for flag, (holds, expected, value) in bounds.items():
        if not holds:
            raise BuildError(f"{flag}: expected {expected}; got {value!r}")


def _json_files(folder: AnyPath) -> list[AnyPath]:
    return [path for path in visible_files(folder) if ".json" in path.name]


def _digest(path: AnyPath) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(**decisive: Any) -> str:
    decisive |= {"code": code_digest(), "python": list(sys.version_info[:2])}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
