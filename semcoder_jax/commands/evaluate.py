"""Evaluates a model on benchmarks: generates answers, judges them, and reports scores.

    python -m semcoder_jax.evaluate --config=configs/eval/NAME.py --checkpoint=DIR --workdir=DIR
    python -m semcoder_jax.evaluate --suite=configs/eval/suite.py --checkpoint=DIR --workdir=DIR
    python -m semcoder_jax.evaluate compare A.json B.json [--json=FILE]
    python -m semcoder_jax.evaluate check [NAME=FILE ...] [--max_tasks=N]

Instead of --checkpoint (an HF directory or a training workdir):
    --endpoint=URL --model=NAME   any OpenAI-compatible server; reads its key from OPENAI_API_KEY
    --chat[=yes|no]               asks it by chat, or never; default: if it has no completions
    --generations=FILE            existing generations; no model is used
Other flags:
    --mode=compat|fixed   compat reproduces upstream's scores to the digit; fixed asks and scores
                          the same questions correctly; default: both
    --json=FILE           also writes the result here; a workdir always contains it
    --config.NAME=VALUE   sets a field of the config (of every config of a suite), such as
                          batch_size, the prompts decoded together (rounded up to 1, 2, 4, 8, 16, …)

check scores each benchmark's own references, which must all be right, and answers that are wrong by
construction, of which none may be; it asks no model. NAME is cruxeval, humaneval, mbpp, heldout,
livecodebench or livecodebench_execution; without NAME=FILE, all whose public data can be had.

WORKDIR/generations.jsonl stores each generation as it finishes. The same command continues from
there, and judges again without the model if all are present. WORKDIR/result.json is the result and
WORKDIR/report.html a page to read. Each benchmark of a suite has its own folder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipeline.execution.service import Sandbox
from data_pipeline.files import AnyPath, as_path, check_output, is_remote, named_path
from data_pipeline.terminal.command_line import CommandLineError, CommandParser, run_command
from semcoder_jax.commands import compare, completion
from semcoder_jax.commands.config_flags import parse_arguments
from semcoder_jax.config.paths import BENCHMARK_PATHS
from semcoder_jax.config_files import find_config

if TYPE_CHECKING:  # JAX is imported after the flags are checked
    from ml_collections import ConfigDict

    from semcoder_jax.evaluation.results import EvaluationRun

FLAGS = {
    "checkpoint": "HF directory or training workdir.",
    "endpoint": "Base address of an OpenAI-compatible server.",
    "model": "Model of the endpoint.",
    "chat": "yes: ask the endpoint by chat; no: by completions.",
    "generations": "File of generations made elsewhere.",
    "workdir": "Directory of generations, result and report.",
    "mode": "compat, fixed or both.",
    "json": "File for the result.",
}
PATHS = ("checkpoint", "generations", "workdir", "json")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 a check failed, 2 user error, 130 interrupted."""
    stopped = "interrupted; the same command goes on from what was generated"
    return run_command(_run, argv, help_text=__doc__, stopped=stopped)


def _run(arguments: Sequence[str]) -> int | None:
    completion.offer(
        (),
        {"suite": "Config of several benchmarks.", **FLAGS, **completion.benchmark_fields()},
        {"check": _check_parser, "compare": compare.make_parser},
    )
    if arguments[:1] == ["check"]:
        return _check_benchmarks(arguments[1:])
    if arguments[:1] == ["compare"]:
        compare.compare_files(arguments[1:])
    else:
        _evaluate(arguments)
    return None


# ==== One benchmark, or a suite of them


def _evaluate(arguments: Sequence[str]) -> None:
    # A flag without a value would take the next argument for its own.
    members, values = _members(["--chat=yes" if a == "--chat" else a for a in arguments])
    _check_flags(values)
    from semcoder_jax.evaluation.results import is_result, write_runs
    from semcoder_jax.evaluation.run import Subject, evaluate_configs

    check_output("--json", values["json"], is_result)
    workdir = None if values["workdir"] is None else as_path(values["workdir"])
    subject = Subject(
        values["checkpoint"],
        values["endpoint"],
        values["generations"],
        values["model"],
        chat=None if values["chat"] is None else values["chat"] == "yes",
    )
    runs = evaluate_configs(dict(members), subject, workdir=workdir, mode=values["mode"])
    if values["json"] is not None:
        write_runs(values["json"], runs)
    _print(runs, workdir)


def _print(runs: "Sequence[EvaluationRun]", workdir: AnyPath | None) -> None:
    from semcoder_jax.evaluation.benchmarks.heldout import format_worked_example
    from semcoder_jax.evaluation.report import score_table
    from semcoder_jax.evaluation.run import REPORT_FILE

    told = [answer for answer in runs[0].answers if answer.variant == "monologue"]
    if told and [run.name for run in runs] == ["heldout"]:
        # Always the first problem, right or wrong, so that the example is not selected.
        print(format_worked_example(told[0]), end="\n\n")
    print(score_table(runs))
    for run in runs:
        for note in run.notes:
            print(f"{run.name}: {note}")
        if run.tokens_per_second:
            print(f"{run.name}: {run.tokens_per_second:,.0f} tokens/s")
    if workdir is not None:
        print(f"report: {workdir / REPORT_FILE}")


def _members(
    arguments: Sequence[str],
) -> "tuple[list[tuple[str, ConfigDict]], dict[str, str | None]]":
    """Returns (name, config) of the config or of each config of the suite, and the other flags.

    A suite's `configs` name config files relative to the suite, without ".py". They are a tuple, or
    a dictionary from each name to the fields it overrides; `overrides` apply to all.
    """
    suites = [argument for argument in arguments if argument.startswith("--suite=")]
    if not suites:
        config, values = _parse(arguments)
        from semcoder_jax.evaluation.benchmarks.registry import benchmark_name

        return [(benchmark_name(config), config)], values
    suite = find_config(suites[-1].removeprefix("--suite="))
    rest = [argument for argument in arguments if not argument.startswith("--suite=")]
    if any(argument.startswith("--config=") for argument in rest):
        raise CommandLineError("command line: --config and --suite exclude each other")
    content, _ = parse_arguments([f"--config={suite}"], {})
    if "configs" not in content:
        raise CommandLineError(f"--suite={suite}: has no `configs`, the names of other configs")
    common = _as_flags(content.get("overrides", {}), "--config")
    own = content.configs if hasattr(content.configs, "items") else {}
    found = []
    for member in content.configs:
        special = _as_flags(own.get(member, {}), "--config")
        path = suite.parent / f"{member}.py"
        line = [f"--config={path}", *common, *special, *rest]
        config, values = _parse(line)
        found.append((path.stem, config))
    if not found:
        raise CommandLineError(f"{suite}: configs: expected at least one name")
    return found, values


def _parse(arguments: Sequence[str]) -> "tuple[ConfigDict, dict[str, str | None]]":
    return parse_arguments(arguments, {}, FLAGS, paths=PATHS, path_fields=BENCHMARK_PATHS)


def _as_flags(overrides: "ConfigDict", prefix: str) -> list[str]:
    flags = []
    for name, value in overrides.items():
        if hasattr(value, "items"):
            flags += _as_flags(value, f"{prefix}.{name}")
        else:
            flags.append(f"{prefix}.{name}={value if isinstance(value, str) else repr(value)}")
    return flags


def _check_flags(values: Mapping[str, str | None]) -> None:
    given = [name for name in ("checkpoint", "endpoint", "generations") if values[name] is not None]
    if len(given) != 1:
        raise CommandLineError(
            "command line: expected exactly one of --checkpoint=DIR, --endpoint=URL and "
            f"--generations=FILE; got {' and '.join(given) or 'none'}"
        )
    if (values["endpoint"] is None) != (values["model"] is None):
        raise CommandLineError("command line: --endpoint=URL and --model=NAME need each other")
    if values["chat"] not in (None, "yes", "no"):
        raise CommandLineError(f"--chat={values['chat']}: expected yes or no")
    if values["chat"] is not None and values["endpoint"] is None:
        raise CommandLineError("command line: --chat needs --endpoint=URL")
    if values["workdir"] is None and values["generations"] is None:
        raise CommandLineError("command line: --workdir=… is missing")
    result = values["json"]
    if result is not None and not (is_remote(result) or Path(result).absolute().parent.is_dir()):
        raise CommandLineError(f"--json={result}: no such directory")


# ==== Benchmarks without a model


def _check_benchmarks(arguments: Sequence[str]) -> int:
    """Returns 1 if a reference does not score or a wrong answer does, else 0.

    Raises CommandLineError if no benchmark has data here.
    """
    options = _check_parser().parse_args(arguments)
    if options.max_tasks is not None and options.max_tasks < 1:
        raise CommandLineError(f"--max_tasks={options.max_tasks}: expected at least 1")
    from semcoder_jax.evaluation.reference_check import (
        check_benchmark,
        format_checks,
        list_unexpected,
        load_checked,
    )

    sources = [_source(text) for text in options.data]
    benchmarks, absent = load_checked(sources, max_tasks=options.max_tasks)
    with Sandbox() as sandbox:
        rows = [row for one in benchmarks for row in check_benchmark(one, sandbox)]
    if rows:
        print(format_checks(rows))
    for row in rows:
        for line in list_unexpected(row):
            print(line)
    for name, reason in absent:
        print(f"{name}: not checked: {reason}")
    if not rows:  # nothing wrong was found, but nothing was looked at either
        raise CommandLineError("command line: nothing could be checked; give NAME=FILE")
    return int(not all(row.is_trusted for row in rows))


def _check_parser() -> CommandParser:
    parser = CommandParser(prog="python -m semcoder_jax.evaluate check", description=__doc__)
    parser.add_argument(
        "data", nargs="*", type=named_path, metavar="NAME=FILE", help="Data of a benchmark."
    )
    parser.add_argument("--max_tasks", type=int, help="Only the first tasks of each benchmark.")
    return parser


def _source(text: str) -> tuple[str, str]:
    from semcoder_jax.evaluation.reference_check import CHECKED

    name, given, path = text.partition("=")
    if not given or name not in CHECKED:
        raise CommandLineError(
            f"command line: {text!r}: expected NAME=FILE with a NAME of {', '.join(CHECKED)}"
        )
    return name, path
