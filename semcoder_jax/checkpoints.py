"""What a training run saves and how it is read back, for resuming and for inference.

A checkpoint holds four items: `params`, `optimizer`, `data` (the state of the input iterator)
and `meta` (step, checksums). It is written asynchronously by Orbax and appears under its final
name only when complete. Arrays are restored straight into the shards of any mesh.

A run of adapters (see lora) saves these alone, and the checksum of the base they belong to, which
is read again from where the run's config names it.
"""

import contextlib
import dataclasses
import hashlib
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from flax import nnx
from jax.experimental import multihost_utils

from semcoder_jax.config import Compute, DecoderConfig
from semcoder_jax.errors import UserError
from semcoder_jax.model.decoder import Decoder

# Not signs of damage: files that are missing, cut or altered make Orbax raise anything else.
_OUT_OF_MEMORY = (MemoryError, jax.errors.JaxRuntimeError)
CHECKPOINTS = "checkpoints"
MODEL = "model"


class CheckpointError(UserError):
    """A directory without a checkpoint, or one that does not fit."""


class BaseError(CheckpointError):
    """Adapters and a base that they were not trained over."""


@dataclasses.dataclass(frozen=True)
class RestoredCheckpoint:
    """A checkpoint read back; `data` is the state of the input iterator."""

    step: int
    params: Any
    optimizer: Any
    data: Any


class Checkpoints:
    """The checkpoints of one training workdir; a step is the number of updates made.

    Attributes:
      base: where the saved parameters belong to frozen ones: (the directory of these, checksum).
    """

    def __init__(self, workdir: str | Path, *, keep: int = 2):
        """The newest `keep` checkpoints are kept. Creates WORKDIR/checkpoints."""
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=True)
        self.base: tuple[str | None, str | None] = (None, None)
        self._directory = Path(workdir).absolute() / CHECKPOINTS
        self._manager = ocp.CheckpointManager(self._directory, options=options)

    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def save(self, step: int, params, optimizer_state, data_iterator) -> None:
        """Start saving; returns once the arrays may be overwritten (donated), before the files
        are complete. A step that is already saved is left alone."""
        if step == self._manager.latest_step():
            return
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
                    }
                ),
            ),
            force=True,
        )

    def restore_last(self, params, optimizer_state, data_iterator) -> "RestoredCheckpoint | None":
        """What was saved last and is sound, and `data_iterator` set to its place; None where
        nothing was saved. `params` and `optimizer_state` are trees of ShapeDtypeStructs that
        carry shardings.

        A checkpoint that cannot be read, or whose arrays are not those saved (by checksum), is
        put aside as STEP.damaged, with a warning, and the one before it is taken. Raises
        CheckpointError if none is sound, BaseError if it belongs to another base.
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
            raise CheckpointError(f"{self._directory}: none of its checkpoints can be restored")
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
                f"warning: {self._directory}/{step} is damaged ({_first_line(error)}); kept as "
                f"{damaged.name}, going on from the one before",
                file=sys.stderr,
            )
            shutil.rmtree(damaged, ignore_errors=True)
            (self._directory / str(step)).rename(damaged)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices(f"damaged {step}")
        self._manager.reload()

    def reached_preemption(self, step: int) -> bool:
        """Whether the processes of a jax.distributed run agree that this step is their last."""
        return self._manager.reached_preemption(step)

    def wait(self) -> None:
        """Until everything that was started is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        self._manager.close()


def check_base(base: str | Path | None, found: str | None, saved: str | None) -> None:
    if found != saved:
        raise BaseError(
            f"{base}: not the weights that the saved adapters were trained over (checksum {found}, "
            f"expected {saved}); put those back or begin in another --workdir"
        )


def abstract_model(config: DecoderConfig, compute: Compute) -> Decoder:
    """The module with shapes in place of arrays."""
    return nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0), compute=compute))


def with_shardings(tree, shardings, dtype: str | None = None):
    """ShapeDtypeStructs of `tree`, each with its sharding (and another dtype, if given)."""
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, dtype or leaf.dtype, sharding=place),
        tree,
        shardings,
    )


def restore_latest(workdir: Path, wanted, **others):
    """The parameters of the latest checkpoint as `wanted`, a tree of ShapeDtypeStructs with
    shardings, and `others` of its items."""
    options = ocp.CheckpointManagerOptions(read_only=True, save_interval_steps=0, create=False)
    with quiet_logs():  # of a warning that the manager may not write
        manager = ocp.CheckpointManager(
            (workdir / CHECKPOINTS).absolute(),
            options=options,
            handler_registry=_one_at_a_time_handlers(wanted),
        )
    try:
        step = manager.latest_step()
        if step is None:
            raise CheckpointError(f"{workdir}: no checkpoint yet in {CHECKPOINTS}/")
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


@jax.jit
def _bit_sums(tree):
    """The sum of each array's bits taken as unsigned integers, modulo 2^32: the same on any mesh,
    for integer addition has no order."""

    def bit_sum(leaf):
        bits = jnp.dtype(f"uint{8 * leaf.dtype.itemsize}")
        return jnp.sum(jax.lax.bitcast_convert_type(leaf, bits).astype(jnp.uint32))

    return jnp.stack([bit_sum(leaf) for leaf in jax.tree.leaves(tree)])


def checksum(tree) -> str:
    """Of all bits of a tree's arrays and their order; one replicated pass over them."""
    sums = np.asarray(jax.device_get(_bit_sums(tree)), "<u4")
    return hashlib.sha256(sums.tobytes()).hexdigest()[:16]


def _one_at_a_time_handlers(params) -> ocp.handlers.DefaultCheckpointHandlerRegistry:
    """Orbax copies what it reads to the devices, by default all arrays at once, which would hold
    the model twice: here as many as the largest one is large."""
    handler = ocp.StandardCheckpointHandler(restore_concurrent_gb=largest_gigabytes(params))
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    registry.add("params", ocp.args.StandardRestore, handler)
    registry.add("meta", ocp.args.JsonRestore, ocp.handlers.JsonCheckpointHandler())
    return registry


def largest_gigabytes(params) -> float:
    """Room for the largest array, in the unit of Orbax's limits (a fraction serves it too)."""
    leaves = jax.tree.leaves(params)
    largest = max(math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize for leaf in leaves)
    return 1.01 * largest / 1e9  # an array must be smaller than the limit


@contextlib.contextmanager
def quiet_logs():
    """Leaves out Orbax's warnings about its own defaults."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].split(" See full TensorStore")[0]
