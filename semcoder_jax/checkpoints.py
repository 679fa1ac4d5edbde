"""Saves the state of a training run and restores it, for resuming and for inference.

A checkpoint holds four items: `params`, `optimizer`, `data` (the state of the input iterator)
and `meta` (step, checksums). It is written asynchronously by Orbax and appears under its final
name only when complete. Arrays are restored straight into the shards of any mesh.

A LoRA run saves only its adapters and the checksum of their base. Restoring reads the base again
from the directory that the run's config names.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from flax import nnx
from jax.experimental import multihost_utils

from data_pipeline.files import AnyPath, FileError, as_path, is_remote
from semcoder_jax.config import Compute, DecoderConfig
from semcoder_jax.errors import UserError
from semcoder_jax.model.decoder import Decoder

# These errors are no sign of damage: for missing, truncated or altered files Orbax raises others.
_OUT_OF_MEMORY = (MemoryError, jax.errors.JaxRuntimeError)
CHECKPOINTS = "checkpoints"
MODEL = "model"


class CheckpointError(UserError):
    """Raised for a directory without a checkpoint, or with one that does not fit."""


class BaseError(CheckpointError):
    """Raised if adapters were trained over another base."""


@dataclasses.dataclass(frozen=True)
class RestoredCheckpoint:
    """A restored checkpoint; `data` is the state of the input iterator."""

    step: int
    params: Any
    optimizer: Any
    data: Any


class Checkpoints:
    """Saves and restores the checkpoints of one training workdir; a step counts updates made.

    Attributes:
      base: (directory, checksum) of the frozen parameters that the saved adapters belong to.
    """

    def __init__(self, workdir: str | os.PathLike, *, keep: int = 2, keep_every: int = 0):
        """Creates WORKDIR/checkpoints: the newest `keep`, the best, and multiples of `keep_every`.

        keep_every: 0 keeps no multiples.
        """
        self._kept = _KeptSteps(keep, keep_every)
        options = ocp.CheckpointManagerOptions(
            preservation_policy=self._kept, enable_async_checkpointing=True
        )
        self.base: tuple[str | None, str | None] = (None, None)
        self._directory = as_path(workdir).absolute() / CHECKPOINTS
        logging.get_absl_logger().addFilter(_is_no_interrupt)
        self._manager = ocp.CheckpointManager(str(self._directory), options=options)

    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def save(
        self,
        step: int,
        params,
        optimizer_state,
        data_iterator,
        *,
        eval_loss: float | None = None,
        accuracy: float | None = None,
        best_by: str = "loss",
        best_step: int | None = None,
    ) -> None:
        """Starts saving; returns once the arrays may be donated, before the files are complete.

        Does nothing if this step is already saved. `eval_loss` and `accuracy` are those of this
        step, if computed; `best_by` names the one that decides which checkpoint is the best, and
        `best_step` is the step to keep from now on.
        """
        if step == self._manager.latest_step():
            return
        self._kept.best_step = best_step
        self._check_space((params, optimizer_state))
        with self._store_errors():
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardSave(params),
                    optimizer=ocp.args.StandardSave(optimizer_state),
                    # One state for all processes, so that their number may change.
                    data=ocp.args.JsonSave(data_iterator.get_state()),
                    meta=ocp.args.JsonSave(
                        {
                            "step": step,
                            "checksum": checksum((params, optimizer_state)),
                            "base": self.base[1],
                            "eval_loss": eval_loss,
                            "accuracy": accuracy,
                            "best_by": best_by,
                        }
                    ),
                ),
                force=True,
            )

    @contextlib.contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Raises what an object store refuses as a FileError."""
        try:
            yield
        except (UserError, *_OUT_OF_MEMORY):
            raise
        except Exception as error:
            if not is_remote(self._directory):
                raise
            reason = f"the checkpoint cannot be saved: {_first_line(error)}"
            raise FileError(errno.EIO, reason, str(self._directory)) from error

    def _check_space(self, arrays) -> None:
        """Raises FileError if the disk has less room than this process's shards need."""
        if is_remote(self._directory):
            return
        shards = (shard for leaf in jax.tree.leaves(arrays) for shard in leaf.addressable_shards)
        needed = sum(shard.data.nbytes for shard in shards if shard.replica_id == 0)
        free = shutil.disk_usage(self._directory).free
        if free < needed:
            reason = f"{os.strerror(errno.ENOSPC)} (a checkpoint needs {needed:,} bytes)"
            raise FileError(errno.ENOSPC, reason, str(self._directory))

    def restore_last(self, params, optimizer_state, data_iterator) -> "RestoredCheckpoint | None":
        """Restores the latest undamaged checkpoint and sets `data_iterator` to its position.

        Returns None if nothing was saved. `params` and `optimizer_state` are trees of
        ShapeDtypeStructs that carry shardings.

        Renames a checkpoint that cannot be read, or whose checksum differs, to STEP.damaged with
        a warning, and tries the one before it. Raises CheckpointError if all are damaged,
        BaseError if the checkpoint belongs to another base.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            try:
                restored = self._restore(step, params, optimizer_state)
            except (BaseError, *_OUT_OF_MEMORY):
                raise
            except Exception as error:
                self._set_aside_damaged(step, error)
                continue
            data_iterator.set_state(restored.data)
            return restored
        if steps:
            raise CheckpointError(f"{self._directory}: no checkpoint here can be restored")
        return None

    def _restore(self, step: int, params, optimizer_state) -> "RestoredCheckpoint":
        read = self._manager.restore(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(params),
                optimizer=ocp.args.StandardRestore(optimizer_state),
                data=ocp.args.JsonRestore(),
                meta=ocp.args.JsonRestore(),
            ),
        )
        found, saved = checksum((read.params, read.optimizer)), read.meta["checksum"]
        if found != saved:
            raise CheckpointError(f"checksum {found}, saved with {saved}")
        check_base(*self.base, read.meta.get("base"))
        return RestoredCheckpoint(step, read.params, read.optimizer, read.data)

    def _set_aside_damaged(self, step: int, error: Exception) -> None:
        damaged = self._directory / f"{step}.damaged"
        if jax.process_index() == 0:
            print(
                f"warning: {self._directory}/{step} is damaged ({_first_line(error)}); renamed "
                f"to {damaged.name}, restoring the checkpoint before it",
                file=sys.stderr,
            )
            _rename(self._directory / str(step), damaged)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices(f"damaged {step}")
        self._manager.reload()

    def reached_preemption(self, step: int) -> bool:
        """Returns whether all processes of a run agree that this step is the last."""
        return self._manager.reached_preemption(step)

    def is_saving(self) -> bool:
        """Returns whether a save that was started is not on disk yet."""
        return self._manager.is_saving_in_progress()

    def wait(self) -> None:
        """Waits until every save that was started is on disk. Raises FileError."""
        with self._store_errors():
            self._manager.wait_until_finished()

    def close(self) -> None:
        self._manager.close()


@dataclasses.dataclass
class _KeptSteps:
    """Orbax's PreservationPolicy: the `newest`, that of `best_step`, and multiples of `every`."""

    newest: int
    every: int = 0
    best_step: int | None = None

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        first = len(checkpoints) - self.newest
        return [i >= first or self._is_wanted(one.step) for i, one in enumerate(checkpoints)]

    def _is_wanted(self, step: int) -> bool:
        return step == self.best_step or (self.every > 0 and step % self.every == 0)


def _rename(folder: AnyPath, new: AnyPath) -> None:
    """Renames a folder over another one; in an object store, copies and removes its files."""
    if is_remote(folder):
        new.rmtree(missing_ok=True)
    else:
        shutil.rmtree(new, ignore_errors=True)
    folder.rename(new)


def check_base(base: str | os.PathLike | None, found: str | None, saved: str | None) -> None:
    if found != saved:
        raise BaseError(
            f"{base}: not the weights that the saved adapters were trained over (checksum {found}, "
            f"expected {saved}); put those weights back or choose another --workdir"
        )


def abstract_model(config: DecoderConfig, compute: Compute) -> Decoder:
    """Returns the decoder with shapes in place of arrays."""
    return nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0), compute=compute))


def with_shardings(tree, shardings, dtype: str | None = None):
    """Returns `tree` as ShapeDtypeStructs with `shardings`, and with `dtype` if given."""
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, dtype or leaf.dtype, sharding=place),
        tree,
        shardings,
    )


def restore_step(workdir: AnyPath, wanted, which: int | str | None = None, **others):
    """Restores the parameters of a checkpoint, and the items in `others`.

    `wanted` is a tree of ShapeDtypeStructs with shardings; `which` is a step, "best" (by the
    run's `train.best_by`, of a run with `train.keep_best`), or None for the latest. Raises
    CheckpointError.
    """
    options = ocp.CheckpointManagerOptions(read_only=True, save_interval_steps=0, create=False)
    with quiet_logs():  # Orbax warns that a read-only manager cannot write
        manager = ocp.CheckpointManager(
            str((workdir / CHECKPOINTS).absolute()),
            options=options,
            handler_registry=_one_at_a_time_handlers(wanted),
        )
    try:
        step = _find_step(workdir, manager, which)
        args = ocp.args.Composite(params=ocp.args.StandardRestore(wanted), **others)
        return manager.restore(step, args=args)
    except (CheckpointError, *_OUT_OF_MEMORY):
        raise
    except Exception as error:
        raise CheckpointError(
            f"{workdir}/{CHECKPOINTS}/{step}: cannot be restored: {_first_line(error)}"
        ) from error
    finally:
        manager.close()


def _find_step(workdir: AnyPath, manager: ocp.CheckpointManager, which: int | str | None) -> int:
    steps = manager.all_steps()
    if not steps:
        raise CheckpointError(f"{workdir}: no checkpoint yet in {CHECKPOINTS}/")
    if which is None:
        return max(steps)
    if which in steps:
        return int(which)
    if which != "best":
        known = ", ".join(map(str, sorted(steps)))
        raise CheckpointError(f"{workdir}: no checkpoint of step {which}, expected {known} or best")
    if _keeps_no_best(workdir):
        known = ", ".join(map(str, sorted(steps)))
        raise CheckpointError(
            f"{workdir}: the run kept no best step (train.keep_best is False); it has {known}"
        )
    evaluations = {step: _evaluation(manager, step) for step in steps}
    best_by = evaluations[max(steps)].get("best_by", "loss")
    losses = {step: _loss(evaluation, best_by) for step, evaluation in evaluations.items()}
    evaluated = [(loss, step) for step, loss in losses.items() if loss is not None]
    if not evaluated:
        raise CheckpointError(
            f"{workdir}: none of its checkpoints was evaluated; train.keep_best keeps the best one"
        )
    return min(evaluated)[1]


def _keeps_no_best(workdir: AnyPath) -> bool:
    """Returns whether the run's config says so; an imported model has none.

    The best of the newest checkpoints, which such a run keeps, is nearly always the last.
    """
    try:
        fields = json.loads((workdir / "config.json").read_text(encoding="utf-8"))
        return fields["train"]["keep_best"] is False
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _evaluation(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    """Returns the figures that were saved with a checkpoint; none for an imported model."""
    args = ocp.args.Composite(meta=ocp.args.JsonRestore())
    try:
        return manager.restore(step, args=args).meta or {}
    except (KeyError, FileNotFoundError):
        return {}


def _loss(evaluation: dict[str, Any], best_by: str) -> float | None:
    """Returns the held-out loss or the share of wrong answers; None without a number."""
    accuracy, loss = evaluation.get("accuracy"), evaluation.get("eval_loss")
    if best_by == "accuracy":
        loss = None if accuracy is None else 1 - accuracy
    return None if loss is None or loss != loss else loss


@jax.jit
def _bit_sums(tree):
    """Sums each array's bits as unsigned integers, modulo 2^32.

    The sum is the same on any mesh, because integer addition does not depend on order.
    """

    def bit_sum(leaf):
        bits = jnp.dtype(f"uint{8 * leaf.dtype.itemsize}")
        return jnp.sum(jax.lax.bitcast_convert_type(leaf, bits).astype(jnp.uint32))

    return jnp.stack([bit_sum(leaf) for leaf in jax.tree.leaves(tree)])


def checksum(tree) -> str:
    """Returns a checksum of all bits of a tree's arrays, in order; makes one pass over them."""
    sums = np.asarray(jax.device_get(_bit_sums(tree)), "<u4")
    return hashlib.sha256(sums.tobytes()).hexdigest()[:16]


def _one_at_a_time_handlers(params) -> ocp.handlers.DefaultCheckpointHandlerRegistry:
    """Returns handlers that restore no more bytes at a time than the largest array has.

    By default Orbax copies all arrays to the devices at once, which would hold the model twice.
    """
    handler = ocp.StandardCheckpointHandler(restore_concurrent_gb=largest_gigabytes(params))
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    registry.add("params", ocp.args.StandardRestore, handler)
    registry.add("meta", ocp.args.JsonRestore, ocp.handlers.JsonCheckpointHandler())
    return registry


def largest_gigabytes(params) -> float:
    """Returns the size of the largest array in GB, the unit of Orbax's limits."""
    leaves = jax.tree.leaves(params)
    largest = max(math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize for leaf in leaves)
    return 1.01 * largest / 1e9  # an array must be smaller than the limit


@contextlib.contextmanager
def quiet_logs():
    """Hides Orbax's warnings about its own defaults."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _is_no_interrupt(record) -> bool:
    """Hides the traceback that Orbax logs if Ctrl-C ends its waiting; the command says enough.

    A filter of the log, which takes each function once.
    """
    return not (record.exc_info and record.exc_info[0] is KeyboardInterrupt)


def _first_line(error: Exception) -> str:
    """Returns the first line, without TensorStore's description of what it opened."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return line.split(" See full TensorStore")[0].split(" [tensorstore_spec")[0]
