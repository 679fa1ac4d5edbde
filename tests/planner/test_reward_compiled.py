"""Tests by the TPU compiler the plan of learning from rewards (slow set; needs libtpu, no TPU)."""

import json

import pytest

from semcoder_jax.commands import plan
from tests.support.config_file import write_config_file
from tests.support.reward_record import reward_record

pytestmark = pytest.mark.slow
MEBIBYTE = 2**20


def test_every_program_is_compiled_and_its_memory_is_that_of_its_arrays(
    tpu_compiler, tmp_path, monkeypatch, capsys
):
    """Two layers, 256 wide, on four chips: fsdp 2 x tensor 2."""
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path / "cache"))
    record = reward_record(data__sequence_length=127, objective__passes=1)
    record["mesh"] = {"fsdp": 2, "tensor": 2}
    record["compute"] = {"dtype": "bfloat16", "remat": "nothing_saveable"}
    record["model"] = {
        "vocab_size": 512,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_layers": 2,
        "num_heads": 2,
        "max_positions": 128,
    }
    record["rollouts"]["slots"] = 16
    flags = [f"--config={write_config_file(tmp_path, record)}", "--topology=v5e:2x2", "--json"]
    code = plan.main(flags)
    captured = capsys.readouterr()
    assert code == 0, captured.err
    [row] = json.loads(captured.out)
    programs, stay = row["programs"], row["stay_bytes"]
    assert list(programs) == ["prefill", "decode", "score", "update"]
    layer = 4 * 256 * 256 + 3 * 256 * 512
    matrices = 2 * layer + 2 * 512 * 256
    # Split four ways but for the norms, which every device has whole.
    norms = 5 * 256
    assert stay["weights"] == stay["reference"] == 4 * (matrices // 4 + norms)
    # Keys and values in bfloat16, one of the two heads: 16 slots of three pages, and page 0.
    assert stay["cache"] == 2 * 2 * (1 + 16 * 3) * 64 * 128 * 2
    for name, program in programs.items():
        assert program["fits"] and program["refusal"] is None, name
        assert program["peak_bytes"] >= program["argument_bytes"], name
        assert program["peak_bytes"] < 64 * MEBIBYTE, name
        assert program["total_bytes"] == program["peak_bytes"] + program["beside_bytes"]
    # The sampler splits its products over the weights' shards: it never gathers a weight.
    sampled = programs["decode"]["collectives"]
    assert max(one["bytes"] for one in sampled) <= 16 * 512 * 4
    summed = [one for one in sampled if one["kind"] == "all-reduce" and one["loops"] == [32, 2]]
    assert summed  # 32 steps of a chunk, 2 layers
    # The update gathers them, layer by layer.
    assert any(one["kind"] == "all-gather" for one in programs["update"]["collectives"])
    # Asked again, nothing is compiled.
    assert plan.main(flags) == 0
    again = capsys.readouterr()
    assert again.err == "" and json.loads(again.out) == [row]
