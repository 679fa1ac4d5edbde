"""Makes rows with a narrator that fails, hangs or lies, each for one function."""

from data_pipeline.builder import rows
from data_pipeline.builder.row_maker import RowMaker

_narrate = rows.forward_monologue


def narrate_poisoned(trace, **options):
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
        rows.forward_monologue = narrate_poisoned  # in the row process
        super().__init__(work)
