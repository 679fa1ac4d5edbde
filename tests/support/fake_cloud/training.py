"""A stand-in for `python -m launch.worker` that does what training.json says; see FakeCloud.train.

Copied into the fake cloud's folder, where the workers' Python finds it.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> int:
    folder = Path(os.environ["FAKE_CLOUD"])
    node, worker = os.environ["FAKE_WORKER"].split("/")
    counter = folder / f"sessions-{node}-{worker}"
    number = int(counter.read_text()) if counter.is_file() else 0
    counter.write_text(str(number + 1))
    sessions = json.loads((folder / "training.json").read_text())
    session = sessions[min(number, len(sessions) - 1)]
    print(f"session {number} of worker {worker}:", *sys.argv[1:], flush=True)

    def save(signal_number, frame):
        print("saved", flush=True)
        os._exit(75)

    signal.signal(signal.SIGTERM, save)
    for line in session["lines"]:
        print(line, flush=True)
    status = session["statuses"][int(worker) % len(session["statuses"])]
    time.sleep(session["seconds"] if status is not None else 60)
    return 70 if status is None else status  # nobody ended it


if __name__ == "__main__":
    sys.exit(main())
