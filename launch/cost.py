"""States before anything is created how many chips a launch holds and for how long.

Hours are the planner's ESTIMATE, and only where `semcoder plan` has compiled the same step for the
same slice: a launch itself compiles nothing.
"""

from collections.abc import Sequence

from data_pipeline.errors import UserError
from semcoder_jax.planner.topologies import Topology


def cost_lines(place: Topology | None, arguments: Sequence[str], steps: int | None) -> list[str]:
    """Returns lines for the announcement.

    Args:
      place: all slices as one topology; None if the way does not know it.
      arguments: training's --config=… and its overrides.
      steps: length of the run, for configs that count epochs.
    """
    if place is None:
        return ["chips: not known; pod.topology, like v5e:4x4, lets the planner say"]
    chips = f"{place.num_chips} chips ({place.name})"
    hours, reason = _plan_hours(place, arguments, steps)
    if hours is None:
        return [f"{chips} for as long as training takes; no estimate: {reason}"]
    from semcoder_jax.planner.calibration import calibration
    from semcoder_jax.planner.report import share_text, span

    likely = calibration(place.chip.name).seconds(hours)
    total = tuple(place.num_chips * each for each in likely)
    return [
        f"{chips} x {hours:,.1f} h = {place.num_chips * hours:,.0f} chip-hours of training, by the "
        "planner's ESTIMATE (a lower bound); starting, saving and losses come on top",
        f"calibrated, ESTIMATE: {span(likely, ',.1f')} h, {span(total, ',.0f')} chip-hours "
        f"({share_text(place.chip.name)})",
    ]


def _plan_hours(
    place: Topology, arguments: Sequence[str], steps: int | None
) -> tuple[float | None, str]:
    """Returns (hours, ""), or (None, why there is no estimate)."""
    config = next((word for word in arguments if word.lstrip("-").startswith("config=")), "")
    command = f"semcoder plan {config} --topology={place.name}"
    try:
        from launch.planned_run import read_run
        from semcoder_jax.planner.compiler import Compiler
        from semcoder_jax.planner.report import make_plan
        from semcoder_jax.planner.settings import Setting

        run, topology = read_run(arguments, place)
        chosen = Setting.of(run, topology.num_devices).apply_to(run)
        with Compiler() as compiler:
            step = compiler.read_cached(chosen, topology)
        if step is None:
            return None, f"{command} makes one"
        plan = make_plan(chosen, topology, step, steps)
    except ModuleNotFoundError as error:
        return None, f"{error.name} is missing here"
    except (UserError, ValueError) as error:
        return None, str(error)
    if not step.fits:
        return None, f"the planner says that the step does not fit ({command})"
    if plan.hours is None:
        return None, "the config counts epochs; --steps=N says how many steps they are"
    return plan.hours, ""
