"""Builds PyX, a TFDS dataset of verified records, and a report from Python sources.

    python -m data_pipeline.build --source=more_itertools --output=data/pyx

The same command continues a stopped build.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from data_pipeline.builder import runners
from data_pipeline.builder.config_files import add_config
from data_pipeline.builder.options import DIRECT_RUNNER, BuildError, BuildOptions, TeacherOptions
from data_pipeline.builder.pipeline import build
from data_pipeline.builder.report import summary
from data_pipeline.files import as_path, local_path_flag, path_text, path_texts
from data_pipeline.terminal.command_line import (
    GOES_ON,
    INTERRUPTED,
    CommandParser,
    refuse_flags,
    run_command,
)
from data_pipeline.terminal.missing_packages import check_packages

_OF_A_TEACHER = tuple(
    f"--teacher_{name}"
    for name in ("attempts", "temperature", "completions", "faults", "concurrency", "prices")
)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 success, 2 user error, 130 stopped."""
    return run_command(_run, argv, stopped=GOES_ON)


def _run(arguments: Sequence[str]) -> None:
    options, output = parse_arguments(arguments)
    # Needed at the end: missed before the work begins.
    check_packages("data", "tensorflow_datasets", "array_record", "tokenizers")
    report = build(options, output)
    print(f"\n{summary(report)}")
    print(f"report      {as_path(output) / 'report.html'}")


def parse_arguments(argv: Sequence[str]) -> tuple[BuildOptions, str]:
    """Returns (options, output). Raises CommandLineError or BuildError."""
    argv = _with_config(argv)
    # `--pipeline.OPTION=VALUE` accepts any option of Beam.
    passed = [a.removeprefix("--pipeline.") for a in argv if a.startswith("--pipeline.")]
    given = [a for a in argv if not a.startswith("--pipeline.")]
    args = _parser().parse_args(given)
    if args.runner != DIRECT_RUNNER:
        refuse_flags(given, ("--workers",), f"with --runner={DIRECT_RUNNER} only")
    sources = tuple(part for text in args.source for part in text.split(",") if part)
    teacher = None
    if args.teacher or args.teacher_model:
        if not (args.teacher and args.teacher_model):
            raise BuildError("--teacher=URL and --teacher_model=NAME: expected both or none")
        teacher = TeacherOptions(
            args.teacher,
            args.teacher_model,
            attempts=args.teacher_attempts,
            temperature=args.teacher_temperature,
            chat=not args.teacher_completions,
            faults=args.teacher_faults,
            concurrency=args.teacher_concurrency,
            prices=tuple(args.teacher_prices),
        )
    else:
        refuse_flags(given, _OF_A_TEACHER, "with --teacher only")
    options = BuildOptions(
        sources=sources,
        seed=args.seed,
        limit=args.limit,
        inputs=args.inputs,
        faults=args.faults,
        heldout_share=args.heldout_share,
        benchmarks=tuple(part for text in args.benchmarks for part in text.split(",") if part),
        tokenizer=args.tokenizer,
        max_length=args.max_length,
        teacher=teacher,
        runner=args.runner,
        workers=args.workers,
        pipeline=tuple(f"--{argument}" for argument in passed),
        tier=args.tier,
    )
    return options, args.output


def _with_config(argv: Sequence[str]) -> Sequence[str]:
    """Returns the arguments with the flags of the config that they name."""
    parser = CommandParser(add_help=False)
    _add_config_flag(parser)
    path = parser.parse_known_args(list(argv))[0].config
    return argv if path is None else add_config(path, argv)


def _add_config_flag(parser: CommandParser) -> None:
    parser.add_argument(
        "--config",
        type=local_path_flag("it is a program that runs here"),
        metavar="FILE",
        help="flags for a runner, such as configs/build/flink.py",
    )


def _parser() -> CommandParser:
    default = {name: field.default for name, field in BuildOptions.__dataclass_fields__.items()}
    parser = CommandParser(
        prog="python -m data_pipeline.build",
        usage="%(prog)s --source=SOURCE --output=DIR [options]",
        description=__doc__,
        epilog=runners.__doc__,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=30),
    )
    add = parser.add_argument
    add(
        "--source",
        action="append",
        required=True,
        metavar="SOURCE",
        type=path_texts,
        help="folder, .jsonl[.gz] of {code, nl, tests}, pattern of these, or installed package; "
        "several with commas",
    )
    add(
        "--output",
        required=True,
        type=path_text,
        metavar="DIR",
        help="folder for the dataset and the report",
    )
    add("--seed", type=int, default=default["seed"], help="random seed (default: 0)")
    add("--limit", type=int, metavar="N", help="most functions, sampled by hash")
    add(
        "--inputs",
        type=int,
        default=default["inputs"],
        metavar="N",
        help="most inputs per function",
    )
    add(
        "--faults",
        type=int,
        default=default["faults"],
        metavar="N",
        help="most faults per function",
    )
    add(
        "--heldout_share",
        type=float,
        default=default["heldout_share"],
        metavar="SHARE",
        help="share of functions for the split eval",
    )
    add(
        "--benchmarks",
        action="append",
        default=[],
        type=path_texts,
        metavar="DIR",
        help="benchmarks whose tasks are left out; may be repeated",
    )
    add(
        "--tokenizer",
        type=path_text,
        metavar="DIR",
        help="measure lengths in its tokens, not in characters",
    )
    add(
        "--max_length", type=int, metavar="N", help="leave out longer records (prompt and response)"
    )
    _add_teacher_flags(parser)
    _add_machine_flags(parser, default)
    return parser


def _add_teacher_flags(parser: CommandParser) -> None:
    add = parser.add_argument
    add("--teacher", metavar="URL", help="OpenAI-compatible server of a teacher model")
    add(
        "--teacher_model",
        metavar="NAME",
        help="its name on the server; OPENAI_API_KEY holds the key",
    )
    add("--teacher_attempts", type=int, default=2, metavar="N", help="most answers per monologue")
    add("--teacher_temperature", type=float, default=0.7, metavar="T", help="sampling temperature")
    add(
        "--teacher_completions",
        action="store_true",
        help="send the checkpoints' bare prompt, not a chat",
    )
    add("--teacher_faults", type=int, default=0, metavar="N", help="faults requested per function")
    add("--teacher_concurrency", type=int, default=8, metavar="N", help="requests in flight")
    add(
        "--teacher_prices",
        type=float,
        nargs=2,
        default=(0.0, 0.0),
        metavar=("IN", "OUT"),
        help="prices per million tokens",
    )


def _add_machine_flags(parser: CommandParser, default: Mapping[str, Any]) -> None:
    add = parser.add_argument
    _add_config_flag(parser)
    add(
        "--runner",
        default=DIRECT_RUNNER,
        help="this machine, or a Beam runner (see below)",
    )
    add(
        "--workers",
        type=int,
        default=default["workers"],
        help="processes of DirectRunner (default: 2)",
    )
    add("--tier", choices=("A", "B", "C"), help="sandbox tier (default: strongest)")


def stop(*unused: object) -> NoReturn:
    """Ends the process at once, as an interrupt does.

    Beam's runner may wait forever for its workers if it is stopped during a stage. Worker processes
    exit when this process is gone, and a build may be killed at any moment.
    """
    os.write(2, f"\n{GOES_ON}\n".encode())
    runners.remove_temporary_files()
    os._exit(INTERRUPTED)
