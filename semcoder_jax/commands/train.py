"""Training, from a config to checkpoints:

    python -m semcoder_jax.train --config=configs/quickstart.py --workdir=DIR [--config.a.b=…]
        [--profile[=STEPS]]    # trace STEPS steps (5) after warm-up into WORKDIR/profile

Run again with the same arguments it goes on from the last checkpoint, and the losses that follow
are those of an unbroken run, bit for bit on the same mesh. SIGTERM or Ctrl-C finishes the step,
saves and leaves with exit code 0. Compiled programs are kept in the user's cache folder,
of several processes in WORKDIR/compiled (JAX_COMPILATION_CACHE_DIR for another), so that starting
again does not compile again.

WORKDIR: config.json (the checked config), model/ (an HF directory without weights), checkpoints/
(Orbax), metrics.jsonl and tensorboard/, goodput.jsonl (where the wall time went), skipped.jsonl
(steps whose gradient was not used), profile/, packs/ (the plan of each epoch), corpus/ and data/
(what the source prepares).
"""

import re
import sys
from collections.abc import Sequence

from ml_collections import ConfigDict

from data_pipeline.pyx.dataset import PyxError
from data_pipeline.pyx.records import RecordError
from data_pipeline.tokens.batches import InputError
from data_pipeline.tokens.mixture import MixtureError
from data_pipeline.tokens.packing import PackingError
from data_pipeline.tokens.store import PreparedError
from data_pipeline.toy.corpus import CorpusError
from semcoder_jax.checkpoints import CheckpointError
from semcoder_jax.commands import config_flags as command_line
from semcoder_jax.config import ConfigError
from semcoder_jax.hf import HFError
from semcoder_jax.model.sharding import MeshError
from semcoder_jax.training.compilation_cache import keep_compiled_programs
from semcoder_jax.training.log import NotFiniteError
from semcoder_jax.training.loop import train
from semcoder_jax.training.workdir import WorkdirError

USER_ERRORS = (
    command_line.CommandLineError,
    ConfigError,
    CheckpointError,
    NotFiniteError,
    PyxError,
    HFError,
    MeshError,
    InputError,
    MixtureError,
    PackingError,
    PreparedError,
    RecordError,
    CorpusError,
    WorkdirError,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code (2: the user's mistake, told in one line)."""
    argv = list(sys.argv if argv is None else argv)
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        return 0
    try:
        argv, profile_steps = split_profile(argv)
        config, workdir = parse_arguments(argv)
        keep_compiled_programs(workdir)
        result = train(config, workdir, profile_steps=profile_steps)
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


def split_profile(argv: Sequence[str]) -> tuple[list[str], int]:
    """(the arguments without --profile[=STEPS], how many steps to trace). Raises
    CommandLineError."""
    rest, steps = [], 0
    for argument in argv:
        name, _, value = argument.partition("=")
        if name.lstrip("-") != "profile" or not name.startswith("-"):
            rest.append(argument)
        elif re.fullmatch(r"[1-9]\d*", value or "5"):
            steps = int(value or 5)
        else:
            raise command_line.CommandLineError(
                f"command line: {argument}: expected --profile or --profile=STEPS, at least 1"
            )
    return rest, steps


def parse_arguments(argv: Sequence[str]) -> tuple[ConfigDict, str]:
    """(config with its overrides, workdir). Raises CommandLineError."""
    # New fields: those left to their defaults; parse_run knows all names.
    config, values = command_line.parse_arguments(
        argv, {"workdir": "Directory of the run."}, new_fields=True
    )
    return config, values["workdir"]
