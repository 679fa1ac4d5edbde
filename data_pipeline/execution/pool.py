"""Keeps a number of workers, starts them when needed, and replaces those that are lost."""

import queue
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from data_pipeline.execution import tiers
from data_pipeline.execution.channel import Report, Run, WorkerLost, WorkerProcess


class Pool:
    """Up to `size` workers of one tier and setup; any number of threads may wait for one.

    keep: whether a worker stays for the next run
    """

    def __init__(self, tier: str, setup: tiers.Setup, size: int, *, keep: bool = True):
        self.tier, self.setup, self.size, self.keep = tier, setup, size, keep
        self._idle: queue.LifoQueue[WorkerProcess | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)  # started when first needed
        # The kernel kills a worker when the thread that started it ends, so none of the callers'
        # threads starts one.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="sandbox-starter")

    def run(self, run: Run) -> tuple[Report | str, int]:
        """Returns (report, number of workers used), after two lost ones (reason, 2)."""
        for tries in (1, 2):
            worker = self._idle.get()
            try:
                if worker is None:
                    worker = tiers.start_worker(self.tier, self.setup, self._start)
                report = worker.run(run)
                if not self.keep:
                    worker.close()
                    worker = None
                return report, tries
            except WorkerLost as error:
                if worker is not None:
                    worker.close()
                worker, reason = None, str(error)
            except BaseException:  # interrupted: its report is still to come
                if worker is not None:
                    worker.close()
                worker = None
                raise
            finally:
                self._idle.put(worker)
        return reason, 2

    def _start(self, launch: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        return self._starter.submit(launch).result()

    def close(self) -> None:
        """Waits for runs and ends all workers."""
        for _ in range(self.size):
            worker = self._idle.get()
            if worker is not None:
                worker.close()
        self._starter.shutdown()
