"""Tests by the TPU compiler that adapters fit one 16 GB chip (slow set; needs libtpu, no TPU)."""

import json
import os
from pathlib import Path

import pytest

from semcoder_jax.commands import plan

CONFIGS = Path(__file__).parents[2] / "configs"
FOLDER = os.environ.get("SEMCODER_LIBTPU", "")
GIBIBYTE = 2**30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "held", "peak"),
    [
        # Bytes the step's arguments take: of the base, and of adapters with two moments.
        ("qlora_6p7b.py", 4.13 / 8 * 6.476e9 + 2 * 0.264e9 + 12 * 159_907_840, 10),
        ("lora_6p7b.py:1.3b", 2 * 1.346e9 + 12 * 59_965_440, 9),
    ],
)
def test_it_fits_a_single_chip(tpu_compiler, config, held, peak, capsys, monkeypatch, tmp_path):
    """With room to spare, and nothing beside the arguments that is as large as the base."""
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path))
    command = [f"--config={CONFIGS / config}", "--topology=v5e:1x1", "--json"]
    assert plan.main([*command]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["fits"]
    assert record["compiler"]["argument_bytes"] == pytest.approx(held, rel=0.01)
    assert record["compiler"]["peak_bytes"] < peak * GIBIBYTE
