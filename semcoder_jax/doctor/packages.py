"""Compares installed packages with the ranges that this package's metadata declares."""

import importlib.metadata
from collections.abc import Callable, Sequence

from packaging.requirements import Requirement

from data_pipeline.terminal.installation import DISTRIBUTION, install_command
from semcoder_jax.doctor.findings import BROKEN, LIMITED, OK, Finding

# Extra -> what it is for; "" is the core.
LAYERS = {
    "": "run, trace, verify programs",
    "data": "build datasets",
    "train": "train, sample, evaluate",
    "serve": "serve over HTTP",
}


def examine_packages() -> list[Finding]:
    """Returns a finding for the core and for each extra that a command needs."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        advice = install_command("train")
        return [Finding("packages", LIMITED, f"{DISTRIBUTION} is not installed", advice)]
    requirements = [Requirement(line) for line in lines]
    return [
        judge_layer(extra, own_requirements(requirements, extra), installed_version)
        for extra in LAYERS
    ]


def own_requirements(requirements: Sequence[Requirement], extra: str) -> list[Requirement]:
    """Returns the requirements that an extra adds to the core; the core's own for ""."""
    return [
        each
        for each in requirements
        if each.name != DISTRIBUTION
        and (each.marker is None or each.marker.evaluate({"extra": extra}))
        and (each.marker is not None and "extra" in str(each.marker)) == bool(extra)
    ]


def judge_layer(
    extra: str, requirements: Sequence[Requirement], version_of: Callable[[str], str | None]
) -> Finding:
    """Judges one extra: versions out of range and missing packages are named.

    version_of: installed version of a distribution, None if it is missing
    """
    subject = f"packages: {extra or 'core'}"
    if not requirements:
        found = f"the installed metadata does not know the extra {extra}"
        return Finding(subject, LIMITED, found, "install this version again")
    versions = {each.name: version_of(each.name) for each in requirements}
    missing = [name for name, version in versions.items() if version is None]
    wrong = [
        f"{each.name} {versions[each.name]} (expected {each.specifier})"
        for each in requirements
        if versions[each.name] is not None
        and not each.specifier.contains(str(versions[each.name]), prereleases=True)
    ]
    problems = [*wrong, *(f"{name} missing" for name in missing)]
    if not problems:
        return Finding(subject, OK, f"{len(versions)} in range ({LAYERS[extra]})")
    # An extra that is not fully installed was perhaps never wanted; the core is always needed.
    state = BROKEN if not extra or not missing else LIMITED
    found = ", ".join(problems[:4]) + (f", and {len(problems) - 4} more" if problems[4:] else "")
    return Finding(subject, state, found, install_command(extra) if extra else "reinstall")


def installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
