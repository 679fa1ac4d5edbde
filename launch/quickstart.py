"""The whole road on one machine, from programs to a model that says what they do:

    python -m launch.quickstart [--workdir=runs/quickstart] [--config=configs/quickstart.py]
                                [--config.a.b=VALUE ...]

Programs are written, run and told in words; a model is trained on that from nothing, saved,
exported to Hugging Face, loaded from there, and asked about functions that it never saw, with a
monologue and without. Everything lies in the workdir; run again, each part that is complete is
kept and the others go on.
"""

import dataclasses
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax
from flax import nnx

from data_pipeline.files import write_json
from data_pipeline.terminal.command_line import GOES_ON, run_command
from semcoder_jax import hf
from semcoder_jax.api import Description, export, load
from semcoder_jax.checkpoints import MODEL
from semcoder_jax.commands import train as train_command
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
from semcoder_jax.loading import Model
from semcoder_jax.model.decoder import Decoder
from semcoder_jax.model.initialization import with_copying_heads
from semcoder_jax.training.compilation_cache import keep_compiled_programs
from semcoder_jax.training.loop import TrainResult, train

PROBLEMS = 400
SAMPLING = SamplingParams(max_new_tokens=192)  # greedy; the longest true response has 170


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Results that the summary shows."""

    untrained: EvaluationRun
    trained: EvaluationRun
    training: TrainResult
    export: Path


def quickstart(config, workdir: Path) -> Outcome:
    """Runs every stage in order. Raises a UserError."""
    run = parse_run(config)
    if run.data.source != "synthetic":
        raise ConfigError(
            f"config: data.source {run.data.source!r}: the quickstart needs 'synthetic', whose "
            f"held-out functions it asks about (for other data: python -m semcoder_jax.train)"
        )

    _stage(1, "programs, run and told in words; a model trained on them")
    result = train(config, workdir)
    if result.step < result.num_steps:
        raise KeyboardInterrupt  # stopped gracefully; what is saved goes on later
    # Written by the stage above: they need no sandbox.
    path = workdir / "corpus" / "problems.jsonl"
    problems = Heldout(read_problems(path, limit=PROBLEMS, trusted=True))

    _stage(2, "the model before training, asked about functions that it never saw")
    before = make_untrained_model(run, workdir)
    untrained = _ask(before, problems, workdir / "untrained", variants=("monologue",))

    _stage(3, "export to Hugging Face, and back")
    exported = export_checkpoint(workdir)
    print(f"{exported}: config, safetensors, tokenizer, card")
    model = load(exported)

    _stage(4, "the trained model, loaded from the export, asked the same")
    trained = _ask(model, problems, workdir / "trained")
    return Outcome(untrained, trained, result, exported)


def make_untrained_model(run: RunConfig, workdir: Path) -> Model:
    """Builds the model with the parameters that training started from."""
    config = hf.read_config(workdir / MODEL)
    tokenizer = hf.read_tokenizer(workdir / MODEL)
    graphdef, state = nnx.split(Decoder(config, rngs=nnx.Rngs(run.seed)))
    params = with_copying_heads(nnx.to_pure_dict(state), config, run.initialization, run.seed)
    nnx.replace_by_pure_dict(state, params)
    return Model(config, graphdef, state, tokenizer)


def export_checkpoint(workdir: Path) -> Path:
    """Exports the latest checkpoint to a Hugging Face directory in float32, replacing it."""
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


def _ask(model: Model, problems: Heldout, folder: Path, variants=VARIANTS) -> EvaluationRun:
    """Evaluates a model; stores its generations in `folder`, for these parameters only."""
    sums = [float(abs(leaf).sum()) for leaf in jax.tree.leaves(model.params)]
    identity = {"parameters": sums, "sampling": dataclasses.asdict(SAMPLING)}
    path = folder / "generations.jsonl"
    try:
        store = generations.GenerationStore(path, identity)
    except generations.StoreError:  # of other parameters: an earlier training in this workdir
        path.unlink()
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
    """Formats the summary table."""
    rows = []
    for run in (outcome.untrained, outcome.trained):
        for score in run.scores:
            found = score.estimate
            bounds = report.interval(found.low, found.high)
            right = f"{score.right}/{score.samples}"
            sound = report.reasoning_cells(score.reasoning)[0]
            accuracy = report.percent(found.value)
            rows.append((run.model, score.variant, right, accuracy, bounds, sound))
    headings = ("model", "answer", "right", "accuracy", "95 % interval", "no wrong step")
    speed = outcome.training.tokens_per_second
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    facts = [
        ("training", f"{speed:,.0f} tokens/s" if speed else "kept from an earlier run"),
        ("wall time", f"{seconds / 60:.1f} min"),
        ("peak memory", f"{memory:.1f} GiB"),
        ("exported to", str(outcome.export)),
    ]
    lines = [f"{label:<12} {value}" for label, value in facts]
    return "\n".join([report.table(headings, rows), "", *lines])


def _stage(number: int, title: str) -> None:
    print(f"\n[{number}/4] {title}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 the user's mistake, 130 stopped."""
    return run_command(_run, argv, help_text=__doc__, stopped=GOES_ON)


def _run(arguments: Sequence[str]) -> None:
    started = time.monotonic()
    defaults = {"--config": "configs/quickstart.py", "--workdir": "runs/quickstart"}
    given = {argument.partition("=")[0] for argument in arguments}
    missing = [f"{flag}={value}" for flag, value in defaults.items() if flag not in given]
    config, workdir = train_command.parse_arguments([*missing, *arguments])
    keep_compiled_programs(workdir)
    outcome = quickstart(config, Path(workdir))
    # The first of the problems, right or wrong, so that nobody chooses it.
    example = next(a for a in outcome.trained.answers if a.variant == "monologue")
    print(f"\n{format_worked_example(example)}\n")
    print(summary(outcome, time.monotonic() - started))
    rows = {run.model: to_json(run) for run in (outcome.untrained, outcome.trained)}
    write_json(Path(workdir) / "result.json", rows, indent=1)


if __name__ == "__main__":
    sys.exit(main())
