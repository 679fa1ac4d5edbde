"""Training, from a config to checkpoints:

    python -m semcoder_jax.train --config=configs/quickstart.py --workdir=DIR [--config.a.b=…]

Run again with the same arguments it goes on from the last checkpoint, and the losses that follow
are those of an unbroken run, bit for bit on the same mesh. SIGTERM or Ctrl-C finishes the step,
saves and leaves with exit code 0.

WORKDIR: config.json (the checked config), model/ (an HF directory without weights), checkpoints/
(Orbax), metrics.jsonl and tensorboard/, skipped.jsonl (steps whose gradient was not used), corpus/
and data/ (what the source prepares).
"""

import contextlib
import dataclasses
import functools
import itertools
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from ml_collections import ConfigDict

from data_pipeline import pyx, synthetic, vocabulary
from data_pipeline.input import BatchIterator, InputError, TrainInput
from data_pipeline.packing import PackingError
from data_pipeline.prompts import training_prompt
from data_pipeline.pyx import PyxError
from data_pipeline.records import RecordError
from semcoder_jax import command_line, hf, sharding
from semcoder_jax.checkpoints import (
    MODEL,
    CheckpointError,
    Checkpoints,
    abstract_model,
    load_model,
    with_shardings,
)
from semcoder_jax.config import (
    ConfigError,
    RunConfig,
    check_arguments,
    parse_run,
)
from semcoder_jax.initialization import InitializationConfig, with_copying_heads
from semcoder_jax.loss import chunked_cross_entropy
from semcoder_jax.metrics import (
    METRICS_FILE,
    SKIPPED_FILE,
    NotFiniteError,
    RunLog,
    read_metrics,
)
from semcoder_jax.model import Decoder, DecoderConfig
from semcoder_jax.optimizer import (
    OptimizerError,
    accumulated_gradients,
    learning_rate_schedule,
    make_optimizer,
    optimizer_shardings,
)
from semcoder_jax.preemption import StopSignal
from semcoder_jax.workdir import WorkdirError, check_workdir, claimed, write_config

USER_ERRORS = (
    command_line.CommandLineError,
    ConfigError,
    CheckpointError,
    NotFiniteError,
    OptimizerError,
    PyxError,
    hf.HFError,
    sharding.MeshError,
    InputError,
    PackingError,
    RecordError,
    synthetic.CorpusError,
    WorkdirError,
)


@dataclasses.dataclass(frozen=True)
class Data:
    """The opened data: training batches from step 0 on, held-out batches if there are any.

    ``record_ids(step)``: the ids of the records that update ``step`` (from 1) learns from, of all
    processes' rows.
    """

    tokenizer: Any
    train: BatchIterator
    eval: TrainInput | None
    num_steps: int
    record_ids: Callable[[int], list[str]]


class TrainState(NamedTuple):
    """All that a step changes. ``step`` counts updates made; ``params`` is plain dicts."""

    step: jax.Array
    params: Any
    optimizer: Any


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a session of training came to.

    ``step`` of ``num_steps`` updates are made and saved; ``eval_loss`` is the held-out loss of
    the last evaluation, None without one; ``tokens_per_second`` counts tokens that are not
    padding, after compilation; ``seconds`` is this session's wall time.
    """

    step: int
    num_steps: int
    eval_loss: float | None
    tokens_per_second: float
    seconds: float


def train(config: ConfigDict | dict, workdir: str | Path) -> TrainResult:
    """Train to ``train.num_steps``, or until stopped; go on from WORKDIR's last checkpoint.

    Raises one of USER_ERRORS, before anything is compiled, if the config or the workdir is wrong.
    Raises NotFiniteError, with the state saved, after ``train.max_skipped_steps`` bad steps.
    """
    run = parse_run(config)
    mesh = sharding.make_mesh(run.mesh)
    check_batch(run, mesh)
    check_workdir(run, Path(workdir))
    with claimed(Path(workdir)):
        return _train(run, mesh, Path(workdir))


def _train(run: RunConfig, mesh: Mesh, workdir: Path) -> TrainResult:
    started = time.monotonic()

    # ---- Data
    data = open_data(run, workdir)
    num_steps = data.num_steps

    # ---- Model, optimizer and the places of their arrays
    decoder_config = resolve_architecture(run, data.tokenizer)
    graphdef, _ = nnx.split(abstract_model(decoder_config, run.compute))
    optimizer = make_optimizer(run.optimizer, num_steps)
    initialize = functools.partial(
        initial_state, decoder_config, optimizer, run.seed, run.initialization
    )
    shapes = jax.eval_shape(initialize)
    places = state_shardings(shapes, mesh)
    if jax.process_index() == 0:  # all is checked: the workdir is this config's from here on
        write_config(run, workdir)
        hf.write_model_directory(workdir / MODEL, decoder_config, data.tokenizer)

    # ---- State: of the last checkpoint, or a new one
    checkpoints = Checkpoints(workdir, keep=run.train.keep_checkpoints)
    first = checkpoints.latest_step() or 0
    last = min(num_steps, run.train.stop_after_step or num_steps)
    if first >= last:
        checkpoints.close()
        return TrainResult(first, num_steps, _last_eval_loss(workdir), 0.0, 0.0)
    restored = restored_state(checkpoints, shapes, places, data.train)
    first = int(restored.step) if restored else 0
    if restored:
        state = restored
    elif "init_from" in run.model:
        state = state_from(run.model["init_from"], optimizer, places, mesh)
    else:
        # It runs once: optimizing it well takes three times as long as all the rest on CPU.
        quick = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
        state = jax.jit(initialize, out_shardings=places, compiler_options=quick)()

    # ---- Steps
    train_step = make_train_step(run, num_steps, graphdef, optimizer, mesh, places)
    evaluate = make_evaluation(graphdef, data.eval, run.train.eval_batches, mesh)

    # ---- Loop
    log = RunLog(workdir, first, num_steps, run.train.log_every, data.record_ids)
    log.say(f"{_size(shapes.params)} parameters on {mesh.size} device(s), from step {first}")
    eval_loss, stop = None, StopSignal()
    with stop, contextlib.closing(checkpoints), contextlib.closing(log):
        for step in range(first + 1, last + 1):
            batch = sharding.put_batch(next(data.train), mesh)
            # No other transfer is meant: a hidden one is an error, not a slowdown.
            with jax.transfer_guard("disallow"):
                state, metrics = train_step(state, batch)
                log.step(step, metrics)
            stopping = stop.requested(step, checkpoints) or step == last
            if data.eval and (step == num_steps or _due(step, run.train.eval_every)):
                log.flush()
                with log.pause():
                    eval_loss = evaluate(state.params)
                log.evaluation(step, eval_loss)
            failing = log.skipped > run.train.max_skipped_steps
            if stopping or failing or _due(step, run.train.checkpoint_every):
                log.flush()
                checkpoints.save(step, state.params, state.optimizer, data.train)
            if stopping or failing:
                break
        checkpoints.wait()
    data.train.close()
    if failing:
        raise NotFiniteError(
            f"{workdir}: {log.skipped} steps were skipped, more than train.max_skipped_steps "
            f"({run.train.max_skipped_steps}); step {step} is saved, see {SKIPPED_FILE}"
        )
    if step < num_steps:
        log.say(f"stopped: step {step} is saved; the same command goes on from there")
    if eval_loss is None:
        eval_loss = _last_eval_loss(workdir)
    seconds = time.monotonic() - started
    return TrainResult(step, num_steps, eval_loss, log.tokens_per_second, seconds)


# ==== Before the first step


def check_batch(run: RunConfig, mesh: Mesh) -> None:
    """Raise ConfigError unless every microbatch splits evenly over the mesh and the processes."""
    rows = run.data.global_batch_size // run.train.accumulation_steps
    shards = math.lcm(sharding.batch_shards(mesh), jax.process_count())
    if rows % shards:
        raise ConfigError(
            f"config: data.global_batch_size {run.data.global_batch_size} in "
            f"{run.train.accumulation_steps} microbatch(es) gives {rows} rows, which the mesh's "
            f"{shards} batch shards (data x fsdp) do not divide"
        )


def open_data(run: RunConfig, workdir: Path) -> Data:
    """Tokenizer and batches; builds the synthetic corpus or a tokenizer first if the config asks
    for it."""
    data_dir, tokenizer_path = _prepared(run, workdir)
    tokenizer = hf.read_tokenizer(tokenizer_path)
    shared = {
        "tokenizer": tokenizer,
        "sequence_length": run.data.sequence_length,
        "global_batch_size": run.data.global_batch_size,
        "overlong": run.data.overlong,
        "process_index": jax.process_index(),
        "process_count": jax.process_count(),
    }
    train_records = pyx.load(data_dir, "train")
    train_input = TrainInput(train_records, seed=run.seed, num_epochs=run.data.num_epochs, **shared)
    held_out = None
    if "eval" in pyx.splits(data_dir):
        records = pyx.load(data_dir, "eval")
        held_out = TrainInput(records, seed=0, num_epochs=1, shuffle=False, **shared)
    num_steps = run.train.num_steps
    if num_steps is None:
        num_steps = train_input.num_steps()

    def record_ids(step: int) -> list[str]:
        return [train_records[int(number)].id for number in train_input.records(step - 1)]

    return Data(tokenizer, train_input.iterator(), held_out, num_steps, record_ids)


def _prepared(run: RunConfig, workdir: Path) -> tuple[Path, Path]:
    """(folder of the prepared dataset, tokenizer directory), both whole."""
    if run.data.source == "pyx":
        return Path(run.data.directory), _tokenizer_of(run, workdir)
    jsonl_by_split, tokenizer_path = _data_paths(run, workdir)
    pyx.prepare(jsonl_by_split, workdir / "data")
    return workdir / "data", tokenizer_path


def _tokenizer_of(run: RunConfig, workdir: Path) -> Path:
    """The tokenizer that the config names, or one of the dataset's own words."""
    if run.data.tokenizer:
        return Path(run.data.tokenizer)
    folder = workdir / "tokenizer"
    records = pyx.load(run.data.directory, "train")
    if jax.process_index() == 0:
        texts = itertools.chain.from_iterable(
            (training_prompt(record), record.response) for record in records
        )
        vocabulary.train_tokenizer(texts, run.data.vocabulary_words).save_pretrained(folder)
    _barrier("tokenizer")
    return folder


def _data_paths(run: RunConfig, workdir: Path) -> tuple[dict[str, Path], Path]:
    """JSONL by split ("train", perhaps "eval"), tokenizer directory."""
    data = run.data
    if data.source == "jsonl":
        paths = {"train": data.train, "eval": data.eval}
        paths = {split: Path(path) for split, path in paths.items() if path}
        for split, path in paths.items():
            if not path.is_file():
                raise ConfigError(f"config: data.{split}: {path}: no such file")
        return paths, Path(data.tokenizer)

    check_arguments(synthetic.build, data.synthetic, "data.synthetic")
    if jax.process_index() == 0:
        synthetic.build(workdir / "corpus", **data.synthetic)
    _barrier("corpus")
    corpus = synthetic.build(workdir / "corpus", **data.synthetic)  # made: only says where
    return {"train": Path(corpus.train), "eval": Path(corpus.heldout)}, Path(corpus.tokenizer)


def resolve_architecture(run: RunConfig, tokenizer) -> DecoderConfig:
    """The architecture that the config gives, or that of the model it starts from."""
    if "init_from" not in run.model:
        return run.decoder_config(hf.tokenizer_size(tokenizer))
    source = Path(run.model["init_from"])
    return hf.read_config(source / MODEL if (source / MODEL).is_dir() else source)


# ==== State


def initial_state(
    config: DecoderConfig, optimizer, seed: int, initialization: InitializationConfig
) -> TrainState:
    """A new state; jit it with ``out_shardings`` so that no device ever holds all of it."""
    params = nnx.to_pure_dict(nnx.state(Decoder(config, rngs=nnx.Rngs(seed))))
    try:
        params = with_copying_heads(params, config, initialization, seed)
    except ValueError as error:
        raise ConfigError(f"config: {error}") from None
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))


def state_shardings(shapes: TrainState, mesh: Mesh) -> TrainState:
    """A NamedSharding for every leaf: moments lie where their parameters lie."""
    params = sharding.parameter_shardings(shapes.params, mesh)
    return TrainState(
        sharding.replicated(mesh), params, optimizer_shardings(shapes.optimizer, params, mesh)
    )


def restored_state(checkpoints, shapes, places, data_iterator) -> TrainState | None:
    """The state of the last sound checkpoint in its shards, None where there is none; sets
    ``data_iterator`` to its place."""
    params = with_shardings(shapes.params, places.params)
    optimizer = with_shardings(shapes.optimizer, places.optimizer)
    restored = checkpoints.restore_last(params, optimizer, data_iterator)
    if restored is None:
        return None
    return TrainState(
        jax.device_put(jnp.int32(restored.step), places.step), restored.params, restored.optimizer
    )


def state_from(directory: str, optimizer, places: TrainState, mesh: Mesh) -> TrainState:
    """A state at step 0 with the float32 parameters of an HF directory or training workdir."""
    params = nnx.to_pure_dict(load_model(directory, mesh=mesh).params)
    moments = jax.jit(optimizer.init, out_shardings=places.optimizer)(params)
    return TrainState(jax.device_put(jnp.int32(0), places.step), params, moments)


# ==== Steps


def make_train_step(
    run: RunConfig, num_steps: int, graphdef, optimizer, mesh: Mesh, places: TrainState
):
    """Jitted (state, batch) -> (state, metrics); the old state is donated.

    Metrics are replicated scalars: the mean ``loss`` over the global batch's target tokens, the
    ``gradient_norm`` before clipping, the ``learning_rate``, the numbers of ``target_tokens``
    and ``tokens`` (all but padding), and ``skipped``: 1 where loss or gradient is not finite, or
    the gradient's norm is above ``train.skip_gradient_norm``. Such a step leaves parameters and
    moments as they are; only the counters, and with them the learning rate, go on.
    """
    schedule = learning_rate_schedule(run.optimizer, num_steps)
    loss_sums = functools.partial(batch_loss_sums, graphdef)

    def step(state: TrainState, batch) -> tuple[TrainState, dict[str, jax.Array]]:
        loss, target_tokens, gradients = accumulated_gradients(
            loss_sums, state.params, batch, run.train.accumulation_steps, mesh
        )
        gradient_norm = optax.global_norm(gradients)
        sound = jnp.isfinite(loss) & jnp.isfinite(gradient_norm)
        if run.train.skip_gradient_norm is not None:
            sound &= gradient_norm <= run.train.skip_gradient_norm
        updates, moments = optimizer.update(gradients, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)

        def unless_bad(new, old):
            is_counter = jnp.issubdtype(new.dtype, jnp.integer)
            return new if is_counter else jnp.where(sound, new, old)

        params, moments = jax.tree.map(
            unless_bad, (params, moments), (state.params, state.optimizer)
        )
        metrics = {
            "loss": loss,
            "gradient_norm": gradient_norm,
            "learning_rate": schedule(state.step),
            "target_tokens": target_tokens,
            "tokens": jnp.sum(batch["segment_ids"] != 0),
            "skipped": 1 - sound.astype(jnp.int32),
        }
        return TrainState(state.step + 1, params, moments), metrics

    return jax.jit(
        step,
        in_shardings=(places, sharding.batch_sharding(mesh)),
        out_shardings=(places, sharding.replicated(mesh)),
        donate_argnums=0,
    )


def make_evaluation(
    graphdef, held_out: TrainInput | None, most: int, mesh: Mesh
) -> Callable[[Any], float]:
    """params -> mean loss over the target tokens of the first ``most`` batches (0: of all)."""
    replicated = sharding.replicated(mesh)
    sums = jax.jit(functools.partial(batch_loss_sums, graphdef), out_shardings=replicated)

    def evaluate(params) -> float:
        loss_sum = weight = 0.0
        with contextlib.closing(held_out.iterator()) as batches:
            for batch in itertools.islice(batches, most or None):
                batch_sums = jax.device_get(sums(params, sharding.put_batch(batch, mesh)))
                loss_sum, weight = loss_sum + float(batch_sums[0]), weight + float(batch_sums[1])
        return loss_sum / max(weight, 1.0)

    return evaluate


def batch_loss_sums(graphdef, params, batch) -> tuple[jax.Array, jax.Array]:
    """(sum of losses, number of targets) of packed rows; see data_pipeline.packing for a batch."""
    model = nnx.merge(graphdef, params)
    hidden_BxTxD, _ = model.hidden(batch["tokens"], batch["positions"], batch["segment_ids"])
    return chunked_cross_entropy(
        model.logits, hidden_BxTxD, batch["targets"], batch["loss_mask"], model.compute.loss_chunk
    )


# ==== Small print


def _barrier(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _last_eval_loss(workdir: Path) -> float | None:
    rows = [row for row in read_metrics(workdir / METRICS_FILE) if "eval_loss" in row]
    return rows[-1]["eval_loss"] if rows else None


def _size(params) -> str:
    return f"{sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)):,}"


# ==== Command


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code (2: the user's mistake, told in one line)."""
    argv = list(sys.argv if argv is None else argv)
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        return 0
    try:
        config, workdir = parse_arguments(argv)
        result = train(config, workdir)
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    rate = f", {result.tokens_per_second:,.0f} tokens/s" if result.tokens_per_second else ""
    held_out = "" if result.eval_loss is None else f", held-out loss {result.eval_loss:.4f}"
    print(f"{workdir}: step {result.step} of {result.num_steps}{held_out}{rate}")
    return 0


def parse_arguments(argv: Sequence[str]) -> tuple[ConfigDict, str]:
    """(config with its overrides, workdir). Raises CommandLineError."""
    # New fields: those left to their defaults; parse_run knows all names.
    config, values = command_line.parse_arguments(
        argv, {"workdir": "Directory of the run."}, new_fields=True
    )
    return config, values["workdir"]


if __name__ == "__main__":
    sys.exit(main())
