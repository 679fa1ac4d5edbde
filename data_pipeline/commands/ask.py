"""Asks a teacher model for the monologue of one run, checks it, and prints it if it is right.

    python -m data_pipeline.monologue.ask --url=http://127.0.0.1:8000/v1 --model=NAME \\
        --program=FILE.py --call='f(3)'
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence

from data_pipeline.endpoint.client import Client, Endpoint
from data_pipeline.endpoint.reply_cache import CachedClient, Prices, ReplyCache
from data_pipeline.execution.outcomes import BadInput
from data_pipeline.execution.service import Sandbox, TraceLimits, call_job
from data_pipeline.files import check_has_folder, path_flag, read_program
from data_pipeline.source.calls import CallError, parse_call, parse_value
from data_pipeline.source.literals import LiteralError
from data_pipeline.teacher.teacher import Teacher, TeacherQuestion
from data_pipeline.terminal.command_line import (
    GOES_ON,
    CommandLineError,
    CommandParser,
    refuse_flags,
    run_command,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 an answer was accepted, 1 none was, 2 bad input or no endpoint."""
    return run_command(_run, argv, stopped=GOES_ON)


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if not options.completions:
        refuse_flags(arguments, ("--no_examples",), "with --completions only")
    return _ask(options)


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m data_pipeline.monologue.ask", description=__doc__)
    add = parser.add_argument
    add("--url", required=True, help="address of an OpenAI-compatible server, ending in /v1")
    add("--model", required=True, help="the model's name on the server")
    add("--program", required=True, type=path_flag, help="Python file to run")
    add("--call", required=True, help="call with literal arguments, such as 'f(3)'")
    add("--backward", action="store_true", help="ask for an input that gives the output of --call")
    add("--completions", action="store_true", help="use /completions instead of /chat/completions")
    add("--no_examples", action="store_true", help="with --completions: send no rules and example")
    add(
        "--attempts",
        type=int,
        default=2,
        help="most answers requested; stops at the first right one (default: 2)",
    )
    add("--temperature", type=float, default=0.7, help="sampling temperature (default: 0.7)")
    add("--key_variable", default="OPENAI_API_KEY", help="environment variable with the key")
    add("--cache", type=path_flag, help="JSONL file that caches the replies")
    add("--prompt_price", type=float, default=0.0, help="price per million prompt tokens")
    add("--completion_price", type=float, default=0.0, help="price per million output tokens")
    return parser


def _ask(options: argparse.Namespace) -> int:
    if options.attempts < 1:
        raise CommandLineError(f"--attempts: expected at least 1; got {options.attempts}")
    if options.cache is not None:
        check_has_folder("--cache", options.cache)
    endpoint = Endpoint(options.url, options.model, key_variable=options.key_variable)
    prices = Prices(options.prompt_price, options.completion_price)
    with (
        contextlib.ExitStack() as stack,
        Sandbox() as sandbox,
        Client(endpoint, on_retry=_print_retry) as client,
    ):
        cache = None
        if options.cache is not None:
            cache = ReplyCache(options.cache)
            stack.callback(cache.close)
        question = _question(options, sandbox)
        teacher = Teacher(
            CachedClient(client, cache, prices), sandbox,
            attempts=options.attempts, temperature=options.temperature,
            chat=not options.completions, examples=not options.no_examples,
        )  # fmt: skip
        lesson = teacher.lesson(question)
    if lesson.response is not None:
        print(lesson.response)
    else:
        print(f"no answer was accepted; reason of the last: {lesson.reason}", file=sys.stderr)
    print(f"\n{teacher.counts.summary()}", file=sys.stderr)
    sandbox.warn_if_weaker()
    return 0 if lesson.response is not None else 1


def _question(options: argparse.Namespace, sandbox: Sandbox) -> TeacherQuestion:
    program = read_program(options.program, "--program")
    try:
        function = parse_call(options.call).name
    except CallError as error:
        raise CommandLineError(f"--call={options.call}: {error}") from None
    result = sandbox.run(call_job(program, options.call, trace=TraceLimits()))
    if isinstance(result.outcome, BadInput):
        raise CommandLineError(f"{options.program}: {result.outcome.message}")
    trace = result.trace
    try:
        if result.kind != "value" or trace is None or trace.truncated:
            raise LiteralError
        parse_value(trace.result or "")
    except LiteralError:
        raise CommandLineError(
            f"--call={options.call}: expected a returned value that is a literal; got {result.kind}"
        ) from None
    kind = "bwd_mnl" if options.backward else "fwd_mnl"
    return TeacherQuestion(kind, program.rstrip("\n"), function, options.call, trace.result, trace)


def _print_retry(line: str) -> None:
    print(line, file=sys.stderr)
