"""Starts training on TPU machines, brings it to its end, and deletes what it created.

    semcoder launch --pod=launch/pods/NAME.py [--pod.FIELD=VALUE] [FLAGS] \\
        -- --config=FILE --workdir=gs://BUCKET/RUN [--config.a.b=VALUE]
    semcoder launch --tpu=NAME --zone=ZONE [--project=ID] [--directory=DIR] [--python=PYTHON] \\
        [FLAGS] -- --config=FILE --workdir=gs://BUCKET/RUN     # a slice that exists

launch/pods/queued_resource.py requests Cloud TPU slices and deletes them at the end, also after
Ctrl-C and SIGTERM; existing_slice.py uses a slice that exists, gke_xpk.py a GKE cluster, and
skypilot.py lets SkyPilot find a slice. Before anything is created the command says what, for how
many chip-hours by the planner, and what will be left running. The working tree travels with its
edits. Each worker's log is kept in a local folder. After a preemption or maintenance the machines
are replaced and training goes on from its last checkpoint.

Flags:
  --dry_run     print the commands and run none
  --committed   refuse a working tree with edits
  --keep        leave the machines at the end
  --reuse       take machines of that name that exist, e.g. after --keep
  --steps=N     length of a run that counts epochs, for the estimate
  --mount=DIR   with --tpu: a folder that every worker has mounted (default /mnt)

Exit status: 0 training finished, 1 it failed, 2 user error or the cloud refused, 130 Ctrl-C.
"""

import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from data_pipeline.terminal.command_line import (
    COMPLETION_VARIABLE,
    CommandLineError,
    CommandParser,
    parse_count,
    run_command,
    split_passed_on,
)
from data_pipeline.terminal.missing_packages import requires_extra, run_module
from launch import working_tree
from launch.cost import cost_lines
from launch.mesh_fit import check_mesh
from launch.pod_config import ExistingSlice, Pod, check_training, parse_pod
from launch.shell import Shell
from launch.supervision import Options, Supervisor
from launch.ways import Training, open_way

SWITCHES = ("dry_run", "committed", "keep", "reuse")
# `semcoder launch WORD …` runs another module with the words that follow.
SUBCOMMANDS = {"local": "launch.local"}
_SLICE_FLAGS = ("tpu", "zone", "project", "directory", "python", "mount")
_PODS = working_tree.REPOSITORY / "launch" / "pods"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; see above."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] and arguments[0] in SUBCOMMANDS:
        return run_module(SUBCOMMANDS[arguments[0]], "train", arguments[1:])
    asks_help = {"-h", "--help"} & set(split_passed_on(arguments)[0])
    return run_command(_run, ["--help"] if asks_help else arguments, help_text=__doc__)


def _run(arguments: Sequence[str]) -> int:
    own, training_arguments = split_passed_on(arguments)
    pod_words = [word for word in own if re.match(r"--?pod\b", word)]
    flags = make_parser().parse_args([_underscored(word) for word in own if word not in pod_words])
    pod = _read_pod(flags, pod_words)
    check_training(training_arguments, pod.mounts)
    check_mesh(pod.place(), training_arguments)
    shell = Shell(dry_run=flags.dry_run)
    way = open_way(pod, shell)
    way.check()
    if flags.committed:
        working_tree.check_committed()
    steps = None if flags.steps is None else parse_count("--steps", flags.steps)
    for line in [*way.announce(), *cost_lines(pod.place(), training_arguments, steps)]:
        shell.say(line)
    shell.say(
        "--keep: what is created stays at the end, and costs until it is deleted"
        if flags.keep
        else "what is created is deleted at the end, also after Ctrl-C, SIGTERM and failures"
    )
    options = Options(flags.keep, flags.reuse, _log_folder(pod))
    training = Training(tuple(training_arguments), f"{pod.name}-{_fingerprint(training_arguments)}")
    supervisor = Supervisor(pod, way, shell, options)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "working_tree.tar.gz"
        number = working_tree.pack(archive)
        size = archive.stat().st_size / 2**20
        shell.say(f"working tree: {number} files travel, {size:.1f} MB packed")
        return supervisor.run(archive, training)


def make_parser() -> CommandParser:
    """Returns the parser of the flags other than --pod."""
    parser = CommandParser(prog="semcoder launch", add_help=False)
    for name in (*_SLICE_FLAGS, "steps"):
        parser.add_argument(f"--{name}")
    for name in SWITCHES:
        parser.add_argument(f"--{name}", action="store_true")
    if COMPLETION_VARIABLE in os.environ:
        parser.add_argument("--pod")
    return parser


def _read_pod(flags, pod_words: Sequence[str]) -> Pod:
    given = {name: value for name in _SLICE_FLAGS if (value := getattr(flags, name)) is not None}
    if pod_words:
        if given:
            raise CommandLineError(f"--{next(iter(given))} goes with --tpu; --pod.… sets fields")
        return _read_pod_file(pod_words)
    for name, value in (("tpu", "NAME"), ("zone", "ZONE")):
        if name not in given:
            hint = " (or --pod=FILE)" if name == "tpu" else ""
            raise CommandLineError(f"--{name}={value} is missing{hint}")
    fields = {name: given[name] for name in ("zone", "project", "directory", "python")
              if name in given}  # fmt: skip
    mount = given.get("mount", "/mnt")
    return ExistingSlice(way="existing_slice", name=given["tpu"], mounts=(mount,), **fields)


def _read_pod_file(pod_words: Sequence[str]) -> Pod:
    from semcoder_jax.commands import config_flags

    words = [_in_checkout(word) for word in pod_words]
    with requires_extra("train"):
        config, _ = config_flags.parse_arguments(words, {}, new_fields=True, name="pod")
    return parse_pod(config.to_dict())


def _in_checkout(word: str) -> str:
    """Returns --pod=launch/pods/… with the checkout's file, from whatever folder it is named."""
    flag, _, path = word.partition("=")
    if flag.lstrip("-") == "pod" and not Path(path).is_file():
        found = _PODS / Path(path).name
        if path.startswith("launch/pods/") and found.is_file():
            return f"--pod={found}"
    return word


def _underscored(word: str) -> str:
    """Returns --dry-run as --dry_run; both spellings are documented."""
    flag, equals, value = word.partition("=")
    return f"--{flag[2:].replace('-', '_')}{equals}{value}" if flag.startswith("--") else word


def _log_folder(pod: Pod) -> Path:
    return Path(pod.logs) / f"{pod.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _fingerprint(arguments: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:8]


if __name__ == "__main__":
    sys.exit(main())
