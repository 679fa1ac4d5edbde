"""Converts checkpoints from and to Hugging Face format, compares the copies, and uploads them.

    python -m semcoder_jax.hf import --source=HF_DIR_OR_ID --output=ORBAX_DIR
    python -m semcoder_jax.hf export --checkpoint=DIR --output=HF_DIR
    python -m semcoder_jax.hf verify --source=HF_DIR --checkpoint=DIR
    python -m semcoder_jax.hf push   --directory=HF_DIR --repo_id=OWNER/NAME

DIR is a training workdir, an output of import (the same layout), or an HF directory.
"""

import argparse
import contextlib
import ctypes
import os
from collections.abc import Sequence
from typing import Any

from data_pipeline.files import path_text
from data_pipeline.terminal.command_line import CommandParser, refuse_flags, run_command

# As semcoder_jax.hf has them; importing it loads JAX, which --help does not need.
DTYPES = ("float32", "bfloat16", "float16")
LICENSES = ("apache-2.0", "deepseek", "mit", "unknown")
SHARD_GIGABYTES = 5.0
M_MMAP_THRESHOLD = -3  # glibc, malloc.h


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 the copies differ, 2 user error, 130 stopped."""
    return run_command(_run, argv, stopped="stopped; the same command starts over or goes on")


def _run(arguments: Sequence[str]) -> int | None:
    flags = _parser().parse_args(arguments)
    if getattr(flags, "adapter", False):
        refuse_flags(arguments, ("--dtype", "--shard_gigabytes", "--tensor"), "without --adapter")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import jax  # here and below, after the flags
    from absl import logging

    logging.set_verbosity(logging.ERROR)  # Orbax warns about its own defaults
    _return_freed_memory()
    if getattr(flags, "distributed", False):
        jax.distributed.initialize()
    return flags.run(flags)


def _import(flags: argparse.Namespace) -> None:
    """Converts an HF directory or id to a workdir with model/ and checkpoints/ (Orbax)."""
    from semcoder_jax import conversion

    written = conversion.import_hf(
        flags.source,
        flags.output,
        dtype=flags.dtype,
        revision=flags.revision,
        tensor=flags.tensor,
    )
    _tell(f"{written.directory}: {written.parameters:,} parameters in {written.dtype}")


def _export(flags: argparse.Namespace) -> None:
    from semcoder_jax import conversion

    description = conversion.Description(
        flags.name, flags.base_model, flags.data, flags.scores or None, flags.license
    )
    written: conversion.ConvertedModel
    if flags.adapter:
        written, base = conversion.export_adapter(
            flags.checkpoint,
            flags.output,
            step=flags.step,
            description=description,
            overwrite=flags.overwrite,
        )
        _tell(f"{written.directory}: adapters of {written.parameters:,} parameters for {base}")
        return
    written = conversion.export(
        flags.checkpoint,
        flags.output,
        dtype=flags.dtype,
        step=flags.step,
        description=description,
        overwrite=flags.overwrite,
        shard_bytes=int(flags.shard_gigabytes * 1e9),
        tensor=flags.tensor,
    )
    _tell(f"{written.directory}: {written.parameters:,} parameters in {written.dtype}")


def _verify(flags: argparse.Namespace) -> int:
    from semcoder_jax import conversion

    report = conversion.verify_export(
        flags.source,
        flags.checkpoint,
        revision=flags.revision,
        rows=flags.rows,
        tokens=flags.tokens,
        tensor=flags.tensor,
    )
    print(report)
    return 0 if report.passed else 1


def _push(flags: argparse.Namespace) -> None:
    from semcoder_jax.hf import hub

    plan = hub.plan_push(
        flags.directory, flags.repo_id, private=not flags.public, revision=flags.revision
    )
    print(plan)
    if flags.dry_run:
        print("dry run: nothing was sent")
    else:
        print(hub.push(flags.directory, plan))


def _tell(line: str) -> None:
    import jax

    if jax.process_index() == 0:
        print(line)


def _return_freed_memory() -> None:
    """Makes glibc return freed blocks of at least 1 MiB to the system.

    By default it keeps blocks of up to 32 MiB, half a gigabyte in all when a model is read.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 20)


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m semcoder_jax.hf", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=CommandParser)
    _add_import(
        commands.add_parser("import", help="a HF directory or hub id into an Orbax workdir")
    )
    _add_export(commands.add_parser("export", help="a checkpoint into a HF directory"))
    _add_verify(commands.add_parser("verify", help="tensors and logits of two copies of a model"))
    _add_push(commands.add_parser("push", help="a HF directory to the hub (token: HF_TOKEN)"))
    return parser


def _add_import(command: CommandParser) -> None:
    command.add_argument(
        "--source", required=True, type=path_text, help="directory, or hub id owner/name"
    )
    command.add_argument("--output", required=True, type=path_text, help="new workdir")
    command.add_argument("--dtype", choices=DTYPES, help="default: as stored")
    command.add_argument("--revision", help="of a hub id")
    _add_device_flags(command)
    command.set_defaults(run=_import)


def _add_export(command: CommandParser) -> None:
    path: dict[str, Any] = {"required": True, "type": path_text}
    command.add_argument("--checkpoint", **path, help="workdir of a run, or HF directory")
    command.add_argument(
        "--step",
        type=_step,
        help="N, or best by train.best_by; default: the latest",
    )
    command.add_argument("--output", **path, help="new HF directory")
    command.add_argument("--dtype", choices=DTYPES, help="default: as in model/config.json")
    command.add_argument("--overwrite", action="store_true", help="replace an existing directory")
    command.add_argument("--shard_gigabytes", type=_positive, default=SHARD_GIGABYTES, metavar="GB")
    command.add_argument(
        "--adapter", action="store_true", help="of a LoRA run: its adapters for peft, not merged"
    )
    command.add_argument("--name", help="of the model, in its card; default: the directory's")
    command.add_argument("--base_model", help="in the card, and for peft; default: as imported")
    command.add_argument("--data", action="append", default=[], help="a data source; repeatable")
    command.add_argument(
        "--scores", type=path_text, help='JSON file {"HumanEval pass@1": 0.5, …}, measured'
    )
    command.add_argument("--license", choices=LICENSES)
    _add_device_flags(command)
    command.set_defaults(run=_export)


def _add_verify(command: CommandParser) -> None:
    path: dict[str, Any] = {"required": True, "type": path_text}
    command.add_argument("--source", **path, help="HF directory or id, by transformers")
    command.add_argument("--checkpoint", **path, help="workdir or HF directory, by JAX")
    command.add_argument("--revision", help="of a hub id")
    command.add_argument("--rows", type=int, default=2, help="prompts, at spread positions")
    command.add_argument("--tokens", type=int, default=256, help="of each prompt")
    _add_device_flags(command)
    command.set_defaults(run=_verify)


def _add_push(command: CommandParser) -> None:
    command.add_argument("--directory", required=True, type=path_text, help="exported HF directory")
    command.add_argument("--repo_id", required=True, help="owner/name")
    command.add_argument("--revision", default="main", help="branch; created if missing")
    command.add_argument("--public", action="store_true", help="default: private")
    command.add_argument("--dry_run", action="store_true", help="only list files and sizes")
    command.set_defaults(run=_push)


def _add_device_flags(command: CommandParser) -> None:
    command.add_argument("--tensor", type=int, default=1, help="devices that split a layer's width")
    command.add_argument(
        "--distributed", action="store_true", help="run on all hosts of a pod (jax.distributed)"
    )


def _step(text: str) -> int | str:
    if text != "best" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a step nor best")
    return text if text == "best" else int(text)


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value
