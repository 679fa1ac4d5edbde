"""Makes a training run small enough for a test: PyX rows, a word-level tokenizer, a config."""

import random
from pathlib import Path

from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import make_record, write_jsonl
from data_pipeline.toy.vocabulary import train_tokenizer


def write_data(directory: Path) -> Path:
    """Writes train.jsonl, eval.jsonl and tokenizer/ with additions whose answers a model learns."""
    random_numbers = random.Random(0)
    records = []
    for number in range(120):
        a, b = random_numbers.randrange(4), random_numbers.randrange(4)
        response = f"[L5] a={a} + b={b} " * random_numbers.randint(1, 3) + f"\n[ANSWER] {a + b}"
        records.append(make_record(f"nl_{number}", "nl", f"Add {a} and {b}.", response))
    directory.mkdir(parents=True, exist_ok=True)
    write_jsonl(directory / "train.jsonl", records[:100])
    write_jsonl(directory / "eval.jsonl", records[100:])
    texts = [training_prompt(record) + record.response for record in records]
    train_tokenizer(texts, 100).save_pretrained(directory / "tokenizer")
    return directory


def tiny_config(data: Path, **changes) -> dict:
    """Makes a config of a two-layer model; `changes` set dotted fields, with a__b for a.b."""
    config = {
        "seed": 0,
        "model": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_layers": 2,
            "num_heads": 4,
            "num_kv_heads": 2,
            "rope_scaling_factor": 4.0,
        },
        "mesh": {"data": 1},
        "data": {
            "source": "jsonl",
            "train": str(data / "train.jsonl"),
            "eval": str(data / "eval.jsonl"),
            "tokenizer": str(data / "tokenizer"),
            "sequence_length": 128,
            "global_batch_size": 8,
        },
        "optimizer": {"peak_learning_rate": 0.01, "warmup_steps": 2, "weight_decay": 0.1},
        "train": {"num_steps": 12, "log_every": 4, "checkpoint_every": 5},
    }
    for name, value in changes.items():
        section, field = name.split("__")
        config.setdefault(section, {})[field] = value
    return config
