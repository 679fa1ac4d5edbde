"""Tests that a mesh or batch that does not fit the slices is refused before anything is created."""

import pytest

from data_pipeline.errors import UserError
from launch.mesh_fit import check_mesh
from semcoder_jax.planner.topologies import parse
from tests.launch.test_gke_xpk import GKE
from tests.support.launching import make_launcher

CONFIG = "--config=configs/semcoder_6p7b.py"  # data 1, fsdp -1, tensor 1; 512 rows


@pytest.mark.parametrize(
    ("place", "overrides", "told"),
    [
        ("v5e:4x4", [], None),
        ("v5e:4x4x2slices", [], "mesh.data is 1, expected a multiple of the 2 slices"),
        ("v5e:4x4x2slices", ["--config.mesh.data=2"], None),
        ("v5e:4x4x2slices", ["--config.mesh.data=4", "--config.mesh.fsdp=8"], None),
        ("v5e:4x4x3slices", ["--config.mesh.data=4"], "expected a multiple of the 3 slices|needs"),
        ("v5e:4x4", ["--config.mesh.fsdp=8"], "needs 8 devices, v5e:4x4 has 16"),
        ("v5e:4x4", ["--config.data.global_batch_size=24"], "24 .* do not divide"),
        ("v5e:4x4", ["--config.no.such=1"], "no"),
        ("v5e:4x4", ["--config.train.nmu_steps=3"], "nmu_steps.* did you mean num_steps"),
    ],
)
def test_meshes_and_batches_on_slices(place, overrides, told):
    arguments = [CONFIG, "--workdir=gs://b/r", *overrides]
    if told is None:
        check_mesh(parse(place), arguments)
    else:
        with pytest.raises(UserError, match=told):
            check_mesh(parse(place), arguments)


def test_without_known_slices_the_config_alone_is_checked():
    check_mesh(None, [CONFIG, "--config.mesh.fsdp=7"])
    for place in (None, parse("v5e:4x4")):
        with pytest.raises(UserError, match=r"nowhere\.py"):
            check_mesh(place, ["--config=nowhere.py"])


def test_nothing_is_asked_of_the_cloud(tmp_path, monkeypatch, capfd):
    launch = make_launcher(tmp_path, monkeypatch, capfd)
    done = launch(*GKE, "--pod.slices=2", "--", CONFIG, "--workdir=gs://b/r")
    assert done.status == 2 and done.error.count("\n") == 1
    assert "expected a multiple of the 2 slices" in done.error and launch.cloud.calls() == []
