"""Checks before anything is created that training's mesh and batch fit the slices."""

import dataclasses
from collections.abc import Sequence

from data_pipeline.errors import UserError
from semcoder_jax.planner.topologies import Topology


def check_mesh(place: Topology | None, arguments: Sequence[str]) -> None:
    """Raises MeshError or ConfigError, as training on these slices would.

    Only the mesh axis `data` crosses the network between slices: its size must be a multiple of
    their number. Says nothing of configs that cannot be read here; training reads them.
    """
    if place is None:
        return
    try:
        from launch.planned_run import read_run
        from semcoder_jax.planner.settings import Setting

        run, topology = read_run(arguments, place)
    except (ModuleNotFoundError, UserError):
        return
    mesh = {"data": place.num_slices} | dict(run.mesh)  # as sharding.make_mesh
    setting = Setting.of(dataclasses.replace(run, mesh=mesh), topology.num_devices)
    setting.check(run.data.global_batch_size, topology)
