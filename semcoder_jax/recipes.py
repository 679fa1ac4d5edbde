"""Defines base recipes for configs; a file in configs/ sets only what its experiment changes.

They live in the package so that a config file can import them from any working directory.
"""

from ml_collections import ConfigDict, config_dict


def small_model_recipe() -> ConfigDict:
    """Returns the recipe of a small DeepSeekCoder-shaped model that a CPU trains from scratch."""
    config = ConfigDict()
    config.seed = 0

    config.model = ConfigDict()
    config.model.hidden_size = 128
    config.model.intermediate_size = 336
    config.model.num_layers = 4
    config.model.num_heads = 4
    config.model.tie_embeddings = True

    config.compute = ConfigDict()
    config.compute.dtype = "float32"  # bfloat16 is slower on CPU

    config.mesh = ConfigDict()
    config.mesh.fsdp = -1  # all devices

    config.data = ConfigDict()
    config.optimizer = ConfigDict()
    config.optimizer.clip_norm = 1.0
    config.train = ConfigDict()
    config.train.eval_batches = 10
    return config


def copying_model_recipe() -> ConfigDict:
    """Returns the recipe by which a small model learns to tell runs: heads born copying, Muon.

    Configs must add the data, the positions and the steps.
    """
    config = small_model_recipe()
    config.model.rope_theta = 500.0  # positions here are few: slow rotations would go unused

    # Heads born copying (see initialization.py). Measured at 1.9M tokens on nearly the same data:
    # 76 % with both kinds, 59 % with offset heads alone.
    config.initialization = ConfigDict()
    # `x % 2 == 0 is` and `xs.append(0) gives xs=` have operands up to five tokens back. Loss at
    # step 450 of 1,500: 0.192 with (1, 2, 3, 5), 0.201 with (1, 2, 3, 4).
    config.initialization.offset_heads = (1, 2, 3, 5)
    config.initialization.matching_heads = 1

    config.compute.one_hot_embedding = True
    config.compute.unroll = 4

    config.mesh.data = -1  # a device for each core of a CPU
    config.mesh.fsdp = 1

    config.optimizer.name = "muon"  # twice AdamW's progress for a token at this size
    config.optimizer.peak_learning_rate = 0.02
    config.optimizer.adam_peak_learning_rate = 0.004
    config.optimizer.warmup_steps = 100
    config.optimizer.b2 = 0.98

    config.train.log_every = 20
    return config


def fine_tuning_recipe(tokens: str = "data/tokens") -> ConfigDict:
    """Returns the recipe of fine-tuning in bfloat16; an epoch is one pass over every monologue.

    `tokens` is the folder that `data_pipeline.prepare` wrote. Configs must add the model, the batch
    size, the learning rate and the log and save intervals.
    """
    config = ConfigDict()
    config.seed = 0
    config.model = ConfigDict()

    config.compute = ConfigDict()
    config.compute.dtype = "bfloat16"
    config.compute.remat = "nothing_saveable"  # keeps only a layer's input

    config.mesh = ConfigDict()
    config.mesh.data = 1
    config.mesh.fsdp = -1  # all chips
    config.mesh.tensor = 1

    config.data = ConfigDict()
    config.data.source = "tokens"
    config.data.datasets = ConfigDict()
    config.data.datasets.pyx = tokens
    config.data.sequence_length = 2048
    config.data.overlong = "truncate"  # on the right, as upstream
    config.data.num_epochs = 3
    config.data.mixture = ConfigDict()  # passes over the records of a kind in an epoch
    config.data.mixture.nl = 1.0
    config.data.mixture.forward = 1.0
    config.data.mixture.backward = 1.0

    config.optimizer = ConfigDict()
    config.optimizer.name = "adamw"
    config.optimizer.clip_norm = 1.0

    config.train = ConfigDict()
    config.train.skip_gradient_norm = 1000.0  # a larger gradient updates nothing and is reported
    config.train.keep_checkpoints = 2
    return config


def full_fine_tuning_recipe(architecture: str) -> ConfigDict:
    """Returns SemCoder's recipe: all weights of DeepSeekCoder, monologues without PyX-R."""
    config = fine_tuning_recipe()
    config.model.architecture = architecture
    config.model.init_from = f"models/{architecture}"
    config.data.mixture.refine = 0.0  # PyX-R is for configs/refine_6p7b.py
    config.train.accumulation_steps = 8
    config.train.log_every = 2
    config.train.eval_every = 100
    config.train.checkpoint_every = 100
    return config


def adapter_recipe(architecture: str, base: str) -> ConfigDict:
    """Returns QLoRA's recipe: adapters of rank 64 over a frozen DeepSeekCoder model."""
    config = fine_tuning_recipe()
    config.model.architecture = architecture
    config.model.init_from = f"models/{architecture}"

    config.lora = ConfigDict()
    config.lora.base = base
    config.lora.rank = 64
    config.lora.alpha = 16.0

    config.optimizer.peak_learning_rate = 2e-4
    config.optimizer.clip_norm = 0.3
    return config


def benchmark_recipe(
    benchmark: str, *, variants: tuple[str, ...], batch_size: int, max_new_tokens: int
) -> ConfigDict:
    """Returns the recipe of one greedy sample for every task of a benchmark."""
    config = ConfigDict()
    config.benchmark = benchmark
    config.data = config_dict.placeholder(str)  # None: the benchmark's public home, cached
    config.max_tasks = config_dict.placeholder(int)  # None: all
    config.variants = variants
    config.num_samples = 1
    config.pass_at = ()  # k of pass@k; (): 1, 5, 10 and 100, as far as there are samples
    config.batch_size = batch_size

    config.sampling = ConfigDict()
    config.sampling.max_new_tokens = max_new_tokens
    config.sampling.temperature = 0.0  # greedy
    config.sampling.top_p = 1.0
    config.sampling.seed = 0
    return config


def execution_recipe(benchmark: str) -> ConfigDict:
    """Returns the recipe of execution questions, sampled as upstream (T 0.2, top-p 0.95)."""
    config = benchmark_recipe(
        benchmark, variants=("monologue",), batch_size=64, max_new_tokens=2048
    )  # other variants: "direct", "chain of thought"
    config.sampling.temperature = 0.2
    config.sampling.top_p = 0.95
    return config


def heldout_recipe(benchmark: str) -> ConfigDict:
    """Returns the recipe of the synthetic corpus's held-out split, with and without monologue.

    `data`: JSONL of {"id", "program", "call", "output"}; None: CHECKPOINT/corpus/problems.jsonl.
    """
    return benchmark_recipe(
        benchmark, variants=("monologue", "direct"), batch_size=128, max_new_tokens=512
    )


def code_recipe(benchmark: str, refine_rounds: int | None = None) -> ConfigDict:
    """Returns EvalPlus's recipe: one program for every problem, then self-refinement.

    `refine_rounds` is 1 to 5; None: no refinement.
    """
    config = benchmark_recipe(benchmark, variants=("code",), batch_size=16, max_new_tokens=1024)
    config.refine_rounds = config_dict.placeholder(int)
    config.refine_rounds = refine_rounds
    return config


def limit_dates(config: ConfigDict) -> ConfigDict:
    """Adds the first and last contest date to evaluate; None: all dates."""
    config.start_date = config_dict.placeholder(str)
    config.end_date = config_dict.placeholder(str)
    return config
