"""Makes the rows of seeds in a process with its own sandbox, tokenizer and client.

Does not depend on Beam, so that its processes start fast.
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from data_pipeline.builder.deadline import BoundedWorker, TookTooLong
from data_pipeline.builder.groups import group_name, read_group, write_group
from data_pipeline.builder.options import BuildOptions
from data_pipeline.builder.progress import Heartbeat
from data_pipeline.builder.rows import SeedRows, seed_rows, timeout_rows
from data_pipeline.endpoint.client import Client
from data_pipeline.endpoint.reply_cache import CachedClient
from data_pipeline.endpoint.reply_folder import open_replies
from data_pipeline.execution.service import Sandbox
from data_pipeline.files import AnyPath, local_copy
from data_pipeline.pyx.control_tokens import OrdinaryEncoder
from data_pipeline.seeds import Seed
from data_pipeline.testcases import EXPLORATION_LIMITS


@dataclass(frozen=True)
class RowWork:
    """Holds what a worker needs to make rows.

    Args:
      options: of the build.
      recipe: digest of the options that decide the rows.
      folder: folder of group files.
      progress: folder of heartbeats.
      replies: file of the teacher's cached replies; in an object store, a folder of them.
      tokenizer: tokenizer.json for lengths; None for lengths in characters.
    """

    options: BuildOptions
    recipe: str
    folder: AnyPath
    progress: AnyPath
    replies: AnyPath
    tokenizer: "AnyPath | None"


class RowMaker:
    """Makes the rows of seeds, one at a time; owns a sandbox, a tokenizer and a client."""

    def __init__(self, work: RowWork):
        options = self._options = work.options
        self._sandbox = Sandbox(
            tier=options.tier, allow_weak=options.tier == "C", workers=1, limits=EXPLORATION_LIMITS
        )
        self._length_of: Callable[[str], int] = token_counter(work.tokenizer)
        self._client = self._replies = None
        if options.teacher is not None:
            self._client = Client(options.teacher.endpoint)
            self._replies = open_replies(work.replies)

    def __call__(self, given: tuple[Seed, bool]) -> SeedRows:
        """Makes the rows of (seed, whether it is held out)."""
        seed, held_out = given
        new_client = None if self._client is None else self._new_client
        return seed_rows(
            seed,
            self._sandbox,
            self._options,
            self._length_of,
            new_client,
            held_out=held_out,
        )

    def _new_client(self) -> CachedClient:
        """Makes a client for one seed, so that its cost is counted separately."""
        return CachedClient(self._client, self._replies)

    def close(self) -> None:
        self._sandbox.close()
        if self._client is not None:
            self._client.close()
            self._replies.close()


class GroupMaker:
    """Writes the files of groups of seeds; makes their rows in one process of its own."""

    def __init__(self, work: RowWork, heartbeat: Heartbeat):
        self.heartbeat = heartbeat
        self._work = work
        self._make_rows = BoundedWorker(partial(RowMaker, work))

    def write(
        self, number: str, seeds: Iterable[Seed], held_out: Container[str] = ()
    ) -> dict[str, Any]:
        """Writes the file of a group unless it exists.

        Returns {"file", "functions", "kept"}; "kept" is true if the file existed before.
        held_out: ids of the seeds for the split "eval".
        """
        work = self._work
        seeds = sorted(seeds, key=lambda seed: seed.id)
        name = group_name(number, seeds, work.recipe, held_out)
        made = read_group(work.folder / name)
        if made is not None:
            self.heartbeat.add(len(seeds), sum(map(len, made.rows.values())))
        else:
            write_group(
                work.folder / name, (self._rows(seed, seed.id in held_out) for seed in seeds)
            )
        return {"file": name, "functions": len(seeds), "kept": made is not None}

    def _rows(self, seed: Seed, held_out: bool) -> SeedRows:
        try:
            made = self._make_rows((seed, held_out))
        except TookTooLong as error:
            made = timeout_rows(seed, error, held_out=held_out)
        self.heartbeat.add(1, len(made.records))
        return made

    def close(self) -> None:
        self._make_rows.close()
        self.heartbeat.flush()


def token_counter(tokenizer_file: "AnyPath | None") -> Callable[[str], int]:
    """Returns a function that counts tokens without special ones, or characters for None."""
    if tokenizer_file is None:
        return len
    from tokenizers import Tokenizer

    encoder = OrdinaryEncoder(Tokenizer.from_file(str(local_copy(tokenizer_file))))
    return lambda text: len(encoder([text])[0])
