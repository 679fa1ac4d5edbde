"""A maker of rows whose narrator fails, hangs and lies, each at one function."""

from data_pipeline.builder import rows
from data_pipeline.builder.stages import RowMaker

_narrate = rows.forward_monologue


def poisoned(trace, **options):
    if "def vowels" in trace.program:
        raise ZeroDivisionError("poison")
    if "def runs" in trace.program:
        while True:
            pass
    text = _narrate(trace, **options)
    if "def digits" in trace.program:
        head, _, tail = text.rpartition(f"== {trace.result}")
        text = f"{head}== 12345{tail}"
    return text


class PoisonedRowMaker(RowMaker):
    def __init__(self, work):
        rows.forward_monologue = poisoned  # in the process that makes rows, which is its own
        super().__init__(work)
