"""Learns from rewards: samples answers to prompts, judges them by real runs, trains on the verdict.

    python -m semcoder_jax.reinforce --config=configs/grpo_quickstart.py --workdir=DIR
        [--config.a.b=…]

With the same arguments the command continues from the last checkpoint, and on the same mesh it
equals an uninterrupted run bit for bit. After SIGTERM or Ctrl-C it says so, finishes the step,
saves and exits with code 0; Ctrl-C before the first step, or a second one, ends it with code 130. A
mistake of the user ends it with code 2.

WORKDIR: that of a training run (config.json, model/, checkpoints/, metrics.jsonl, …), and
rollouts.jsonl: every sampled answer with its verdicts.
"""

import functools
from collections.abc import Sequence

from data_pipeline.terminal.command_line import run_command
from semcoder_jax.commands import completion, config_flags
from semcoder_jax.config.paths import RUN_PATHS

FLAGS = {"workdir": "Directory of the run."}


def main(argv: Sequence[str] | None = None, *, stopped_status: int = 0) -> int:
    """Returns the exit status: 0 trained, 2 user error, 130 interrupted.

    `stopped_status` is returned if learning stopped after saving, before its last step.
    """
    stopped = "interrupted; the same command goes on from the last checkpoint"
    run = functools.partial(_run, stopped_status=stopped_status)
    return run_command(run, argv, help_text=__doc__, stopped=stopped)


def _run(arguments: Sequence[str], stopped_status: int = 0) -> int:
    completion.offer((), {**FLAGS, **completion.reinforcement_fields()})
    # new_fields: parse_run checks the names of fields left at their defaults.
    config, values = config_flags.parse_arguments(
        arguments, FLAGS, paths=FLAGS, path_fields=RUN_PATHS, new_fields=True
    )
    workdir = values["workdir"]
    from semcoder_jax.commands.cpu import prepare_cpu  # JAX is loaded here, after the flags
    from semcoder_jax.config import parse_run
    from semcoder_jax.reinforcement.loop import reinforce
    from semcoder_jax.training.compilation_cache import enable_compilation_cache

    prepare_cpu(parse_run(config))
    enable_compilation_cache(workdir)
    result = reinforce(config, workdir)
    reward = "" if result.reward is None else f", reward {result.reward:.3f}"
    accuracy = "" if result.accuracy is None else f", accuracy {result.accuracy:.1%}"
    print(f"{workdir}: step {result.step} of {result.num_steps}{reward}{accuracy}")
    return stopped_status if result.step < result.num_steps else 0
