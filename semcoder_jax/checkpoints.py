"""What a training run saves and how it is read back, for resuming and for inference.

A checkpoint holds four items: ``params``, ``optimizer``, ``data`` (the state of the input iterator)
and ``meta`` (step, checksum). It is written asynchronously by Orbax and appears under its final
name only when complete. Arrays are restored straight into the shards of any mesh.
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
from jax.sharding import Mesh

from semcoder_jax import hf, sharding
from semcoder_jax.model import Compute, Decoder, DecoderConfig
from semcoder_jax.quantization import abstract_quantized, quantize_params

# Not signs of damage: files that are missing, cut or altered make Orbax raise anything else.
_OUT_OF_MEMORY = (MemoryError, jax.errors.JaxRuntimeError)
CHECKPOINTS = "checkpoints"
MODEL = "model"


class CheckpointError(ValueError):
    """A directory without a checkpoint, or one that does not fit."""


@dataclasses.dataclass(frozen=True)
class Restored:
    """A checkpoint read back; ``data`` is the state of the input iterator."""

    step: int
    params: Any
    optimizer: Any
    data: Any


class Checkpoints:
    """The checkpoints of one training workdir; a step is the number of updates made."""

    def __init__(self, workdir: str | Path, *, keep: int = 2):
        """The newest ``keep`` checkpoints are kept. Creates WORKDIR/checkpoints."""
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=True)
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
                    {"step": step, "checksum": _checksum((params, optimizer_state))}
                ),
            ),
            force=True,
        )

    def restore_last(self, params, optimizer_state, data_iterator) -> "Restored | None":
        """What was saved last and is sound, and ``data_iterator`` set to its place; None where
        nothing was saved. ``params`` and ``optimizer_state`` are trees of ShapeDtypeStructs that
        carry shardings.

        A checkpoint that cannot be read, or whose arrays are not those saved (by checksum), is
        put aside as STEP.damaged, with a warning, and the one before it is taken. Raises
        CheckpointError if none is sound.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            try:
                restored = self._restore(step, params, optimizer_state)
            except _OUT_OF_MEMORY:
                raise
            except Exception as error:
                self._put_aside(step, error)
                continue
            data_iterator.set_state(restored.data)
            return restored
        if steps:
            raise CheckpointError(f"{self._directory}: none of its checkpoints can be restored")
        return None

    def _restore(self, step: int, params, optimizer_state) -> "Restored":
        read = self._manager.restore(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(params),
                optimizer=ocp.args.StandardRestore(optimizer_state),
                data=ocp.args.JsonRestore(),
                meta=ocp.args.JsonRestore(),
            ),
        )
        found, saved = _checksum((read.params, read.optimizer)), read.meta["checksum"]
        if found != saved:
            raise CheckpointError(f"checksum {found}, saved with {saved}")
        return Restored(step, read.params, read.optimizer, read.data)

    def _put_aside(self, step: int, error: Exception) -> None:
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


@dataclasses.dataclass(frozen=True)
class Model:
    """A model ready for pure jitted functions over (graphdef, params), and its tokenizer."""

    config: DecoderConfig
    graphdef: nnx.GraphDef
    params: nnx.State
    tokenizer: Any


def load_model(
    directory: str | Path,
    *,
    mesh: Mesh | None = None,
    dtype: str = "float32",
    compute: Compute | None = None,
    quantize: bool = False,
) -> Model:
    """The model in an HF directory, or the latest one of a training workdir (parameters only).

    Parameters are read as ``dtype`` into their shards on ``mesh`` (None: the first device).
    ``compute`` defaults to computing in ``dtype``. ``quantize``: weights as int8 (see
    quantization), made in the host's memory, so that no accelerator holds more than the integers.
    Raises CheckpointError, or hf.HFError.
    """
    directory = Path(directory)
    compute = compute or Compute(dtype=dtype)
    if quantize:
        host = sharding.make_mesh({}, jax.local_devices(backend="cpu")[:1])
        model = load_model(directory, mesh=host, dtype=dtype, compute=compute)
        shapes = abstract_quantized(model.params)
        mesh = mesh or sharding.make_mesh({}, jax.local_devices()[:1])
        places = sharding.parameter_shardings(shapes, mesh)
        return dataclasses.replace(model, params=quantize_params(model.params, places))
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such directory")
    if (directory / CHECKPOINTS).is_dir():
        config = hf.read_config(directory / MODEL)
        tokenizer = hf.read_tokenizer(directory / MODEL)
        graphdef, params = _load_workdir(directory, config, mesh, dtype, compute)
        return Model(config, graphdef, params, tokenizer)
    if not (directory / "config.json").is_file():
        raise CheckpointError(
            f"{directory}: neither an HF directory (config.json) nor a training workdir "
            f"({CHECKPOINTS}/)"
        )
    config, params = hf.load(directory, mesh=mesh, dtype=dtype)
    graphdef, _ = nnx.split(abstract_model(config, compute))
    return Model(config, graphdef, params, hf.read_tokenizer(directory))


def abstract_model(config: DecoderConfig, compute: Compute) -> Decoder:
    """The module with shapes in place of arrays."""
    return nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0), compute=compute))


def with_shardings(tree, shardings, dtype: str | None = None):
    """ShapeDtypeStructs of ``tree``, each with its sharding (and another dtype, if given)."""
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, dtype or leaf.dtype, sharding=place),
        tree,
        shardings,
    )


def _load_workdir(workdir: Path, config, mesh, dtype, compute) -> tuple[nnx.GraphDef, nnx.State]:
    mesh = mesh or sharding.make_mesh({}, jax.local_devices()[:1])
    graphdef, state = nnx.split(abstract_model(config, compute))
    shapes = nnx.to_pure_dict(state)
    wanted = with_shardings(shapes, sharding.parameter_shardings(shapes, mesh), dtype)
    options = ocp.CheckpointManagerOptions(read_only=True, save_interval_steps=0, create=False)
    with _quiet_logs():  # of a warning that the manager may not write
        manager = ocp.CheckpointManager(
            (workdir / CHECKPOINTS).absolute(),
            options=options,
            handler_registry=_restoring_one_at_a_time(wanted),
        )
    try:
        step = manager.latest_step()
        if step is None:
            raise CheckpointError(f"{workdir}: no checkpoint yet in {CHECKPOINTS}/")
        args = ocp.args.Composite(params=ocp.args.StandardRestore(wanted))
        params = manager.restore(step, args=args).params
    except (CheckpointError, *_OUT_OF_MEMORY):
        raise
    except Exception as error:
        raise CheckpointError(
            f"{workdir}/{CHECKPOINTS}/{step}: cannot be restored: {_first_line(error)}"
        ) from error
    finally:
        manager.close()
    nnx.replace_by_pure_dict(state, params)
    return graphdef, state


@jax.jit
def _bit_sums(tree):
    """The sum of each array's bits taken as unsigned integers, modulo 2^32: the same on any mesh,
    for integer addition has no order."""

    def bit_sum(leaf):
        bits = jnp.dtype(f"uint{8 * leaf.dtype.itemsize}")
        return jnp.sum(jax.lax.bitcast_convert_type(leaf, bits).astype(jnp.uint32))

    return jnp.stack([bit_sum(leaf) for leaf in jax.tree.leaves(tree)])


def _checksum(tree) -> str:
    """Of all bits of a tree's arrays and their order; one replicated pass over them."""
    sums = np.asarray(jax.device_get(_bit_sums(tree)), "<u4")
    return hashlib.sha256(sums.tobytes()).hexdigest()[:16]


def _restoring_one_at_a_time(params) -> ocp.handlers.DefaultCheckpointHandlerRegistry:
    """Orbax copies what it reads to the devices, by default all arrays at once, which would hold
    the model twice: here as many as the largest one is large."""
    handler = ocp.StandardCheckpointHandler(restore_concurrent_gb=largest_gigabytes(params))
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    registry.add("params", ocp.args.StandardRestore, handler)
    return registry


def largest_gigabytes(params) -> float:
    """Room for the largest array, in the unit of Orbax's limits (a fraction serves it too)."""
    leaves = jax.tree.leaves(params)
    largest = max(math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize for leaf in leaves)
    return 1.01 * largest / 1e9  # an array must be smaller than the limit


@contextlib.contextmanager
def _quiet_logs():
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].split(" See full TensorStore")[0]
