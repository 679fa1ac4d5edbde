"""Reads training's config as `semcoder plan` does, for the slices of a launch."""

from collections.abc import Sequence

from semcoder_jax.commands.plan import parse_arguments
from semcoder_jax.config import RunConfig
from semcoder_jax.planner.topologies import Topology


def read_run(arguments: Sequence[str], place: Topology) -> tuple[RunConfig, Topology]:
    """Returns the checked config and the slices as the planner names them. Raises UserError.

    arguments: training's --config=… and its overrides; others are left out.
    """
    own = [word for word in arguments if word.lstrip("-").startswith("config")]
    run, [topology], _ = parse_arguments([*own, f"--topology={place.name}"])
    return run, topology
