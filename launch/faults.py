"""Faults that a rehearsal plants in one process."""

import dataclasses
import os
import signal
import time
from pathlib import Path


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
