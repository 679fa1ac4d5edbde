r"""SmolLM2-135M: fine-tunes a small pretrained model on PyX, on common hardware.

Reproduces: nothing published; a small Llama model learns to narrate runs, to try the steps of
configs/semcoder_6p7b.py end to end on a Colab TPU, a GPU or, slowly, a CPU.
Commands:
    python -m semcoder_jax.hf import --source=HuggingFaceTB/SmolLM2-135M --output=models/smollm2
    python -m data_pipeline.prepare --data=data/pyx --tokenizer=models/smollm2/model \
        --output=data/tokens-smollm2
    python -m semcoder_jax.train --config=configs/smollm2_135m.py --workdir=DIR
Hardware: any; on CPU set --config.compute.dtype=float32.

The data must be prepared with this model's tokenizer, not DeepSeekCoder's. Rows have 1,024 tokens,
because the longest monologues would need most of a small machine's memory; longer records are left
out.
"""

from ml_collections import ConfigDict

from semcoder_jax.recipes import fine_tuning_recipe


def get_config() -> ConfigDict:
    config = fine_tuning_recipe(tokens="data/tokens-smollm2")
    config.model.hidden_size = 576
    config.model.intermediate_size = 1536
    config.model.num_layers = 30
    config.model.num_heads = 9
    config.model.num_kv_heads = 3
    config.model.vocab_size = 49_152
    config.model.max_positions = 8192
    config.model.rope_theta = 100_000.0
    config.model.rms_norm_eps = 1e-5
    config.model.tie_embeddings = True
    config.model.init_from = "models/smollm2"

    config.data.sequence_length = 1024
    config.data.global_batch_size = 32  # packed rows
    config.data.overlong = "drop"
    config.data.mixture.refine = 1.0

    config.optimizer.peak_learning_rate = 3e-4
    config.optimizer.warmup_steps = 20

    config.train.accumulation_steps = 4
    config.train.log_every = 10
    config.train.eval_every = 100
    config.train.checkpoint_every = 100
    return config
