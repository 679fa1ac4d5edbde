"""Trains and evaluates a small model on one machine, from generated programs to scores.

    python -m launch.quickstart [--workdir=runs/quickstart] [--config=configs/quickstart.py]
                                [--config.a.b=VALUE ...]

Generates programs, runs and narrates them, trains a model on the monologues from scratch, exports
it to Hugging Face format, loads the export, and evaluates it on held-out functions, with and
without monologue. All files are in the workdir; the same command continues a stopped run.
"""

import dataclasses
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import jax
from flax import nnx

from data_pipeline.files import as_path, write_json
from data_pipeline.terminal.command_line import GOES_ON, run_command
from data_pipeline.terminal.tables import format_percent, format_table
from semcoder_jax import hf
from semcoder_jax.api import Description, export, load
from semcoder_jax.checkpoints import MODEL
from semcoder_jax.commands import train as train_command
from semcoder_jax.commands.cpu import prepare_cpu
from semcoder_jax.config import ConfigError, RunConfig, parse_run
from semcoder_jax.evaluation import report
from semcoder_jax.evaluation import store as generations
from semcoder_jax.evaluation.benchmarks.heldout import (
    VARIANTS,
    Heldout,
    format_worked_example,
    read_problems,
)
from semcoder_jax.evaluation.generators import ModelSource
from semcoder_jax.evaluation.harness import generate, score_generations
from semcoder_jax.evaluation.results import EvaluationRun, to_json
from semcoder_jax.inference.generate import SamplingParams
from semcoder_jax.loading import LoadedModel
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.initialization import with_copying_heads
from semcoder_jax.training.compilation_cache import enable_compilation_cache
from semcoder_jax.training.loop import TrainResult, train

PROBLEMS = 400
UNTRAINED_PROBLEMS = 100  # an untrained model never ends an answer: each costs most
SAMPLING = SamplingParams(max_new_tokens=192)  # greedy; the longest true response has 170


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Holds the results for the final table."""

    untrained: EvaluationRun
    trained: EvaluationRun
    training: TrainResult
    export: Path


def quickstart(config, workdir: Path) -> Outcome:
    """Runs all stages in order; raises a UserError."""
    run = parse_run(config)
    if run.data.source != "synthetic":
        raise ConfigError(
            f"config: data.source {run.data.source!r}: the quickstart needs 'synthetic', whose "
            f"held-out functions it asks about (for other data: python -m semcoder_jax.train)"
        )

    _stage(1, "generate programs and monologues, train a model on them")
    result = train(config, workdir)
    if result.step < result.num_steps:
        raise KeyboardInterrupt  # stopped gracefully after saving
    # We generated these programs, so they need no sandbox.
    path = workdir / "corpus" / "problems.jsonl"
    problems, first_problems = (
        Heldout(read_problems(path, limit=limit, trusted=True))
        for limit in (PROBLEMS, UNTRAINED_PROBLEMS)
    )

    _stage(2, "evaluate the untrained model on held-out functions")
    before = make_untrained_model(run, workdir)
    untrained = _ask(before, first_problems, workdir / "untrained", variants=("monologue",))

    _stage(3, "export to Hugging Face format and load the export")
    exported = export_checkpoint(workdir)
    print(f"{exported}: config, safetensors, tokenizer, card")
    model = load(exported)

    _stage(4, "evaluate the trained model from the export on the same functions")
    trained = _ask(model, problems, workdir / "trained")
    return Outcome(untrained, trained, result, exported)


def make_untrained_model(run: RunConfig, workdir: Path) -> LoadedModel:
    """Returns the model with the initial parameters of training."""
    config = hf.read_config(workdir / MODEL)
    tokenizer = hf.read_tokenizer(workdir / MODEL)
    graphdef, state = nnx.split(Decoder(config, rngs=nnx.Rngs(run.seed)))
    params = with_copying_heads(nnx.to_pure_dict(state), config, run.initialization, run.seed)
    nnx.replace_by_pure_dict(state, params)
    return LoadedModel(config, graphdef, state, tokenizer)


def export_checkpoint(workdir: Path) -> Path:
    """Exports the latest checkpoint in float32 and replaces an older export."""
    description = Description(
        name="semcoder-jax-quickstart",
        data=("synthetic forward monologues (data_pipeline.toy.corpus)",),
    )
    return export(
        workdir,
        workdir / "export",
        dtype="float32",
        description=description,
        overwrite=True,
        progress=False,
    ).directory


def _ask(model: LoadedModel, problems: Heldout, folder: Path, variants=VARIANTS) -> EvaluationRun:
    """Evaluates a model; caches its generations in `folder`, keyed by its parameters."""
    sums = [float(abs(leaf).sum()) for leaf in jax.tree.leaves(model.params)]
    identity = {"parameters": sums, "sampling": dataclasses.asdict(SAMPLING)}
    path = folder / "generations.jsonl"
    try:
        store = generations.GenerationStore(path, identity)
    except generations.StoreError:
        if not generations.is_store(path):
            raise
        path.unlink()  # generations of an earlier training in this workdir
        store = generations.GenerationStore(path, identity)
    source = ModelSource(model, identity, name=folder.name, batch_size=128)
    with store:
        generated = generate(
            problems,
            source,
            SAMPLING,
            store,
            variants=variants,
            modes=problems.modes,
            progress=folder.name,
        )
    return score_generations(
        problems,
        generated.responses,
        model=folder.name,
        identity=identity,
        tokens_per_second=generated.tokens_per_second,
        progress=None,
    )


def summary(outcome: Outcome, seconds: float) -> str:
    """Returns the results as text for the terminal."""
    rows = []
    for run in (outcome.untrained, outcome.trained):
        for score in run.scores:
            found = score.estimate
            bounds = report.interval(found.low, found.high)
            right = f"{score.right}/{score.samples}"
            sound = report.reasoning_cells(score.reasoning)[0]
            accuracy = format_percent(found.value)
            rows.append((run.model, score.variant, right, accuracy, bounds, sound))
    headings = ("model", "answer", "right", "accuracy", "95 % interval", "no wrong step")
    speed = outcome.training.tokens_per_second
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    facts = [
        ("training", f"{speed:,.0f} tokens/s" if speed else "done in an earlier run"),
        ("wall time", f"{seconds / 60:.1f} min"),
        ("peak memory", f"{memory:.1f} GiB"),
        ("exported to", str(outcome.export)),
    ]
    lines = [f"{label:<12} {value}" for label, value in facts]
    return "\n".join([format_table(headings, rows), "", *lines])


def _stage(number: int, title: str) -> None:
    print(f"\n[{number}/4] {title}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 success, 2 user error, 130 stopped."""
    return run_command(_run, argv, help_text=__doc__, stopped=GOES_ON)


def _run(arguments: Sequence[str]) -> None:
    started = time.monotonic()
    defaults = {"--config": "configs/quickstart.py", "--workdir": "runs/quickstart"}
    given = {argument.partition("=")[0] for argument in arguments}
    missing = [f"{flag}={value}" for flag, value in defaults.items() if flag not in given]
    config, workdir = train_command.parse_arguments([*missing, *arguments])
    prepare_cpu(parse_run(config))
    enable_compilation_cache(workdir)
    outcome = quickstart(config, as_path(workdir))
    # Always the first problem, right or wrong, so that the example is not selected.
    example = next(a for a in outcome.trained.answers if a.variant == "monologue")
    print(f"\n{format_worked_example(example)}\n")
    print(summary(outcome, time.monotonic() - started))
    rows = {run.model: to_json(run) for run in (outcome.untrained, outcome.trained)}
    write_json(as_path(workdir) / "result.json", rows, indent=1)
