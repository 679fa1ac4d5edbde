"""Scores a model by lm-evaluation-harness, through our model entry and through transformers.

    python tests/support/lm_eval_run.py CHECKPOINT FOLDER

FOLDER holds task files (*.yaml) and their data. Prints {model: {request: answers}} as JSON: what
each model answered to the harness's own requests.
"""

import json
import sys

import lm_eval
from lm_eval.tasks import TaskManager

import semcoder_jax.integrations.lm_eval_model  # noqa: F401 - registers the model


def main() -> None:
    checkpoint, folder = sys.argv[1:]
    manager = TaskManager(include_path=folder, include_defaults=False)
    found: dict = {}
    theirs = f"pretrained={checkpoint},dtype=float32,device=cpu"
    for model, arguments, tasks in (
        ("semcoder", f"checkpoint={checkpoint}", ["choice", "rolling", "generated"]),
        ("hf", f"{theirs},add_bos_token=True", ["choice", "generated"]),
        # Rolling puts BOS before a text by itself: with this option, a second one.
        ("hf", f"{theirs},add_bos_token=False", ["rolling"]),
    ):
        results = lm_eval.simple_evaluate(
            model=model,
            model_args=arguments,
            tasks=tasks,
            task_manager=manager,
            batch_size=2,
            log_samples=True,
            bootstrap_iters=0,
            cache_requests=False,
        )
        found.setdefault(model, {}).update(
            {
                name: [sample["resps"] for sample in samples]
                for name, samples in results["samples"].items()
            }
        )
    print(json.dumps(found, default=str))


if __name__ == "__main__":
    main()
