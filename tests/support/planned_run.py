"""A run of 6.7B to plan for."""

from semcoder_jax.config import parse_run


def planned_run(batch: int, num_steps: int = 1, **sections):
    """Rows of 2,048 tokens; `sections` are those of a config, `train` is merged."""
    train = {"num_steps": num_steps} | sections.pop("train", {})
    data = {
        "source": "jsonl",
        "train": "-",
        "tokenizer": "-",
        "sequence_length": 2048,
        "global_batch_size": batch,
    }
    return parse_run({"model": {"architecture": "6.7b"}, "data": data, "train": train} | sections)
