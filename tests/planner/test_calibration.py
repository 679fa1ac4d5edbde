"""Checks the published runs' shares of the roofline against arithmetic, and by the compiler."""

import pytest

from benchmarks.calibration import measure
from semcoder_jax.planner import topologies
from semcoder_jax.planner.calibration import PUBLISHED, calibration
from semcoder_jax.planner.compiler import Compiler


@pytest.mark.parametrize("run", PUBLISHED, ids=lambda run: run.name)
def test_no_run_is_faster_than_its_model_flops_allow(run):
    """By hand: 6 FLOPs a parameter of the products and token, and attention's; at the peak.

    The share lies above that of the peak by what rematerialization adds: 15 to 45 %.
    """
    place = topologies.parse(run.topology)
    model = run.config(place.num_chips).decoder_config(1)
    attention = 2 * model.hidden_size * (model.num_heads + model.num_kv_heads) * model.head_dim
    layer = attention + 3 * model.hidden_size * model.intermediate_size
    matrices = model.num_layers * layer + model.hidden_size * model.vocab_size
    pairs = (run.sequence_length + 1) / 2
    scores = 12 * model.num_layers * model.num_heads * model.head_dim * pairs
    mfu = run.tokens_per_second * (6 * matrices + scores) / place.chip.peak_flops
    assert 0.3 < mfu < 0.7
    assert 1.15 * mfu < run.share < 1.45 * mfu
    assert run.source.startswith("AI-Hypercomputer/")


def test_a_version_without_a_run_gets_the_range_of_all():
    own, other = calibration("v6e"), calibration("v4")
    assert own.own and {run.topology[:3] for run in own.runs} == {"v6e"}
    assert not other.own and other.runs == PUBLISHED
    assert other.low == min(run.share for run in PUBLISHED)
    assert other.high == max(run.share for run in PUBLISHED)
    assert own.seconds(1.0) == (1 / own.high, 1 / own.low)


@pytest.mark.slow
def test_the_shares_are_those_that_the_planner_measures(tpu_compiler, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path))
    with Compiler() as compiler:
        for run in PUBLISHED:
            assert measure(run, compiler)["share"] == pytest.approx(run.share, abs=0.002)
