"""Forms of a response: one question about a run, answered with different kinds of reasoning.

`FORMS` are those of small functions in one frame, which a narrator can tell inline; `REAL_FORMS`
tell runs of real programs, with the builder's narrators in place of the inline ones.
"""

from collections.abc import Mapping

from data_pipeline.forms.answer_claims import read_answer
from data_pipeline.forms.backward_claims import read_backward
from data_pipeline.forms.comment_claims import read_next_trace, read_scratchpad
from data_pipeline.forms.comments import SCRATCHPAD, TRACE, answer, next_trace, scratchpad
from data_pipeline.forms.form import ANSWER_OPENING, Form, StepCount
from data_pipeline.monologue.backward import backward_monologue
from data_pipeline.monologue.forward import forward_monologue
from data_pipeline.monologue.inline import NarrationError, inline_monologue
from data_pipeline.monologue.inline_backward import inline_backward_monologue
from data_pipeline.tracing import Trace
from data_pipeline.verify import verify_trace

_MONOLOGUE = "[MONOLOGUE]"


def _told_backward(trace: Trace) -> str:
    return backward_monologue(trace, trace.call)


def _by_name(*forms: Form) -> Mapping[str, Form]:
    return {form.name: form for form in forms}


FORMS: Mapping[str, Form] = _by_name(
    Form("direct", "forward", ANSWER_OPENING, answer, read_answer),
    Form("scratchpad", "forward", f"[{SCRATCHPAD}]", scratchpad, read_scratchpad, True),
    Form("next_trace", "forward", f"[{TRACE}]", next_trace, read_next_trace, True),
    Form("monologue", "forward", _MONOLOGUE, inline_monologue, verify_trace),
    Form("backward_direct", "backward", ANSWER_OPENING, answer, read_answer),
    Form("backward_monologue", "backward", _MONOLOGUE, inline_backward_monologue, read_backward),
)
REAL_FORMS: Mapping[str, Form] = {
    **FORMS,
    **_by_name(
        Form("monologue", "forward", _MONOLOGUE, forward_monologue, verify_trace),
        Form("backward_monologue", "backward", _MONOLOGUE, _told_backward, verify_trace),
    ),
}

__all__ = ["FORMS", "REAL_FORMS", "Form", "NarrationError", "StepCount"]
