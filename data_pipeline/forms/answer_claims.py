"""Reads the assertion that ends every response."""

from data_pipeline.tracing import Trace
from data_pipeline.verify import Claim
from data_pipeline.verify.answer import answer_claim

_OPENING, _CLOSING = "[ANSWER]", "[/ANSWER]"


def read_answer(trace: Trace, text: str) -> list[Claim]:
    """Returns the claim of a response's assertion; none if it has no assertion."""
    before, _, answer = text.rpartition(f"{_OPENING}\n")
    asserted = answer.partition(f"\n{_CLOSING}")[0].strip()
    if not asserted.startswith("assert "):
        return []
    number = before.count("\n") + (2 if before or text.startswith(_OPENING) else 1)
    expression = asserted.removeprefix("assert ").split("\n")[0]
    return [answer_claim(trace, number, expression, other_is_false=True)]
