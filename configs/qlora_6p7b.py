r"""QLoRA 6.7B: trains adapters of DeepSeekCoder-6.7B in 4 bits on PyX, on one chip of 16 GB.

Reproduces: nothing published; SemCoder's task and data with the method of Dettmers et al. (2023).
Commands:
    python -m semcoder_jax.hf import --source=deepseek-ai/deepseek-coder-6.7b-base \
        --output=models/6.7b
    python -m data_pipeline.prepare --data=data/pyx --tokenizer=models/6.7b/model \
        --output=data/tokens
    python -m launch.plan --config=configs/qlora_6p7b.py --topology=v5e:1x1
    python -m semcoder_jax.train --config=configs/qlora_6p7b.py --workdir=DIR
    python -m semcoder_jax.hf export --checkpoint=DIR --output=ADAPTER --adapter
Hardware: one chip of 16 GB (launch.plan, v5e:1x1: peak 8.94 of 15.75 GiB) and about 22 GB of host
memory to quantize the base (1.6 times its bytes in bfloat16, measured at 0.4B parameters);
never run here, for want of a TPU.

From the paper, for 7B: NF4, adapters of rank 64 and alpha 16 on all matrices of the layers, AdamW,
learning rate 2e-4, gradients clipped at 0.3, 16 rows per step.
Departures, and why:
- cosine learning rate, as for SemCoder (constant in the paper);
- no dropout of the adapters' input, because each record is seen three times at most;
- packed rows, and equal weight for every target token of a step.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import adapter_recipe


def get_config() -> ConfigDict:
    config = adapter_recipe(architecture="6.7b", base="nf4")
    config.data.global_batch_size = 16  # packed rows
    config.optimizer.warmup_steps = 100
    config.train.accumulation_steps = 16  # a row at a time on one chip
    config.train.log_every = 10
    config.train.eval_every = 1000
    config.train.eval_batches = 50
    config.train.checkpoint_every = 500
    return config
