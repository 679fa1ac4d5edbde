"""Makes a run of 6.7B for the planner."""

from semcoder_jax.config import parse_run


def planned_run(batch: int, num_steps: int = 1, **sections):
    """Makes a run with rows of 2,048 tokens; merges `train` and replaces other `sections`."""
    train = {"num_steps": num_steps} | sections.pop("train", {})
    data = {
        "source": "jsonl",
        "train": "-",
        "tokenizer": "-",
        "sequence_length": 2048,
        "global_batch_size": batch,
    }
    return parse_run({"model": {"architecture": "6.7b"}, "data": data, "train": train} | sections)
