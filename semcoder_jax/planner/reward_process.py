"""Runs the process that compiles the programs of learning from rewards; see compiler_process.

`{"run": RECORD, "topology": NAME, "program": NAME}` requests a compiled program, without "program"
the bytes of the arrays that stay. It stands apart so that cached plans of ordinary training do not
depend on the source of the engine.
"""

import dataclasses

from semcoder_jax.config import RunConfig
from semcoder_jax.planner import topologies
from semcoder_jax.planner.compiler_process import main
from semcoder_jax.planner.reward_programs import RewardShapes, compile_program


def answer_about_rewards(run: RunConfig, topology: topologies.Topology, question: dict):
    """Returns the answer as JSON-like values."""
    if "program" in question:
        return dataclasses.asdict(compile_program(run, topology, question["program"]))
    return RewardShapes.of(run, topologies.describe(topology)).stay_bytes()


if __name__ == "__main__":
    main(answer_about_rewards)
