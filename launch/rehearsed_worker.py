"""Runs launch.worker with a planted fault, for rehearsals.

    python -m launch.rehearsed_worker [--kill=STEP] [--hang=STEP] [--slow=MILLISECONDS]
        [--reached=STEP --file=FILE] -- ARGUMENTS OF launch.worker

Faults are planted where a host gets its next batch or prompts: --slow waits there before every
step, --kill ends the process by SIGKILL and --hang waits for ever, once STEP is finished. --reached
creates FILE then.
"""

import argparse
import sys
from collections.abc import Sequence

from data_pipeline.tokens.batches import BatchIterator
from launch import worker
from launch.faults import Faults
from semcoder_jax.reinforcement.prompts import Prompt, Prompts


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of the worker."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    split = arguments.index("--")
    parser = argparse.ArgumentParser()
    for name in ("kill", "hang", "reached"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--file")
    plant(Faults(**vars(parser.parse_args(arguments[:split]))))
    return worker.main(arguments[split + 1 :])


def plant(faults: Faults) -> None:
    """Lets the faults act before each batch of this process, and before the prompts of a step."""
    next_batch, of_step = BatchIterator.__next__, Prompts.of_step

    def next_batch_with_faults(iterator: BatchIterator):
        faults.before_step(iterator.step + 1)
        return next_batch(iterator)

    def of_step_with_faults(prompts: Prompts, step: int) -> list[Prompt]:
        faults.before_step(step + 1)  # prompts are drawn a step later than batches
        return of_step(prompts, step)

    BatchIterator.__next__, Prompts.of_step = next_batch_with_faults, of_step_with_faults


if __name__ == "__main__":
    sys.exit(main())
