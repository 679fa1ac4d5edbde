"""Turns programs into training batches: PyX records, prompts, execution, tracing, grain input.

No module here imports JAX; only `data_pipeline.tokens.batches` loads it, through grain.
"""

import os
import signal
import sys

# On import, transformers warns of a missing PyTorch; its tokenizers, all that is used, need none.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")


def end_at_signal(number: int, frame: object) -> None:
    """Ends a command that is still being imported; later, `run_command` does."""
    os.write(2, b"\nstopped\n")
    os._exit(128 + number)


if sys.argv[:1] == ["-m"]:  # `python -m data_pipeline.verify` imports packages before it runs that
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_signal)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end_at_signal)
