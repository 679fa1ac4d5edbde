"""Runs our Inspect tasks in an environment with Inspect AI; prints the scores of each as JSON.

python tests/support/inspect_run.py < {"models": […], "tasks": {name: parameters}, "logs": DIR}
"""

import json
import sys

from inspect_ai import eval as evaluate

from semcoder_jax.integrations import inspect_tasks


def main() -> None:
    asked = json.load(sys.stdin)
    tasks = [getattr(inspect_tasks, name)(**given) for name, given in asked["tasks"].items()]
    logs = evaluate(
        tasks, model=asked["models"], log_dir=asked["logs"], display="none", max_tasks=4
    )
    found: dict = {}
    for log in logs:
        assert log.status == "success", log.error
        metrics = {score.name: score.metrics["accuracy"].value for score in log.results.scores}
        task = found.setdefault(log.eval.model, {})[log.eval.task.split("/")[-1]] = metrics
        task["samples"] = log.results.completed_samples
    print(json.dumps(found))


if __name__ == "__main__":
    main()
