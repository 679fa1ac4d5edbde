r"""SemCoder 6.7B: full fine-tuning of DeepSeekCoder-6.7B on PyX.

Reproduces: SemCoder (Ding et al., 2024), trained on PyX alone. Upstream reports 35.1 hours on 8
GPUs for the release that also uses instruction data (see semcoder_s_6p7b).
Commands:
    python -m semcoder_jax.hf import --source=deepseek-ai/deepseek-coder-6.7b-base \
        --output=models/6.7b
    python -m data_pipeline.prepare --data=data/pyx --tokenizer=models/6.7b/model \
        --output=data/tokens
    python -m launch.plan --config=configs/semcoder_6p7b.py --topology=v5e:4x4 --steps=375
    semcoder launch --tpu=NAME --zone=ZONE \
        -- --config=configs/semcoder_6p7b.py --workdir=gs://BUCKET/RUN
Hardware: 16 chips of 16 GB, or what launch.plan says; never run here, for want of a TPU.

Upstream's known values (released training log of SemCoder-S, and scripts): AdamW, peak learning
rate 5e-5, cosine to 0, warm-up of 6 % of the steps, 3 epochs, 512 records per step, bfloat16.
Departures, and why:
- packed rows: 512 rows of 2,048 tokens hold about three times as many records, so three epochs
  take a third of the steps (--config.data.global_batch_size=176 gives upstream's records per step,
  and --config.optimizer.warmup_steps=65 its warm-up);
- equal weight for every target token: the loss is normalized over the global batch;
- length 2,048 instead of the 1,216 of upstream's trainer, which cuts the answers of longer
  monologues;
- no update for a step whose gradient is not finite or has a norm above 1,000.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import full_fine_tuning_recipe


def get_config() -> ConfigDict:
    config = full_fine_tuning_recipe("6.7b")
    config.compute.fused_attention_gradients = True
    config.compute.loss_chunk = 2048  # whole rows: logits are computed once
    config.data.global_batch_size = 512  # packed rows
    config.train.accumulation_steps = 4  # 8 rows on each of 16 chips, as many as 16 GB allow
    config.optimizer.peak_learning_rate = 5e-5
    config.optimizer.warmup_steps = 22
    return config
