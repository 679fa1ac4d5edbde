"""A bandit with one arm for each token: the best answer to every prompt is known."""

import json
import os
import signal
from pathlib import Path

from semcoder_jax.reinforcement.judging import Judgement
from tests.support.tiny_run import tiny_config

BEST = 7
REWARD_OF = dict.fromkeys(range(8, 30), 0.2) | {BEST: 1.0, BEST + 1: 0.5}


def pull(records, groups) -> list[list[Judgement]]:
    """Rewards the first token of each answer; the best of all is BEST."""
    return [[_judgement(int(rollout.tokens[0])) for rollout in group] for group in groups]


def pull_and_stop_at(call: int):
    """Judges as `pull`, and sends this process SIGTERM at its so-manieth call."""
    calls = []

    def judge(records, groups):
        calls.append(None)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return pull(records, groups)

    return judge


def _judgement(token: int) -> Judgement:
    reward = REWARD_OF.get(token, 0.0)
    return Judgement({"tests": reward}, reward, first_wrong=None if reward else 0)


def bandit_config(folder: Path, *, steps: int, tokens: int = 1, **sections) -> dict:
    """Makes a config of a new tiny model that answers in `tokens` tokens; merges `sections`."""
    config = tiny_config(folder, data__global_batch_size=32, train__num_steps=steps)
    config["optimizer"] = {"peak_learning_rate": 0.01, "min_learning_rate": 0.01}
    config["train"] |= {"log_every": 1, "checkpoint_every": 100}
    config["data"]["sequence_length"] = 48
    config["rollouts"] = {"group_size": 8, "max_new_tokens": tokens, "max_drift": 1e-4}
    config["objective"] = {}
    config["rewards"] = {"tests": 1.0}
    for name, fields in sections.items():
        config[name] = config.get(name, {}) | fields
    return config


def steps_of(workdir: Path) -> list[dict]:
    """Returns the rows of the steps in metrics.jsonl."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "loss" in row]
