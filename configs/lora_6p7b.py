r"""LoRA: trains adapters of DeepSeekCoder-6.7B in bfloat16 on PyX; ":1.3b" uses the small model.

Reproduces: nothing published; SemCoder's task and data with the method of Hu et al. (2022).
Commands:
    python -m semcoder_jax.hf import --source=deepseek-ai/deepseek-coder-6.7b-base \
        --output=models/6.7b
    python -m data_pipeline.prepare --data=data/pyx --tokenizer=models/6.7b/model \
        --output=data/tokens
    python -m launch.plan --config=configs/lora_6p7b.py --topology=v5e:2x2
    semcoder launch --tpu=NAME --zone=ZONE \
        -- --config=configs/lora_6p7b.py --workdir=gs://BUCKET/RUN
    python -m semcoder_jax.train --config=configs/lora_6p7b.py:1.3b --workdir=DIR
    python -m semcoder_jax.hf export --checkpoint=DIR --output=MODEL  # merged; --adapter: for peft
Hardware: four chips of 16 GB for 6.7B (launch.plan, v5e:2x2: peak 6.69 of 15.75 GiB a chip), one
for 1.3B (v5e:1x1: 7.44 GiB); never run here, for want of a TPU.

The recipe is that of configs/qlora_6p7b.py (rank, learning rate, clipping), but the base is not
quantized: the released weights are bfloat16. 64 rows per step, because four chips process four
times as many; the learning rate is the same.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import adapter_recipe


def get_config(variant: str = "6.7b") -> ConfigDict:
    config = adapter_recipe(architecture=variant, base="bfloat16")  # variant: of config.MODELS
    config.data.global_batch_size = 64  # packed rows
    config.optimizer.warmup_steps = 60
    config.train.accumulation_steps = 8
    config.train.log_every = 5
    config.train.eval_every = 500
    config.train.eval_batches = 20
    config.train.checkpoint_every = 200
    return config
