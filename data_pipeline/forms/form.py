"""Defines a form of response: what a record asks, and how its answer is reasoned out."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

from data_pipeline.pyx.prompts import backward_field, forward_field
from data_pipeline.pyx.records import PyXRecord
from data_pipeline.source.calls import parse_call
from data_pipeline.tracing import Trace
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, Claim, step_verdicts

Task = Literal["forward", "backward"]
ANSWER_OPENING = "[ANSWER]"


@dataclasses.dataclass(frozen=True)
class StepCount:
    """Holds how many steps of a response were held against a run, and how many it contradicts."""

    judged: int
    contradicted: int


@dataclasses.dataclass(frozen=True)
class Form:
    """A form in which the answer to a question about a run is written.

    All forms end with the completed assertion and [/ANSWER], so one parser reads them.

    Args:
      name: key in FORMS.
      task: "forward" asks for the output of a call, "backward" for a call with this output.
      opening: tag at the end of the prompt, after which the response begins.
      write: returns the response about a run. Raises NarrationError for a run that this form
        cannot tell.
      read: returns the claims of any such response about a run, each with its verdict. The run
        of a backward response is that of the call in its answer.
      counts_claims: whether a step is one claim; else it is one line of the response.
    """

    name: str
    task: Task
    opening: str
    write: Callable[[Trace], str] = dataclasses.field(repr=False)
    read: Callable[[Trace, str], Sequence[Claim]] = dataclasses.field(repr=False)
    counts_claims: bool = False

    @property
    def kind(self) -> str:
        """Returns the field of a PyX record that holds the question."""
        return "fwd_mnl" if self.task == "forward" else "bwd_mnl"

    def prompt_field(self, program: str, call: str, output: str) -> str:
        """Returns the question in upstream's template, with this form's opening tag.

        Backward questions use only the function's name of `call`.
        """
        if self.task == "forward":
            field = forward_field(program, call, answer_mode="direct")
        else:
            name = parse_call(call).name
            field = backward_field(program, output, function=name, answer_mode="direct")
        return field.removesuffix(ANSWER_OPENING) + self.opening

    def response(self, trace: Trace) -> str:
        """Returns the text after the opening tag for this run. Raises NarrationError."""
        return self.write(trace)

    def count_steps(self, trace: Trace, response: str) -> "StepCount":
        """Counts the steps of a response that state something of the run, without the answer."""
        claims = [claim for claim in self.read(trace, response) if claim.kind != "answer"]
        judged = [claim for claim in claims if claim.verdict in (CONFIRMED, CONTRADICTED)]
        verdicts = (
            [claim.verdict for claim in judged]
            if self.counts_claims
            else list(step_verdicts(judged).values())
        )
        return StepCount(len(verdicts), verdicts.count(CONTRADICTED))

    def record(self, id: str, trace: Trace) -> PyXRecord:
        """Returns a training record about a run. Raises NarrationError."""
        fields = dict.fromkeys(("fwd_mnl", "bwd_mnl"), "")
        fields[self.kind] = self.prompt_field(trace.program, trace.call, trace.result or "")
        return PyXRecord(id=id, nl="", response=self.write(trace), **fields)
