"""Writes the setting of a plan as a config file that imports the planned config."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.errors import UserError
from data_pipeline.files import write_text
from data_pipeline.terminal.config_modules import PREFIX
from semcoder_jax.config import MESH_AXES
from semcoder_jax.planner.report import ESTIMATE, Plan
from semcoder_jax.planner.settings import Setting


class WrittenConfigError(UserError):
    """Raised for a file that cannot take a config."""


def check_target(path: Path) -> None:
    """Raises WrittenConfigError unless `path` is a new Python file in an existing folder."""
    if path.suffix != ".py":
        raise WrittenConfigError(f"--write={path}: expected the name of a Python file (.py)")
    if path.exists():
        raise WrittenConfigError(f"--write={path}: exists; delete it or choose another name")
    if not path.parent.is_dir():
        raise WrittenConfigError(f"--write={path}: no such folder: {path.parent}")


def write_config(path: Path, base: str, overrides: Mapping[str, Any], *, plan: Plan) -> None:
    """Writes a config file with the plan's setting. Raises WrittenConfigError if it does not fit.

    `base` is the planned config as the user named it; `overrides` are values by dotted name.
    """
    if not plan.step.fits:
        raise WrittenConfigError(
            f"--write={path}: no setting fits {plan.topology.name}; nothing is written"
        )
    fields = dict(overrides) | setting_fields(plan.setting)
    write_text(path, "\n".join([*_docstring(path, plan, base), *_code(path, base, fields), ""]))


def setting_fields(setting: Setting) -> dict[str, Any]:
    """Returns the setting's values by dotted name."""
    mesh = {f"mesh.{axis}": size for axis, size in zip(MESH_AXES, setting.mesh, strict=True)}
    return mesh | {
        "train.accumulation_steps": setting.accumulation_steps,
        "compute.remat": setting.remat,
    }


def _docstring(path: Path, plan: Plan, base: str) -> Sequence[str]:
    name, peak = plan.topology.name, plan.step.peak_bytes
    lines = [f'"""{_escape(base)} in the fastest setting that `semcoder plan --search` found for '
             f"{name}.", ""]  # fmt: skip
    lines += [f"    semcoder train --config={_escape(str(path))} --workdir=DIR", ""]
    if peak:
        usable = plan.step.usable_bytes / 2**30
        lines.append(f"Compiled: peak memory {peak / 2**30:.2f} of {usable:.2f} GiB a device.")
    if plan.roofline:
        seconds = plan.roofline.step_seconds
        lines.append(f"{ESTIMATE} by the roofline: {seconds:.3g} s a step at best; not measured.")
    return [*lines, '"""', ""]


def _code(path: Path, base: str, fields: Mapping[str, Any]) -> Sequence[str]:
    source, imports = _source(path, base)
    return [
        *imports,
        "from semcoder_jax.config_files import read_config",
        "",
        "",
        "def get_config():",
        f"    config = read_config({source})",
        "    with config.unlocked():",
        *(f"        config.update({_nested(name, value)!r})" for name, value in fields.items()),
        "    return config",
    ]


def _source(path: Path, base: str) -> tuple[str, list[str]]:
    """Returns the expression that names the planned config, and the imports that it needs."""
    if base.startswith(PREFIX):  # found from any folder
        return repr(base), []
    name, colon, variant = base.partition(".py:")
    relative = os.path.relpath(f"{name}.py" if colon else name, path.parent)
    end = f":{variant}" if colon else ""
    return f'f"{{Path(__file__).parent}}/" + {relative + end!r}', ["from pathlib import Path", ""]


def _nested(name: str, value: Any) -> dict:
    """Returns {"a": {"b": value}} for a.b."""
    section, dot, rest = name.partition(".")
    return {section: _nested(rest, value) if dot else value}


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
