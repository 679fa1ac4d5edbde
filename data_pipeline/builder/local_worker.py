"""A worker process of the local runner: Beam's own, quiet, and gone when its build is gone.

Started by `runners`; Beam tells it by environment variables whom to ask for work.
"""

import logging
import os
import sys
import threading
import time


def main() -> None:
    logging.disable(logging.WARNING)  # what goes wrong is raised in the process that started this
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


def _end_with(parent: int) -> None:
    """A build that was killed cannot say goodbye, and Beam's worker would wait for it."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
