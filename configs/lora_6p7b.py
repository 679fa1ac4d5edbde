r"""LoRA: adapters over DeepSeekCoder-6.7B in bfloat16 on PyX; with ":1.3b" over the small model.

Reproduces: nothing published; SemCoder's task and data with the method of Hu et al. (2022).
Commands:
    python -m semcoder_jax.hf import --source=deepseek-ai/deepseek-coder-6.7b-base \
        --output=models/6.7b
    python -m data_pipeline.prepare --data=data/pyx --tokenizer=models/6.7b/model \
        --output=data/tokens
    python -m launch.plan --config=configs/lora_6p7b.py --topology=v5e:2x2
    bash launch/pod.sh --tpu=NAME --zone=ZONE -- --config=configs/lora_6p7b.py --workdir=DIR
    python -m semcoder_jax.train --config=configs/lora_6p7b.py:1.3b --workdir=DIR
    python -m semcoder_jax.hf export --checkpoint=DIR --output=MODEL  # merged; --adapter: for peft
Hardware: four chips of 16 GB for 6.7B (launch.plan, v5e:2x2: peak 6.69 of 15.75 GiB a chip), one
for 1.3B (v5e:1x1: 7.44 GiB); never run here, for want of a TPU.

The recipe is that of configs/qlora_6p7b.py (rank, rate, clipping; see there) with a base that is
not rounded: the released weights are bfloat16. 64 rows a step, so that four chips do four times as
many; the rate stays.
"""

from ml_collections import ConfigDict


def get_config(variant: str = "6.7b") -> ConfigDict:
    config = ConfigDict()
    config.seed = 0

    config.model = ConfigDict()
    config.model.architecture = variant  # of config.MODELS
    config.model.init_from = f"models/{variant}"

    config.lora = ConfigDict()
    config.lora.base = "bfloat16"
    config.lora.rank = 64
    config.lora.alpha = 16.0

    config.compute = ConfigDict()
    config.compute.dtype = "bfloat16"
    config.compute.remat = "nothing_saveable"  # a layer's input alone is kept

    config.mesh = ConfigDict()
    config.mesh.data = 1
    config.mesh.fsdp = -1  # all chips
    config.mesh.tensor = 1

    config.data = ConfigDict()
    config.data.source = "tokens"
    config.data.datasets = ConfigDict()
    config.data.datasets.pyx = "data/tokens"
    config.data.sequence_length = 2048
    config.data.global_batch_size = 64  # packed rows
    config.data.overlong = "truncate"  # on the right, as upstream
    config.data.num_epochs = 3
    config.data.mixture = ConfigDict()  # passes over the records of a kind in an epoch
    config.data.mixture.nl = 1.0
    config.data.mixture.forward = 1.0
    config.data.mixture.backward = 1.0

    config.optimizer = ConfigDict()
    config.optimizer.name = "adamw"
    config.optimizer.peak_learning_rate = 2e-4
    config.optimizer.warmup_steps = 60
    config.optimizer.clip_norm = 0.3

    config.train = ConfigDict()
    config.train.accumulation_steps = 8
    config.train.skip_gradient_norm = 1000.0  # a step beyond updates nothing, and is told
    config.train.log_every = 5
    config.train.eval_every = 500
    config.train.eval_batches = 20
    config.train.checkpoint_every = 200
    config.train.keep_checkpoints = 2
    return config
