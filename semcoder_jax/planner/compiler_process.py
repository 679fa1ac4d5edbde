"""Runs the process that `compiler` starts: reads one question per line, writes one answer per line.

`{"run": RECORD, "topology": NAME}` requests the compiled step; with `"settings": [...]` it requests
the bounds of each setting. It is a separate process because a compilation ignores Ctrl-C and libtpu
may end its process.
"""

import dataclasses
import json
import os
import queue
import sys
import threading
from collections.abc import Callable

import jax

from semcoder_jax.config import RunConfig, parse_run
from semcoder_jax.planner import topologies
from semcoder_jax.planner.compiled_step import compile_step
from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.step_bounds import step_bounds


class StepAnswers:
    """Answers about a training step; keeps the FLOPs that it has counted."""

    def __init__(self):
        self._known_flops: dict[str, float] = {}

    def __call__(self, run: RunConfig, topology: topologies.Topology, question: dict):
        if "settings" in question:
            settings = [Setting.from_record(record) for record in question["settings"]]
            bounds = step_bounds(run, topology, settings, self._known_flops)
            return [one and dataclasses.asdict(one) for one in bounds]
        return compile_step(run, topology).to_record()


def answer(question: dict, find: Callable) -> dict:
    """Returns `{"answer": …}` of `find(run, topology, question)`, or `{"error": LINE, "kind": …}`.

    `kind` is the name of the error's class.
    """
    try:
        run, topology = parse_run(question["run"]), topologies.parse(question["topology"])
        return {"answer": find(run, topology, question)}
    except (ValueError, TypeError, NotImplementedError, jax.errors.JaxRuntimeError) as error:
        lines = str(error).strip().splitlines() or [repr(error)]
        return {"error": lines[0], "kind": type(error).__name__}


def main(find: Callable) -> None:
    """Answers until stdin ends; when its owner exits, it stops even during a compilation."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # other output must not mix with the answers
    questions: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(questions,), daemon=True).start()
    while True:
        found = answer(json.loads(questions.get()), find)
        print(json.dumps(found), file=answers, flush=True)


def _read(questions: queue.Queue) -> None:
    for line in sys.stdin:
        questions.put(line)
    os._exit(0)


if __name__ == "__main__":
    main(StepAnswers())
