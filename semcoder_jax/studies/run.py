"""Runs a study: its stages, each once, and its report from the files that they wrote."""

import importlib
import json
import os
import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from data_pipeline.files import AnyPath, as_path, hold_lock, is_remote, write_json
from semcoder_jax.config import ConfigError, parse_study
from semcoder_jax.config.fields import flat_record, plain_record
from semcoder_jax.studies.page import write_report
from semcoder_jax.studies.stages import run_stages, spent_by_stage, unfinished_stages

RECORD = "study.json"
LOCK = "running.lock"


def run_study(
    config: Mapping,
    workdir: str,
    *,
    command: str,
    pages: str | None = None,
    report_only: bool = False,
    say: Callable[[str], None] = print,
) -> AnyPath:
    """Runs what is not done yet of a study and returns the path of its report.

    Args:
      config: with a section `study`.
      workdir: folder of the study; its data, runs, generations and times.
      command: shown in the report.
      pages: folder of the report; WORKDIR if None.
      report_only: write the report again; raises ConfigError unless all stages are done.
      say: gets lines of progress.

    Raises ConfigError if WORKDIR was begun with another config.
    """
    study, recipe = parse_study(config)
    if is_remote(workdir):
        raise ConfigError(
            f"--workdir={workdir}: expected a local folder: a study stays on one disk"
        )
    folder = Path(workdir)
    module = importlib.import_module(f"semcoder_jax.studies.{study.name}")
    record = _check_workdir(plain_record(config), folder, command, report_only)
    stages = module.stages(study, recipe, folder)
    if report_only:
        if left := unfinished_stages(stages, folder):
            raise ConfigError(
                f"--workdir={workdir}: stage {left[0]} is not done; run without --report_only"
            )
    else:
        with hold_lock(folder / LOCK, wait=False):
            run_stages(stages, folder, say)
    report = module.report(study, recipe, folder)
    spent = spent_by_stage(stages, folder)
    return write_report(report, _head(record, spent), as_path(pages or workdir), study.name)


def _check_workdir(config: dict, workdir: Path, command: str, report_only: bool) -> dict:
    """Returns WORKDIR's record, written now if it has none. Raises ConfigError for another's."""
    path = workdir / RECORD
    if path.is_file():
        record = json.loads(path.read_text(encoding="utf-8"))
        if differences := _differences(config, record["config"]):
            raise ConfigError(
                f"{path}: this study was begun with another config: {differences[0]}; "
                "choose another --workdir"
            )
        return record
    if report_only:
        raise ConfigError(f"--workdir={workdir}: no {RECORD}: no study has run there")
    if workdir.is_dir() and any(workdir.iterdir()):
        raise ConfigError(f"--workdir={workdir}: expected a new or empty folder, or a study's")
    workdir.mkdir(parents=True, exist_ok=True)
    record = {"config": config, "command": command, "machine": describe_machine()}
    write_json(path, record)
    return record


def _differences(ours: dict, theirs: dict) -> list[str]:
    a, b = flat_record(ours), flat_record(theirs)
    names = sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))
    return [f"{name} is {a.get(name)!r}, there {b.get(name)!r}" for name in names]


def describe_machine() -> str:
    """Names the CPU, its cores, the accelerators if there are any, and Python."""
    import jax

    devices = [each for each in jax.local_devices() if each.platform != "cpu"]
    others = f", {len(devices)} × {devices[0].device_kind}" if devices else ""
    return (
        f"{_cpu_model()}, {os.cpu_count()} cores{others}; Python {platform.python_version()}, "
        f"JAX {jax.__version__}"
    )


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        text = ""
    found = re.search(r"model name\s*: (.*)", text)
    return found[1] if found else platform.processor() or platform.machine()


def _head(record: Mapping, spent: Mapping) -> str:
    """Returns the first lines of a report: command, machine, wall and CPU time."""
    wall = sum(each.wall_seconds for each in spent.values())
    cpu = sum(each.cpu_seconds for each in spent.values())
    return (
        f"```bash\n{record['command']}\n```\n\n"
        f"Machine: {record['machine']}. Time: {wall / 60:.1f} minutes, {cpu / 60:.1f} CPU minutes "
        "(user and system, all processes).\n\n"
        "Everything above the section on what follows is written by that command; "
        "`--report_only` writes it again from the stored generations."
    )
