"""How good is a model, and how far is that known? Benchmarks generated, judged, reported.

    python -m semcoder_jax.evaluate --config=configs/eval/NAME.py --checkpoint=DIR --workdir=DIR
    python -m semcoder_jax.evaluate --suite=configs/eval/suite.py --checkpoint=DIR --workdir=DIR
    python -m semcoder_jax.evaluate compare A.json B.json [--json=FILE]

In place of --checkpoint (an HF directory or a training workdir):
    --endpoint=URL --model=NAME   any OpenAI-compatible server; its key in OPENAI_API_KEY
    --generations=FILE            generations made elsewhere; no model is asked
Further:
    --mode=compat|fixed   upstream's way to the digit, or the same question asked and scored
                          correctly; both where it is left out
    --json=FILE           the result; with a workdir it is kept there in any case
    --config.NAME=VALUE   a field of the config (of every config of a suite)

WORKDIR/generations.jsonl keeps generations as they end: the same command goes on from them, and
judges again without the model once all are there. WORKDIR/result.json is the result, and
WORKDIR/report.html the page for people. Of a suite each benchmark has a folder of its own.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from data_pipeline.files import write_json
from data_pipeline.terminal.command_line import CommandLineError, run_command
from semcoder_jax.commands.config_flags import parse_arguments
from semcoder_jax.config_files import find_config
from semcoder_jax.evaluation.benchmarks.heldout import format_worked_example
from semcoder_jax.evaluation.comparison import compare_runs
from semcoder_jax.evaluation.report import comparison_table, score_table
from semcoder_jax.evaluation.results import EvaluationRun, read_runs, write_runs
from semcoder_jax.evaluation.run import Subject, evaluate_configs

FLAGS = {
    "checkpoint": "HF directory or training workdir.",
    "endpoint": "Base address of an OpenAI-compatible server.",
    "model": "Model of the endpoint.",
    "generations": "File of generations made elsewhere.",
    "workdir": "Directory of generations, result and report.",
    "mode": "compat, fixed or both.",
    "json": "File for the result.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 the user's mistake, 130 interrupted."""
    stopped = "interrupted; the same command goes on from what was generated"
    return run_command(_run, argv, help_text=__doc__, stopped=stopped)


def _run(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["compare"]:
        _compare_files(arguments[1:])
    else:
        _evaluate(arguments)


# ==== One benchmark, or a suite of them


def _evaluate(arguments: Sequence[str]) -> None:
    members, values = _members(arguments)
    _check_flags(values)
    workdir = None if values["workdir"] is None else Path(values["workdir"])
    subject = Subject(
        values["checkpoint"], values["endpoint"], values["generations"], values["model"]
    )
    runs = evaluate_configs(dict(members), subject, workdir=workdir, mode=values["mode"])
    if values["json"] is not None:
        write_runs(values["json"], runs)
    _print(runs, workdir)


def _print(runs: Sequence[EvaluationRun], workdir: Path | None) -> None:
    told = [answer for answer in runs[0].answers if answer.variant == "monologue"]
    if told and [run.name for run in runs] == ["heldout"]:
        # The first of the problems, right or wrong, so that nobody chooses it.
        print(format_worked_example(told[0]), end="\n\n")
    print(score_table(runs))
    for run in runs:
        for note in run.notes:
            print(f"{run.name}: {note}")
        if run.tokens_per_second:
            print(f"{run.name}: {run.tokens_per_second:,.0f} tokens/s")
    if workdir is not None:
        print(f"report: {workdir / 'report.html'}")


def _members(
    arguments: Sequence[str],
) -> tuple[list[tuple[str, ConfigDict]], dict[str, str | None]]:
    """(name, config) of the one config or of every config of the suite; the other flags.

    A suite's `configs` are files beside it (or a path from it), without their ending: a tuple of
    names, or a dictionary of the fields that each has otherwise; `overrides` are for all.
    """
    suites = [argument for argument in arguments if argument.startswith("--suite=")]
    if not suites:
        config, values = parse_arguments(arguments, {}, FLAGS)
        return [(config.benchmark, config)], values
    suite = find_config(suites[-1].removeprefix("--suite="))
    rest = [argument for argument in arguments if not argument.startswith("--suite=")]
    if any(argument.startswith("--config=") for argument in rest):
        raise CommandLineError("command line: --config and --suite exclude each other")
    content, _ = parse_arguments([f"--config={suite}"], {})
    common = _as_flags(content.get("overrides", {}), "--config")
    own = content.configs if isinstance(content.configs, ConfigDict) else {}
    found = []
    for member in content.configs:
        special = _as_flags(own.get(member, {}), "--config")
        path = suite.parent / f"{member}.py"
        line = [f"--config={path}", *common, *special, *rest]
        config, values = parse_arguments(line, {}, FLAGS)
        found.append((path.stem, config))
    if not found:
        raise CommandLineError(f"{suite}: configs: expected at least one name")
    return found, values


def _as_flags(overrides: ConfigDict, prefix: str) -> list[str]:
    flags = []
    for name, value in overrides.items():
        if isinstance(value, ConfigDict):
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
    if values["workdir"] is None and values["generations"] is None:
        raise CommandLineError("command line: --workdir=… is missing")
    if values["json"] is not None and not Path(values["json"]).absolute().parent.is_dir():
        raise CommandLineError(f"--json={values['json']}: no such directory")


# ==== Two runs


def _compare_files(arguments: Sequence[str]) -> None:
    paths = [argument for argument in arguments if not argument.startswith("-")]
    flags = [argument for argument in arguments if argument.startswith("-")]
    if unknown := [flag for flag in flags if not flag.startswith("--json=")]:
        raise CommandLineError(f"command line: unknown flag {unknown[0]!r}, expected --json=FILE")
    if len(paths) != 2:
        raise CommandLineError(f"command line: compare takes two result files, got {len(paths)}")
    found = compare_runs(read_runs(paths[0]), read_runs(paths[1]))
    print(f"A  {paths[0]}\nB  {paths[1]}\n\n{comparison_table(found)}")
    if flags:
        rows = [
            {"benchmark": key[0], "variant": key[1], "mode": key[2], **dataclasses.asdict(result)}
            for key, result in found
        ]
        content: dict[str, Any] = {"a": paths[0], "b": paths[1], "comparisons": rows}
        write_json(flags[-1].removeprefix("--json="), content, indent=1)
