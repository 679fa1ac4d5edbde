"""Ensures that a workdir belongs to one config and to one run at a time.

A workdir may be in Google Cloud Storage. What every machine can make again then lies on its own
disk, in `machine_folder`.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax

from data_pipeline.files import (
    AnyPath,
    FileError,
    HeldLock,
    LockError,
    as_path,
    check_folder_ours,
    hold_lock,
    is_remote,
    remove_partials,
    write_json,
)
from data_pipeline.tokens.tokenizer_identity import tokenizer_difference
from semcoder_jax import hf
from semcoder_jax.cache import cache_folder
from semcoder_jax.checkpoints import CHECKPOINTS, MODEL
from semcoder_jax.config import ConfigError, RunConfig, differing_fields, parse_run
from semcoder_jax.errors import UserError
from semcoder_jax.training.goodput import GOODPUT_FILE
from semcoder_jax.training.log import SKIPPED_FILE
from semcoder_jax.training.metrics import METRICS_FILE

CONFIG_FILE = "config.json"
LOCK_FILE = "running.lock"
_LEASE_SECONDS = 75.0  # a lease of data_pipeline.files.leases, and some more
_LOCK_PAUSE = 2.0
_BEFORE = ("compiled", "lost+found")  # what may lie in WORKDIR before a run's first step
_LENGTHS = ("train.num_steps", "data.num_epochs")
_WRITTEN = (METRICS_FILE, GOODPUT_FILE, SKIPPED_FILE)  # after CONFIG_FILE


class WorkdirError(UserError):
    """Raised if another run is using the workdir."""


def as_workdir(workdir: str | os.PathLike) -> AnyPath:
    """Returns the path of a workdir. Raises ConfigError if no run can be there."""
    path = as_path(workdir)
    if str(path).startswith("s3://"):
        raise ConfigError(
            f"--workdir={path}: checkpoints are written to local folders and gs:// only (Orbax); "
            "train there and copy the exported model"
        )
    return path


def machine_folder(workdir: AnyPath) -> Path:
    """Returns the folder of a run on this machine's disk: WORKDIR itself, if it is local."""
    if not is_remote(workdir):
        return Path(workdir)
    key = hashlib.sha256(str(workdir).encode()).hexdigest()[:16]
    return cache_folder() / "workdirs" / key / workdir.name


def check_workdir(run: RunConfig, workdir: AnyPath) -> None:
    """Raises ConfigError if WORKDIR holds a run of another config (ignoring harmless fields).

    A run may become longer if its learning rate does not depend on its length.
    """
    path = workdir / CONFIG_FILE
    if not path.is_file():
        if (workdir / CHECKPOINTS).exists():
            raise ConfigError(
                f"{workdir}: holds checkpoints but no {CONFIG_FILE} of a training run; to start "
                f"from its model set model.init_from and choose another --workdir"
            )
        check_folder_ours("--workdir", workdir, CONFIG_FILE, _WRITTEN)
        _check_no_foreign_files(workdir)
        return
    try:
        recorded = parse_run(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ConfigError(f"{path}: not the config of a training run ({error})") from None
    fields = differing_fields(run, recorded)
    asks_for_more = _asks_for_more_steps(fields)
    if fields and not (asks_for_more and run.optimizer.is_constant):
        differences = [
            f"{name} is {_shorten(ours)}, there {_shorten(theirs)}"
            for name, (ours, theirs) in fields.items()
        ]
        what_to_do = "choose another --workdir or restore the field(s)"
        if asks_for_more:
            what_to_do = (
                f"its learning rate is planned to fall to the minimum by then; for more steps set "
                f"model.init_from={workdir} and another --workdir"
            )
        raise ConfigError(
            f"{path}: this workdir was begun with another config: {'; '.join(differences)}; "
            f"{what_to_do}"
        )


def _check_no_foreign_files(workdir: AnyPath) -> None:
    """Raises ConfigError if the workdir holds visible files and no run has ever begun there."""
    if not workdir.is_dir() or (workdir / LOCK_FILE).exists():
        return
    names = (path.name for path in workdir.iterdir())
    foreign = sorted(name for name in names if name not in _BEFORE and not name.startswith("."))
    if foreign:
        raise ConfigError(
            f"--workdir={workdir}: expected a new or empty folder, or that of a training run; "
            f"this one holds {_shorten(foreign[0])}"
        )


def _asks_for_more_steps(fields: Mapping[str, tuple]) -> bool:
    """Returns whether a greater length of the run is the only difference."""
    if fields.keys() not in ({name} for name in _LENGTHS):
        return False
    ((ours, theirs),) = fields.values()
    return ours is not None and theirs is not None and ours > theirs


def check_tokenizer(tokenizer, workdir: AnyPath, init_from: str | None) -> None:
    """Raises ConfigError if the data's tokenizer differs from that of WORKDIR's run.

    Raises it, too, if tokens of the model in `init_from` have other ids.
    """
    here = f"the data's tokenizer ({tokenizer.name_or_path})"
    if (workdir / MODEL / "tokenizer.json").is_file():
        difference = tokenizer_difference(tokenizer, hf.read_tokenizer(workdir / MODEL))
        if difference:
            raise ConfigError(
                f"{workdir / MODEL}: this workdir was begun with another tokenizer than {here}: "
                f"{difference}; choose another --workdir or restore data.tokenizer"
            )
    if init_from is not None:
        source = as_path(init_from)
        folder = source / MODEL if (source / MODEL).is_dir() else source
        difference = tokenizer_difference(tokenizer, hf.read_tokenizer(folder), may_add_tokens=True)
        if difference:
            raise ConfigError(
                f"config: {here} is not that of model.init_from ({source}): {difference}"
            )


def write_config(run: RunConfig, workdir: AnyPath) -> None:
    """Records the run's config in WORKDIR. Raises ConfigError if it cannot be written."""
    try:
        write_json(workdir / CONFIG_FILE, run.to_record(), indent=2)
    except FileError as error:
        raise ConfigError(str(error)) from None


@contextlib.contextmanager
def lock_workdir(workdir: AnyPath) -> Iterator[HeldLock]:
    """Locks WORKDIR for this run; the first process locks it for all, and yields its lock.

    Removes half-written files of a killed run and, at the end, a workdir that this run created but
    left empty. Raises WorkdirError if another run holds the lock.
    """
    if jax.process_index() != 0:
        yield HeldLock()
        return
    is_new = not is_remote(workdir) and not workdir.exists()
    with contextlib.ExitStack() as stack:
        try:
            lock = _take_lock(stack, workdir / LOCK_FILE)
        except FileError as error:
            raise WorkdirError(str(error)) from None
        except LockError as error:
            raise WorkdirError(
                f"{workdir}: another run ({error.holder}) is training here; "
                f"stop it or choose another --workdir"
            ) from None
        if is_new:
            stack.callback(_remove_unused, workdir)
        remove_partials(workdir)
        yield lock


def _take_lock(stack: contextlib.ExitStack, path: AnyPath) -> HeldLock:
    """Takes the lock; in an object store, where a killed process's lock lasts a while, waits.

    Only a run of several processes waits: its launcher may start it again on other machines before
    the lease of the former has ended.
    """
    waits = is_remote(path) and jax.process_count() > 1
    last = time.monotonic() + (_LEASE_SECONDS if waits else 0.0)
    while True:
        try:
            return stack.enter_context(hold_lock(path, wait=False))
        except LockError:
            if time.monotonic() >= last:
                raise
        time.sleep(_LOCK_PAUSE)


def _remove_unused(workdir: AnyPath) -> None:
    if [path.name for path in workdir.glob("*")] == [LOCK_FILE]:
        (workdir / LOCK_FILE).unlink()
        workdir.rmdir()


def _shorten(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
