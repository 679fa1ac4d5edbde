"""Makes records of calls that a tiny model learns to predict in part, and held-out problems."""

import json
import random
from pathlib import Path

from data_pipeline.pyx.prompts import backward_field, forward_field, training_prompt
from data_pipeline.pyx.records import make_record, write_jsonl
from data_pipeline.toy.vocabulary import train_tokenizer
from tests.support.tiny_run import tiny_config


def write_learnable(directory: Path, problems: int = 12) -> Path:
    """Writes train.jsonl, eval.jsonl, tokenizer/ and problems.jsonl: constants to be copied."""
    rng, records = random.Random(1), []
    for number in range(160):
        value, given = rng.randrange(6), rng.randrange(6)
        program, call = f"def f(a):\n    return {value}", f"f({given})"
        answer = f"assert {call} == {value}\n[/ANSWER]"
        forward = forward_field(program, call, answer_mode="direct")
        backward = backward_field(program, str(value), answer_mode="direct")
        records.append(make_record(f"fwd_{number}", "fwd_mnl", forward, answer))
        records.append(make_record(f"bwd_{number}", "bwd_mnl", backward, answer))
    directory.mkdir(parents=True, exist_ok=True)
    write_jsonl(directory / "train.jsonl", records[:300])
    write_jsonl(directory / "eval.jsonl", records[300:])
    texts = [training_prompt(record) + record.response for record in records]
    train_tokenizer(texts, 120).save_pretrained(directory / "tokenizer")
    rows = [
        {
            "id": f"p{number}",
            "program": f"def f(a):\n    return {number % 6}",
            "call": f"f({(number * 5) % 6})",
            "output": str(number % 6),
        }
        for number in range(problems)
    ]
    (directory / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return directory


def learnable_config(data: Path, **changes) -> dict:
    """Makes a config of a run whose accuracies lie between none and all right."""
    defaults = {
        "data__sequence_length": 256,
        "optimizer__peak_learning_rate": 0.02,
        "train__num_steps": 48,
        "train__eval_every": 16,
        "train__checkpoint_every": 16,
        "train__keep_checkpoints": 9,
        "accuracy__every": 16,
        "accuracy__variant": "direct",
        "accuracy__max_tasks": 12,
        "accuracy__max_new_tokens": 24,
    }
    return tiny_config(data, **defaults | changes)
