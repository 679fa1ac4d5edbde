"""Runs launch.worker with a planted fault, for rehearsals.

    python -m launch.rehearsed_worker [--kill=STEP] [--hang=STEP] [--slow=MILLISECONDS]
        [--reached=STEP --file=FILE] -- ARGUMENTS OF launch.worker

Faults are planted where a host gets its next batch: --slow waits there before every step, --kill
ends the process by SIGKILL and --hang waits for ever, once STEP is finished. --reached creates FILE
then.
"""

import argparse
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from data_pipeline.tokens.batches import BatchIterator
from launch import worker


@dataclasses.dataclass(frozen=True)
class Faults:
    """Faults of one process; steps count from 1, None is never."""

    kill: int | None = None
    hang: int | None = None
    slow: float = 0.0
    reached: int | None = None
    file: str | None = None

    def arguments(self) -> list[str]:
        """Returns the flags that plant these faults."""
        fields = dataclasses.asdict(self).items()
        return [f"--{name}={value}" for name, value in fields if value]

    def before_step(self, step: int) -> None:
        """Acts before the batch of `step` is made; step - 2 is then the last finished one."""
        time.sleep(self.slow / 1000)
        finished = step - 2
        if finished == self.reached:
            Path(self.file).touch()
        if finished == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if finished == self.hang:
            time.sleep(10**6)


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
    """Lets the faults act before each batch of this process."""
    next_batch = BatchIterator.__next__

    def next_batch_with_faults(iterator: BatchIterator):
        faults.before_step(iterator.step + 1)
        return next_batch(iterator)

    BatchIterator.__next__ = next_batch_with_faults


if __name__ == "__main__":
    sys.exit(main())
