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

import jax

from semcoder_jax.config import parse_run
from semcoder_jax.planner import topologies
from semcoder_jax.planner.compiled_step import compile_step
from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.step_bounds import step_bounds


def answer(question: dict, known_flops: dict[str, float]) -> dict:
    """Returns `{"answer": …}`, or `{"error": LINE, "kind": NAME}`."""
    try:
        run, topology = parse_run(question["run"]), topologies.parse(question["topology"])
        if "settings" in question:
            settings = [Setting.from_record(record) for record in question["settings"]]
            bounds = step_bounds(run, topology, settings, known_flops)
            return {"answer": [one and dataclasses.asdict(one) for one in bounds]}
        return {"answer": compile_step(run, topology).to_record()}
    except (ValueError, TypeError, NotImplementedError, jax.errors.JaxRuntimeError) as error:
        lines = str(error).strip().splitlines() or [repr(error)]
        return {"error": lines[0], "kind": type(error).__name__}


def main() -> None:
    """Answers until stdin ends; when its owner exits, it stops even during a compilation."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # other output must not mix with the answers
    questions: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(questions,), daemon=True).start()
    known_flops: dict[str, float] = {}
    while True:
        found = answer(json.loads(questions.get()), known_flops)
        print(json.dumps(found), file=answers, flush=True)


def _read(questions: queue.Queue) -> None:
    for line in sys.stdin:
        questions.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
