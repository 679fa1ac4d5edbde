r"""Debug and self-refine: SemCoder 6.7B fine-tuned further on PyX-R.

Reproduces: upstream's refinement model (Ding et al., 2024, section 6).
Commands:
    python -m data_pipeline.prepare --data=data/pyx --tokenizer=models/6.7b/model \
        --output=data/tokens
    semcoder launch --tpu=NAME --zone=ZONE \
        -- --config=configs/refine_6p7b.py --workdir=gs://BUCKET/RUN
Hardware: 16 chips of 16 GB, or what launch.plan says; never run here, for want of a TPU.

Upstream's script: peak learning rate 1e-5, cosine to 0, 5 warm-up steps, 2 epochs, 512 records a
step (16 x 4 x 8 GPUs), length 2,048. Departures, and why:
- packed rows: 256 hold about 512 records of PyX-R, whose median is 980 tokens;
- a tenth of a pass over the monologues per epoch, so that the model does not forget execution; set
  the three weights to 0 for upstream's data;
- loss over the global batch's target tokens; bad steps update nothing.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import full_fine_tuning_recipe


def get_config() -> ConfigDict:
    config = full_fine_tuning_recipe("6.7b")
    config.model.init_from = "runs/semcoder_6p7b"  # a training workdir or an HF directory
    config.data.global_batch_size = 256  # packed rows
    config.data.num_epochs = 2
    config.data.mixture.refine = 1.0
    config.data.mixture.nl = 0.1
    config.data.mixture.forward = 0.1
    config.data.mixture.backward = 0.1
    config.optimizer.peak_learning_rate = 1e-5
    config.optimizer.warmup_steps = 5
    config.train.accumulation_steps = 4
    config.train.eval_every = 50
    config.train.checkpoint_every = 50
    return config
