"""Runs a study: its stages, each once, and its report from the files that they wrote."""

import importlib
import os
import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from data_pipeline.files import AnyPath, as_path, hold_lock, is_remote, write_json
from data_pipeline.terminal.missing_packages import check_packages
from semcoder_jax.config import ConfigError, differing_study_fields, parse_study
from semcoder_jax.config.fields import plain_record
from semcoder_jax.errors import UserError
from semcoder_jax.studies.page import check_page, write_report
from semcoder_jax.studies.stages import FOLDER as STAGES
from semcoder_jax.studies.stages import read_spent, run_stages, spent_by_stage, unfinished_stages
from semcoder_jax.studies.stored import StoredError, read_object

RECORD = "study.json"
LOCK = "running.lock"
_FAILED = "failed"  # in the record: no stage is done, and the first one ended with a mistake
_BEFORE = (LOCK, "compiled", "lost+found")  # what may lie in WORKDIR before a study begins


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

    Raises a UserError, before anything is written, if a later stage could not work, or if WORKDIR
    was begun with another config.
    """
    study, recipe = parse_study(config)
    folder, page = _check_paths(workdir, pages, study.name)
    module = importlib.import_module(f"semcoder_jax.studies.{study.name}")
    stages = module.stages(study, recipe, folder)
    check_packages("study", "matplotlib")
    record = _find_record(plain_record(config), folder)
    if report_only:
        if record is None:
            raise ConfigError(f"--workdir={workdir}: no {RECORD}: no study has run there")
        if left := unfinished_stages(stages, folder):
            raise ConfigError(
                f"--workdir={workdir}: stage {left[0]} is not done; run without --report_only"
            )
    elif record is None or unfinished_stages(stages, folder):
        module.check(study, recipe, folder)
        with hold_lock(folder / LOCK, wait=False):
            if record is None:
                record = _begin(plain_record(config), folder, command)
            elif _FAILED in record:
                record = _begin_again(record, folder)
            try:
                run_stages(stages, folder, say)
            except UserError:
                if not _has_done_stages(folder):
                    write_json(folder / RECORD, record | {_FAILED: True})
                raise
    report = module.report(study, recipe, folder)
    spent = spent_by_stage(stages, folder)
    return write_report(report, _head(record, spent), page, study.name)


def _check_paths(workdir: str, pages: str | None, name: str) -> tuple[Path, AnyPath]:
    """Returns the folders of the study and of its report. Raises a UserError."""
    if is_remote(workdir):
        raise ConfigError(
            f"--workdir={workdir}: expected a local folder: a study stays on one disk"
        )
    folder = Path(workdir)
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise ConfigError(f"--workdir={workdir}: expected a folder; {path} is a file")
    page = as_path(pages or workdir)
    check_page(page, name)
    return folder, page


def _find_record(config: dict, workdir: Path) -> dict | None:
    """Returns WORKDIR's record, or None if a study can begin there. Raises ConfigError.

    A study whose first stage ended with a mistake of the user binds nothing: another may begin in
    its place.
    """
    path = workdir / RECORD
    if not path.is_file():
        _check_new(workdir)
        return None
    try:
        record = read_object(path, ("config", "command", "machine"))
    except StoredError:
        raise ConfigError(
            f"{path}: the record of a study is damaged; choose another --workdir"
        ) from None
    try:
        differing = differing_study_fields(config, record["config"])
    except (ConfigError, TypeError, AttributeError) as error:
        differing = {"config": (None, f"unreadable ({error})")}
    if not differing:
        return record
    if _FAILED in record:
        return None
    name, (ours, theirs) = next(iter(differing.items()))
    raise ConfigError(
        f"{path}: this study was begun with another config: {name} is {ours!r}, there {theirs!r}; "
        "choose another --workdir"
    )


def _check_new(workdir: Path) -> None:
    """Raises ConfigError if a folder holds files that no study left there."""
    if not workdir.is_dir():
        return
    names = sorted(path.name for path in workdir.iterdir())
    foreign = [each for each in names if each not in _BEFORE and not each.startswith(".")]
    if foreign:
        raise ConfigError(
            f"--workdir={workdir}: expected a new or empty folder, or a study's; this one holds "
            f"{foreign[0]}"
        )


def _has_done_stages(workdir: Path) -> bool:
    return any(read_spent(path).done for path in (workdir / STAGES).glob("*.json"))


def _begin(config: dict, workdir: Path, command: str) -> dict:
    """Records the study in WORKDIR; forgets the time of one that was not begun in earnest."""
    for path in (workdir / STAGES).glob("*.json"):
        path.unlink()
    record = {"config": config, "command": command, "machine": describe_machine()}
    write_json(workdir / RECORD, record)
    return record


def _begin_again(record: dict, workdir: Path) -> dict:
    """Binds WORKDIR to a study whose first stage failed before."""
    record = {name: value for name, value in record.items() if name != _FAILED}
    write_json(workdir / RECORD, record)
    return record


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
