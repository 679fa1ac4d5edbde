"""Trains a model from a config and saves checkpoints.

    python -m semcoder_jax.train --config=configs/quickstart.py --workdir=DIR [--config.a.b=…]
        [--profile[=STEPS]]    # trace STEPS steps (5) after warm-up into WORKDIR/profile

With the same arguments the command continues from the last checkpoint, and on the same mesh the
losses equal those of an uninterrupted run bit for bit. After SIGTERM or Ctrl-C it says so, finishes
the step, saves and exits with code 0; Ctrl-C before the first step ends it at once, with code 130.
Compiled programs are cached, so that a restart does not compile again: in the user's cache folder,
or in WORKDIR/compiled if there are several processes (JAX_COMPILATION_CACHE_DIR overrides both).

WORKDIR: config.json (the checked config), model/ (an HF directory without weights), checkpoints/
(Orbax), metrics.jsonl and tensorboard/, goodput.jsonl (wall time by activity), skipped.jsonl
(steps whose gradient was not used), profile/, packs/ (the plan of each epoch), corpus/ and data/
(prepared data).
"""

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from data_pipeline.terminal.command_line import CommandLineError, run_command
from semcoder_jax.commands import completion, config_flags
from semcoder_jax.config.paths import RUN_PATHS

if TYPE_CHECKING:
    from ml_collections import ConfigDict

FLAGS = {"workdir": "Directory of the run."}


def main(argv: Sequence[str] | None = None, *, stopped_status: int = 0) -> int:
    """Returns the exit status: 0 trained, 2 user error, 130 interrupted.

    `stopped_status` is returned if training stopped after saving, before its last step.
    """
    stopped = "interrupted; the same command goes on from the last checkpoint"
    run = functools.partial(_run, stopped_status=stopped_status)
    return run_command(run, argv, help_text=__doc__, stopped=stopped)


def _run(arguments: Sequence[str], stopped_status: int = 0) -> int:
    completion.offer(("profile",), {**FLAGS, **completion.run_fields()})
    arguments, profile_steps = split_profile(arguments)
    config, workdir = parse_arguments(arguments)
    from semcoder_jax.commands.cpu import prepare_cpu  # JAX is loaded here, after the flags
    from semcoder_jax.config import parse_run
    from semcoder_jax.evaluation.accuracy import check_benchmarks, open_accuracy
    from semcoder_jax.training.compilation_cache import enable_compilation_cache
    from semcoder_jax.training.loop import train

    run = parse_run(config)
    if run.accuracy is not None:
        check_benchmarks(run.accuracy)
    prepare_cpu(run)
    enable_compilation_cache(workdir)
    result = train(config, workdir, profile_steps=profile_steps, open_accuracy=open_accuracy)
    rate = f", {result.tokens_per_second:,.0f} tokens/s" if result.tokens_per_second else ""
    held_out = "" if result.eval_loss is None else f", held-out loss {result.eval_loss:.4f}"
    if result.accuracy is not None:
        held_out += f", accuracy {result.accuracy:.1%}"
    print(f"{workdir}: step {result.step} of {result.num_steps}{held_out}{rate}")
    return stopped_status if result.stopped else 0


def split_profile(argv: Sequence[str]) -> tuple[list[str], int]:
    """Returns (arguments without --profile[=STEPS], number of steps to trace).

    Raises CommandLineError.
    """
    rest, steps = [], 0
    for argument in argv:
        name, _, value = argument.partition("=")
        if name.lstrip("-") != "profile" or not name.startswith("-"):
            rest.append(argument)
        elif re.fullmatch(r"[1-9]\d*", value or "5"):
            steps = int(value or 5)
        else:
            raise CommandLineError(
                f"command line: {argument}: expected --profile or --profile=STEPS, at least 1"
            )
    return rest, steps


def parse_arguments(argv: Sequence[str]) -> "tuple[ConfigDict, str]":
    """Returns (config with its overrides, workdir). Raises CommandLineError."""
    # new_fields: parse_run checks the names of fields left at their defaults.
    config, values = config_flags.parse_arguments(
        argv, FLAGS, paths=FLAGS, path_fields=RUN_PATHS, new_fields=True
    )
    return config, values["workdir"]
