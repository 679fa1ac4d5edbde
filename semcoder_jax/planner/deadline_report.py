"""Reports which slices finish a run in time: a table of the cheapest, and why others are out."""

import collections
from collections.abc import Mapping

from semcoder_jax.planner.calibration import calibration
from semcoder_jax.planner.cheapest import FITS, CheapestResult, Considered
from semcoder_jax.planner.deadline import Deadline
from semcoder_jax.planner.report import ESTIMATE, aligned, published_lines, share_text

_NUMERIC = {1, 3, 4, 6, 7, 8, 9, 10, 11}


def deadline_lines(
    found: Mapping[str, CheapestResult], deadline: Deadline, tokens: int
) -> list[str]:
    """Formats the results of plan_within; `tokens` are those of a step."""
    what = "least price" if deadline.prices else "fewest chip-hours of its version"
    lines = [
        f"{deadline.num_steps:,} steps, {deadline.num_steps * tokens:,} tokens, in at most "
        f"{deadline.hours:g} hours; *: {what}",
    ]
    compiled = [
        (result, one)
        for result in found.values()
        for one in result.considered
        if one.plan is not None
    ]
    if compiled:
        lines += aligned(
            [_header(deadline), *(_row(result, one, deadline) for result, one in compiled)],
            _NUMERIC,
        )
    for name, result in found.items():
        lines += _out_lines(name, result, deadline)
    if compiled:
        lines += _notes(sorted({one.topology.chip.name for _, one in compiled}), deadline)
        for result in found.values():
            if result.best:
                lines.append(f"{result.best.topology.name}: {result.best.setting.flags()}")
    return lines


def deadline_record(found: Mapping[str, CheapestResult], deadline: Deadline) -> dict:
    """Returns JSON-like fields; all times and costs are estimates."""
    return {
        "hours": deadline.hours,
        "num_steps": deadline.num_steps,
        "prices": dict(deadline.prices),
        "groups": [
            {
                "name": name,
                "best": result.best and result.best.topology.name,
                "considered": [_record(one, deadline) for one in result.considered],
            }
            for name, result in found.items()
        ],
    }


def _record(one: Considered, deadline: Deadline) -> dict:
    record = {"topology": one.topology.name, "verdict": one.verdict, "plan": None}
    if one.plan:
        record["plan"] = one.plan.to_record()
    if one.seconds is not None:
        hours = deadline.estimated_hours(one.topology, one.seconds)
        costs = [deadline.cost(one.topology, each) for each in hours]
        record |= {
            "roofline_hours": one.seconds * deadline.num_steps / 3600,
            "calibrated_hours": hours,
            "calibrated_chip_hours": [deadline.chip_hours(one.topology, each) for each in hours],
            "calibrated_price": costs if deadline.prices else None,
        }
    return record


def _header(deadline: Deadline) -> tuple[str, ...]:
    price = ("price",) if deadline.prices else ()
    return (
        "slice", "chips", "mesh", "micro", "remat", "limit", "peak GiB", "of", "step s",
        "bound h", "hours", "chip-hours", *price, "",
    )  # fmt: skip


def _row(result: CheapestResult, one: Considered, deadline: Deadline) -> tuple[str, ...]:
    plan, place = one.plan, one.topology
    hours = deadline.estimated_hours(place, one.seconds)
    chip_hours = tuple(deadline.chip_hours(place, each) for each in hours)
    price = tuple(deadline.cost(place, each) for each in hours)
    return (
        place.name,
        f"{place.num_chips}",
        "x".join(map(str, plan.setting.mesh)),
        f"{plan.setting.accumulation_steps}",
        plan.setting.remat,
        plan.roofline.limit,
        f"{plan.step.peak_bytes / 2**30:.2f}",
        f"{plan.step.usable_bytes / 2**30:.2f}",
        f"{one.seconds:.3g}",
        _number(one.seconds * deadline.num_steps / 3600),
        _numbers(hours),
        _numbers(chip_hours),
        *([_numbers(price)] if deadline.prices else []),
        "*" if plan is result.best else "" if one.verdict == FITS else one.verdict,
    )


def _numbers(values: tuple[float, float]) -> str:
    low, high = map(_number, values)
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _out_lines(name: str, result: CheapestResult, deadline: Deadline) -> list[str]:
    """Lists the slices that are out, by reason."""
    reasons = collections.defaultdict(list)
    for one in result.considered:
        if one.plan is None:
            reasons[one.verdict].append(one.topology.name)
    lines = [] if result.best else [f"{name}: no slice finishes in {deadline.hours:g} hours"]
    return lines + [f"{name}: out, {reason}: {_some(places)}" for reason, places in reasons.items()]


def _some(names: list[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _notes(versions: list[str], deadline: Deadline) -> list[str]:
    price = ", price" if deadline.prices else ""
    notes = [
        f"step s, bound h: {ESTIMATE} by the roofline, planner/roofline.py: a lower bound",
        f"hours, chip-hours{price}: calibrated {ESTIMATE}, the bound divided by the share of it "
        f"that published runs reach;",
        "the slowest of these hours must do; slices out were judged by bounds that favour them",
    ]
    notes += [f"{version}: {share_text(version)}" for version in versions]
    runs = [run for version in versions for run in calibration(version).runs]
    return notes + published_lines(list(dict.fromkeys(runs)))
