"""Compares the roofline with published training runs, to estimate what real runs reach of it.

The roofline (semcoder_jax.planner.roofline) is a lower bound of a step's time. `PUBLISHED` lists
runs of dense decoders on TPUs whose authors state architecture, slice, batch, sequence length and
speed. `share` is their speed divided by the speed that this planner's roofline allows the same
architecture, slice, batch and sequence length, all chips along `fsdp`, in one microbatch, with the
rematerialization policy `remat`, the nearest of ours to theirs (MaxText's own policies compute
about 5 % less again where ours is "save_attention"). `python benchmarks/calibration.py` measures
the shares again, and tests/planner/test_calibration.py compares them.

A calibrated time is the roofline's divided by a share: an ESTIMATE of what a run tuned as well as
those takes. It is a range, from the largest share published for the TPU version to the smallest;
a version without a published run gets the range of all.
"""

import dataclasses
from collections.abc import Mapping

from semcoder_jax.config import RunConfig, parse_run


@dataclasses.dataclass(frozen=True, eq=False)
class PublishedRun:
    """A published training run.

    Attributes:
      name: model and hardware.
      topology: slice, as semcoder_jax.planner.topologies names it.
      model: fields of our `model` section.
      rows: rows of a step on each chip.
      tokens_per_second: of each chip.
      share: see above.
      source: repository on GitHub, and the pages that state speed, batch and length.
      note: how the speed follows from the page if it does not state it in tokens.
    """

    name: str
    topology: str
    model: Mapping
    sequence_length: int
    rows: int
    remat: str
    tokens_per_second: float
    share: float
    source: str
    note: str = ""

    def config(self, num_chips: int) -> RunConfig:
        """Returns the run as a config of ours."""
        return parse_run(
            {
                "model": dict(self.model),
                "compute": {"dtype": "bfloat16", "remat": self.remat},
                "mesh": {"data": 1, "fsdp": -1, "tensor": 1},
                "data": {
                    "source": "synthetic",
                    "sequence_length": self.sequence_length,
                    "global_batch_size": self.rows * num_chips,
                },
                "train": {"num_steps": 10},
            }
        )


_LLAMA_3_1_8B = {"architecture": "llama-3.1-8b"}
_MISTRAL_7B = {
    "vocab_size": 32_000,
    "hidden_size": 4_096,
    "intermediate_size": 14_336,
    "num_layers": 32,
    "num_heads": 32,
    "num_kv_heads": 8,
}
_LLAMA_2_70B = {
    "vocab_size": 32_000,
    "hidden_size": 8_192,
    "intermediate_size": 28_672,
    "num_layers": 80,
    "num_heads": 64,
    "num_kv_heads": 8,
}
# MaxText's default decoder at global_parameter_scale 16 and 32.
_MAXTEXT_16B = {
    "vocab_size": 32_000,
    "hidden_size": 4_096,
    "intermediate_size": 28_672,
    "num_layers": 32,
    "num_heads": 64,
    "head_dim": 128,
}
_MAXTEXT_32B = _MAXTEXT_16B | {"hidden_size": 8_192}
_RECIPES = "AI-Hypercomputer/tpu-recipes: training/trillium"
_MAXTEXT = "AI-Hypercomputer/maxtext"
PUBLISHED = (
    PublishedRun(
        "Llama 3.1 8B on 256 v6e", "v6e:16x16", _LLAMA_3_1_8B, 8_192, 4, "save_attention",
        7_207.336, 0.522, f"{_RECIPES}/Llama3.1-8B-MaxText/v6e-256/README.md",
    ),
    PublishedRun(
        "Llama 3.1 8B on 8 v6e", "v6e:2x4", _LLAMA_3_1_8B, 8_192, 3, "save_attention",
        7_138.890, 0.518, f"{_RECIPES}/Llama3.1-8B-MaxText/v6e-8/README.md",
    ),
    PublishedRun(
        "Mistral 7B on 8 v6e", "v6e:2x4", _MISTRAL_7B, 8_192, 6, "save_attention",
        7_776.813, 0.537, f"{_RECIPES}/Mistral-7B-MaxText/README.md",
    ),
    PublishedRun(
        "Llama 2 70B on 512 v5p", "v5p:8x8x8", _LLAMA_2_70B, 4_096, 4, "save_attention",
        692.0, 0.813,
        f"{_MAXTEXT}: docs/reference/models/tiering.md, benchmarks/maxtext_v5p_model_configs.py",
    ),
    PublishedRun(
        "MaxText 32B on 256 v5e", "v5e:16x16", _MAXTEXT_32B, 2_048, 4, "nothing_saveable",
        672.0, 0.831,
        f"{_MAXTEXT}: MaxText/configs/v5e/README.md, benchmarks/maxtext_v5e_model_configs.py",
        "132 TFLOP/s a chip, at 6 x 31.66e9 + 12 x 32 x 8,192 x 2,048 FLOPs a token",
    ),
    PublishedRun(
        "MaxText 16B on 256 v5e", "v5e:16x16", _MAXTEXT_16B, 2_048, 6, "nothing_saveable",
        1_183.0, 0.753,
        f"{_MAXTEXT}: MaxText/configs/v5e/README.md, MaxText/configs/v5e/16b.sh",
        "120 TFLOP/s a chip, at 6 x 15.83e9 + 12 x 32 x 8,192 x 2,048 FLOPs a token",
    ),
    PublishedRun(
        "Llama 2 70B on 256 v5e", "v5e:16x16", _LLAMA_2_70B, 2_048, 2, "save_attention",
        261.0, 0.699,
        f"{_MAXTEXT}: getting_started/Run_Llama2.md, benchmarks/maxtext_v5e_model_configs.py",
        "57 % MFU of 197 TFLOP/s, at 6 x 69.0e9 + 12 x 80 x 8,192 x 2,048 FLOPs a token, the "
        "formula that MaxText then used",
    ),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The range of shares of the roofline for one TPU version, and the runs that it is from.

    `own` is False if no run on this version is published, and the range is that of all.
    """

    low: float
    high: float
    runs: tuple[PublishedRun, ...]
    own: bool

    def seconds(self, roofline_seconds: float) -> tuple[float, float]:
        """Returns the estimated seconds (least, most) for those of the roofline."""
        return roofline_seconds / self.high, roofline_seconds / self.low


def calibration(version: str) -> Calibration:
    """Returns the calibration of a TPU version, such as "v5e"."""
    own = tuple(run for run in PUBLISHED if run.topology.partition(":")[0] == version)
    runs = own or PUBLISHED
    shares = [run.share for run in runs]
    return Calibration(min(shares), max(shares), runs, bool(own))
