"""Builds PyX (a TFDS dataset of verified records and a report) from sources.

python -m data_pipeline.build --source=DIR_OR_PACKAGE --output=DIR
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from data_pipeline.builder import runners
from data_pipeline.builder.options import DIRECT_RUNNER, BuildError, BuildOptions, TeacherOptions
from data_pipeline.builder.pipeline import build
from data_pipeline.builder.report import summary
from data_pipeline.terminal.command_line import (
    GOES_ON,
    INTERRUPTED,
    CommandParser,
    run_command,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 built, 2 the user's mistake, 130 stopped."""
    return run_command(_run, argv, stopped=GOES_ON)


def _run(arguments: Sequence[str]) -> None:
    options, output = parse_arguments(arguments)
    report = build(options, output)
    print(f"\n{summary(report)}")
    print(f"report      {Path(output) / 'report.html'}")


def parse_arguments(argv: Sequence[str]) -> tuple[BuildOptions, str]:
    """(options, output). Raises CommandLineError or BuildError."""
    # `--pipeline.OPTION=VALUE` may be any of Beam's.
    passed = [a.removeprefix("--pipeline.") for a in argv if a.startswith("--pipeline.")]
    given = [a for a in argv if not a.startswith("--pipeline.")]
    args = _parser().parse_args(given)
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


def _parser() -> CommandParser:
    default = {name: field.default for name, field in BuildOptions.__dataclass_fields__.items()}
    parser = CommandParser(
        prog="python -m data_pipeline.build", description=__doc__, epilog=runners.__doc__
    )
    add = parser.add_argument
    add(
        "--source",
        action="append",
        required=True,
        metavar="SOURCE",
        help="folder, .jsonl[.gz] of {code, nl, tests}, or installed package; may be repeated, "
        "or several with commas",
    )
    add("--output", required=True, metavar="DIR", help="folder of the dataset and the report")
    add("--seed", type=int, default=default["seed"], help="of inputs, wording, faults")
    add("--limit", type=int, metavar="N", help="most functions, a fair sample by hash")
    add("--inputs", type=int, default=default["inputs"], metavar="N", help="most per function")
    add("--faults", type=int, default=default["faults"], metavar="N", help="most per function")
    add(
        "--heldout_share",
        type=float,
        default=default["heldout_share"],
        metavar="SHARE",
        help="of functions, for the split eval",
    )
    add(
        "--benchmarks",
        action="append",
        default=[],
        metavar="DIR",
        help="benchmark files whose tasks must not occur; may be repeated",
    )
    add("--tokenizer", metavar="DIR", help="lengths in its tokens; else in characters")
    add("--max_length", type=int, metavar="N", help="longest prompt and response together")
    add("--teacher", metavar="URL", help="an OpenAI-compatible endpoint that writes monologues")
    add("--teacher_model", metavar="NAME", help="the model's name there; OPENAI_API_KEY is sent")
    add("--teacher_attempts", type=int, default=2, metavar="N", help="answers for a monologue")
    add("--teacher_temperature", type=float, default=0.7, metavar="T")
    add(
        "--teacher_completions",
        action="store_true",
        help="ask by the bare prompt of the checkpoints, not by chat",
    )
    add("--teacher_faults", type=int, default=0, metavar="N", help="faults asked of a function")
    add("--teacher_concurrency", type=int, default=8, metavar="N", help="requests at once")
    add(
        "--teacher_prices",
        type=float,
        nargs=2,
        default=(0.0, 0.0),
        metavar=("IN", "OUT"),
        help="per million tokens",
    )
    add("--runner", default=DIRECT_RUNNER, help="a Beam runner (see below)")
    add("--workers", type=int, default=default["workers"], help="processes of the DirectRunner")
    add("--tier", choices=("A", "B", "C"), help="of the sandbox; the strongest by default")
    return parser


def stop(*unused: object) -> NoReturn:
    """Ends the process at once, as if interrupted. A build may be killed at any moment, and
    Beam's runner, asked to stop in the middle of a stage, would wait for workers for good; they
    end by themselves when this process is gone (see local_worker)."""
    os.write(2, f"\n{GOES_ON}\n".encode())
    os._exit(INTERRUPTED)
