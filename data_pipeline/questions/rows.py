"""Turns runs into rows of instruction data: {"id", "instruction", "response"}.

`python -m data_pipeline.prepare` and training read such rows beside PyX.
"""

import hashlib
from collections.abc import Iterator, Sequence

from data_pipeline.questions.reval import TASKS, run_questions
from data_pipeline.tracing import Trace
from data_pipeline.tracing.cwm import cwm_context, cwm_trace

CWM = "cwm"
KINDS = (*TASKS, CWM)


def question_rows(
    trace: Trace, kinds: Sequence[str] = KINDS, *, most: int = 4
) -> Iterator[dict[str, str]]:
    """Yields the rows of a run, for at most `most` statements.

    The id names the kind and the run: "state_4f0c…_L7". A run that raised, was cut or returned no
    literal gives no REval rows; one that was cut gives no CWM row.
    """
    run_id = hashlib.sha256(f"{trace.program}\n{trace.call}".encode()).hexdigest()[:16]
    asked = set()
    for group in run_questions(trace, most=most):
        for question in group:
            if question.task not in kinds or question.text in asked:
                continue
            asked.add(question.text)  # the output is asked once a run
            yield {
                "id": f"{question.task}_{run_id}_{question.label}",
                "instruction": question.text,
                "response": f"[ANSWER]\n{question.answers[0]}\n[/ANSWER]",
            }
    if CWM in kinds and trace.truncated is None and trace.clipped == 0:
        yield {
            "id": f"{CWM}_{run_id}",
            "instruction": cwm_context(trace),
            "response": cwm_trace(trace),
        }
