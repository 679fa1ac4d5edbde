"""Reads training's config as `semcoder plan` does, for the slices of a launch."""

from collections.abc import Sequence

from semcoder_jax.commands import config_flags
from semcoder_jax.commands.plan import parse_arguments
from semcoder_jax.config import RunConfig, parse_run
from semcoder_jax.planner.topologies import Topology


def check_config(arguments: Sequence[str]) -> None:
    """Raises a UserError for a config that training would refuse before it opens data."""
    config, _ = config_flags.parse_arguments(_of_config(arguments), {}, {}, new_fields=True)
    parse_run(config)


def read_run(arguments: Sequence[str], place: Topology) -> tuple[RunConfig, Topology]:
    """Returns the checked config and the slices as the planner names them. Raises UserError.

    arguments: training's --config=… and its overrides; others are left out.
    """
    words = [*_of_config(arguments), f"--topology={place.name}"]
    run, [topology], _ = parse_arguments(words)
    return run, topology


def _of_config(arguments: Sequence[str]) -> list[str]:
    return [word for word in arguments if word.lstrip("-").startswith("config")]
