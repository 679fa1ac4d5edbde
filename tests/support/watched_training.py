"""Trains like the command and records the input records of each step:

python tests/support/watched_training.py FILE.jsonl launch.worker --config=… --workdir=…
"""

import hashlib
import importlib
import json
import sys

import numpy as np

from data_pipeline.tokens.batches import BatchIterator


def digest(tokens) -> str:
    """Hashes a record's input tokens."""
    return hashlib.sha256(np.asarray(tokens, np.int32).tobytes()).hexdigest()[:16]


def rows_of(batch) -> list[list[str]]:
    """Returns the digests of the records of each row, in order."""
    rows = zip(batch["tokens"], batch["segment_ids"], strict=True)
    return [
        [digest(tokens[segments == number]) for number in range(1, segments.max() + 1)]
        for tokens, segments in rows
    ]


def main() -> int:
    path, program = sys.argv[1:3]
    next_batch = BatchIterator.__next__

    def next_recorded_batch(iterator):
        step = iterator.step + 1
        batch = next_batch(iterator)
        with open(path, "a") as file:
            file.write(json.dumps({"step": step, "rows": rows_of(batch)}) + "\n")
        return batch

    BatchIterator.__next__ = next_recorded_batch
    return importlib.import_module(program).main(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
