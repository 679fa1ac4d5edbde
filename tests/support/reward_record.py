"""Provides the record of a small run that learns from rewards, for the planner."""

from tests.support.planner_stand_in import record


def reward_record(**changes) -> dict:
    """Makes it; `changes` as in planner_stand_in.record."""
    base = record()
    base["data"] = {
        "source": "pyx",
        "directory": "-",
        "sequence_length": 63,
        "global_batch_size": 32,
    }
    base |= {
        "rollouts": {"max_new_tokens": 32, "group_size": 4, "slots": 4},
        "objective": {"kl_weight": 0.1, "passes": 2},
        "rewards": {"answer": 1.0},
    }
    for name, value in changes.items():
        section, _, field = name.partition("__")
        base.setdefault(section, {})[field] = value
    return base
