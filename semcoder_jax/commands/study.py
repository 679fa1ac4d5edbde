"""Runs a study: several trainings and evaluations, and a report of what they show.

    python -m semcoder_jax.study --config=configs/reproduction/forms_cpu.py --workdir=DIR
        [--config.study.a=…] [--pages=DIR] [--report_only]

A killed study goes on where it was with the same command. The report, NAME.md with its figures, is
written to WORKDIR or to --pages. --report_only writes it again from the stored generations, without
training or sampling.
"""

import shlex
from collections.abc import Sequence
from pathlib import PurePath

from data_pipeline.terminal.command_line import run_command
from semcoder_jax.commands import completion, config_flags
from semcoder_jax.config.paths import STUDY_PATHS

FLAGS = {"workdir": "Directory of the study."}
OPTIONAL = {"pages": "Directory of the report and its figures; default WORKDIR."}
SWITCH = "report_only"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 user error, 130 interrupted."""
    stopped = "interrupted; the same command goes on with the stage that was running"
    return run_command(_run, argv, help_text=__doc__, stopped=stopped)


def _run(arguments: Sequence[str]) -> None:
    completion.offer((SWITCH,), {**FLAGS, **OPTIONAL, **completion.study_fields()})
    left = _join_values([each for each in arguments if each.lstrip("-") != SWITCH])
    # new_fields: parse_study checks the names of fields left at their defaults.
    config, values = config_flags.parse_arguments(
        left,
        FLAGS,
        OPTIONAL,
        paths=(*FLAGS, *OPTIONAL),
        path_fields=STUDY_PATHS,
        new_fields=True,
    )
    from semcoder_jax.commands.cpu import prepare_cpu  # JAX is loaded here, after the flags
    from semcoder_jax.config import parse_study
    from semcoder_jax.studies.run import run_study
    from semcoder_jax.training.compilation_cache import enable_compilation_cache

    workdir = str(values["workdir"])
    prepare_cpu(parse_study(config)[1])
    enable_compilation_cache(workdir)
    page = run_study(
        config,
        workdir,
        command=_shown_command(left),
        pages=values["pages"],
        report_only=any(each.lstrip("-") == SWITCH for each in arguments),
    )
    print(page)


def _join_values(arguments: Sequence[str]) -> list[str]:
    """Writes `--flag VALUE` as `--flag=VALUE` for the flags that always have a value."""
    joined: list[str] = []
    for each in arguments:
        if joined and joined[-1].lstrip("-") in ("config", *FLAGS, *OPTIONAL):
            joined[-1] += f"={each}"
        else:
            joined.append(each)
    return joined


def _shown_command(arguments: Sequence[str]) -> str:
    """Returns the command without paths of this machine."""
    shown = []
    for each in arguments:
        flag, equals, value = each.partition("=")
        if flag.lstrip("-") not in (*FLAGS, *OPTIONAL):
            shown.append(f"{flag}{equals}{_shown_value(value)}")
    return shlex.join(["semcoder", "study", *shown, "--workdir=DIR"])


def _shown_value(value: str) -> str:
    """Returns an absolute path from its folder `configs` on, or else its name alone."""
    path = PurePath(value)
    if not path.is_absolute():
        return value
    parts = path.parts
    return "/".join(parts[parts.index("configs") :]) if "configs" in parts else path.name
