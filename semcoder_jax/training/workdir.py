"""A workdir belongs to one config, and to one run at a time."""

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import jax

from data_pipeline.tokens.tokenizer_identity import tokenizer_difference
from semcoder_jax import hf
from semcoder_jax.checkpoints import CHECKPOINTS, MODEL
from semcoder_jax.config import ConfigError, RunConfig, differing_fields, parse_run
from semcoder_jax.errors import UserError

CONFIG_FILE = "config.json"
LOCK_FILE = "running.lock"


class WorkdirError(UserError):
    """A workdir that another run is using."""


def check_workdir(run: RunConfig, workdir: Path) -> None:
    """Raise ConfigError if WORKDIR holds a run of another config (harmless fields aside)."""
    path = workdir / CONFIG_FILE
    if not path.is_file():
        if (workdir / CHECKPOINTS).exists():
            raise ConfigError(
                f"{workdir}: holds checkpoints but no {CONFIG_FILE} of a training run; to start "
                f"from its model set model.init_from and choose another --workdir"
            )
        return
    try:
        recorded = parse_run(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ConfigError(f"{path}: not the config of a training run ({error})") from None
    if fields := differing_fields(run, recorded):
        differences = [
            f"{name} is {_short(ours)}, there {_short(theirs)}"
            for name, (ours, theirs) in fields.items()
        ]
        raise ConfigError(
            f"{path}: this workdir was begun with another config: {'; '.join(differences)}; "
            f"choose another --workdir or restore the field(s)"
        )


def check_tokenizer(tokenizer, workdir: Path, init_from: str | None) -> None:
    """Raise ConfigError if the data's tokenizer is not the one that WORKDIR's run was begun with,
    or gives tokens of the model in ``init_from`` other ids."""
    here = f"the data's tokenizer ({tokenizer.name_or_path})"
    if (workdir / MODEL / "tokenizer.json").is_file():
        difference = tokenizer_difference(tokenizer, hf.read_tokenizer(workdir / MODEL))
        if difference:
            raise ConfigError(
                f"{workdir / MODEL}: this workdir was begun with another tokenizer than {here}: "
                f"{difference}; choose another --workdir or restore data.tokenizer"
            )
    if init_from is not None:
        source = Path(init_from)
        folder = source / MODEL if (source / MODEL).is_dir() else source
        difference = tokenizer_difference(tokenizer, hf.read_tokenizer(folder), may_add_tokens=True)
        if difference:
            raise ConfigError(
                f"config: {here} is not that of model.init_from ({source}): {difference}"
            )


def write_config(run: RunConfig, workdir: Path) -> None:
    """Record the run's config in WORKDIR. Raises ConfigError if it cannot be written."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        partial = workdir / f"{CONFIG_FILE}.partial"
        partial.write_text(json.dumps(run.to_record(), indent=2) + "\n", encoding="utf-8")
        os.replace(partial, workdir / CONFIG_FILE)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from None


@contextlib.contextmanager
def lock_workdir(workdir: Path) -> Iterator[None]:
    """Hold WORKDIR for this run; the first process does so for all.

    Uses flock, which the kernel releases when the process exits for any reason; a file system
    without locks is used without one. A workdir made here in which the run wrote nothing is removed
    again. Raises WorkdirError if another run holds the lock.
    """
    if jax.process_index() != 0:
        yield
        return
    is_new = not workdir.exists()
    try:
        with _lock_file(workdir):
            yield
    finally:
        if is_new and [path.name for path in workdir.glob("*")] == [LOCK_FILE]:
            (workdir / LOCK_FILE).unlink()
            workdir.rmdir()


@contextlib.contextmanager
def _lock_file(workdir: Path) -> Iterator[None]:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = open(workdir / LOCK_FILE, "a+", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        raise WorkdirError(f"{error.filename}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise WorkdirError(
                f"{workdir}: another run ({file.read().strip() or 'unknown'}) is training here; "
                f"stop it or choose another --workdir"
            ) from None
        except OSError:
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
