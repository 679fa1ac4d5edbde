"""Runs one worker process of the local Beam runner, without logging; exits with its build.

`runners` starts it; Beam passes the address of the work queue in environment variables.
"""

import logging
import os
import sys
import threading
import time


def main() -> None:
    logging.disable(logging.WARNING)  # errors are raised in the parent process
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


def _end_with(parent: int) -> None:
    """Exits when the parent has died; Beam's worker would wait for a killed build forever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
