"""Checks before anything is created that training's config is right and fits the slices."""

import dataclasses
from collections.abc import Sequence

from data_pipeline.errors import UserError
from semcoder_jax.planner.topologies import Topology


def check_mesh(place: Topology | None, arguments: Sequence[str]) -> None:
    """Raises a UserError for the config, its fields, mesh and batch, as training would.

    Only the mesh axis `data` crosses the network between slices: its size must be a multiple of
    their number. The mesh is compared where the slices and the model's shape are known. Without the
    packages of training on this machine nothing is checked; training then says what is wrong.
    """
    try:
        from launch.planned_run import check_config, read_run
        from semcoder_jax.planner.settings import Setting
    except ModuleNotFoundError:
        return
    check_config(arguments)
    if place is None:
        return
    try:
        run, topology = read_run(arguments, place)
    except UserError:  # the planner needs more than training does, such as the vocabulary's size
        return
    mesh = {"data": place.num_slices} | dict(run.mesh)  # as sharding.make_mesh
    setting = Setting.of(dataclasses.replace(run, mesh=mesh), topology.num_devices)
    setting.check(run.data.global_batch_size, topology)
