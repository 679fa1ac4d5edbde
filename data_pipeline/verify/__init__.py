"""Verifies each claim of a monologue, in free wording, against the real run.

`verify_trace(trace, monologue)` reads claims about values at lines, branches taken, loop turns,
returned values, exceptions and the final assertion, and gives each a verdict: confirmed,
contradicted (with the truth), or not checkable. A claim that cannot be placed in the run is not
checkable; it is never contradicted for that.

- `claims`: claims, the verdicts on claims and on lines, and their display
- free wording, from a line to claims: `masking` (code becomes atoms), `wordings` (other authors'
  words become the grammar's), `layout` (sections, labels,
  sentences), `turns` (which turn of which loop is told), `asides` (values put in),
  `clause_cutting`, `nouns`, `predicates`, `told_forms`, `grammar` and `flow_wording` (clauses
  become claims, `stated`), `givens` and `elements` (the state, or element, that a line selects),
  `consequences`, `ordinals`, `characters`, `plain_words` (what may go unread); `screening` spares
  the search for patterns whose words a sentence lacks
- from claims to verdicts: `placing` (sentences to executions of lines), `times` (the time that a
  sentence itself states), `story` (values told in order, without labels), `judging` with
  `value_verdicts`, `hints`, `loop_verdicts`,
  `taken_verdicts`, `step_verdicts`, `given_verdicts`, `comprehensions`, `code_verdicts`, `ends`,
  `beyond` (turns that no loop makes), `operands` (sums of plain values) and `labels`; `residue`
  holds what is left unread; `variations` judges rules about inputs by other runs, and
  `program_claims` those that `rule_wording` and `rule_values` put into code;
  `descriptions` reads what is told of the code (`simplifying`, `clauses`, `matching`, and, where
  these leave something unread, `alignment`) and of the
  result (`result_contents`, `selections`, `named_parts`, `returned`; `misnomers` finds names that
  the program denies), `told_code` and `told_values` what a step
  says of its line, `told_tests`, `told_flow` and `told_results` what it says of tests without
  their names, of the way of the run and of comprehensions; `told_counts`
  how often something happens; `told_outcomes` what it says an
  operation gives; `reasons` conditions told in words, `shown_code` code with values put in;
  `told_operations` (calls of methods, their receivers, arguments and results),
  `told_positions` (what stands at an index) and `instances` (code with values put in, part by part)
  contradict what a step says that the run does nowhere; `told_names` notes variables, denials and
  labels of a step that its claims leave out, `quoted_code` code that is another line's or not the
  program's;
  `doubts` notes what keeps a line from being confirmed: words that nothing bears out
  (`word_evidence`, `told_calls`), changes of variables that never happen (`told_changes`), values
  that its place does not have (`locality`), receivers, calls, names and reasons that no claim of
  a step accounts for (`leftovers`), denials in a line on the program
  (`program_doubts`); `moments` finds
  values told of another moment than theirs, `elsewhere` what else a contradicted claim may mean
  where nothing says of which call, block or moment it is;
  `pools` holds what a run computes, `evaluation` evaluates code safely, `values` compares;
  `sentence_verdicts` judges a claim where and when the text tells it, `prose` puts it all together
- `backward`: lines that reason from the output to an input
- `inline`: the strict reading of inline monologues
- `answer`: the final assertion
- `numbering`: line labels as prompts or as files count; `scoring`: scores against labels

`python -m data_pipeline.verify` runs it as a command. Predictions are read as literals, never run.
`trace_of` runs the program in this process: for trusted programs only; the command runs it in the
sandbox.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from data_pipeline.source.calls import CallError
from data_pipeline.tracing import Trace, trace_call
from data_pipeline.tracing.replay import replay_of
from data_pipeline.verify.answer import outcome, witness_call
from data_pipeline.verify.claims import (
    CONFIRMED,
    CONTRADICTED,
    KINDS,
    LINE_MARKS,
    MARKS,
    NOT_CHECKABLE,
    PARTLY,
    RUNS,
    UNCHECKED,
    UNREAD,
    Claim,
    VerifyError,
    count_verdicts,
    line_verdicts,
    mark_claims,
    step_verdicts,
)
from data_pipeline.verify.inline import inline_claims, is_inline
from data_pipeline.verify.numbering import label_quoted_lines
from data_pipeline.verify.prose import free_claims, told_calls

_MOST_EXAMPLES = 40
_MOST_DIGITS = 4000  # Python's own limit is 4,300 (sys.int_info)
_TOO_LONG = re.compile(rf"\d{{{_MOST_DIGITS + 1},}}")

__all__ = [
    "CONFIRMED",
    "CONTRADICTED",
    "KINDS",
    "LINE_MARKS",
    "MARKS",
    "NOT_CHECKABLE",
    "PARTLY",
    "RUNS",
    "UNCHECKED",
    "UNREAD",
    "Claim",
    "VerifyError",
    "count_verdicts",
    "example_calls",
    "example_outcomes",
    "line_verdicts",
    "mark_claims",
    "step_verdicts",
    "trace_of",
    "verify_forward",
    "verify_trace",
    "witness_call",
]


def verify_trace(
    trace: Trace, monologue: str, outcomes: Mapping[str, str] | None = None
) -> list[Claim]:
    """Returns the claims of `monologue` about the run in `trace`, in the order of its lines.

    Never raises, whatever the text. Checks a backward monologue (with a Reverse Deduction) against
    the run of its witness: trace the call of its answer, `witness_call(monologue)`.

    outcomes: call -> result as text, or "raises …", for calls of `example_calls`; without its
      outcome, what a monologue tells of another input is not checkable.
    """
    monologue = _with_readable_numbers(monologue)
    if is_inline(monologue):
        return inline_claims(trace, monologue)
    labelled = label_quoted_lines(trace.program, monologue)
    return free_claims(replay_of(trace), labelled, outcomes.get if outcomes else None)


def example_calls(trace: Trace, monologue: str) -> list[str]:
    """Returns the other calls that a monologue needs, each once, 40 at most.

    These are the inputs that a backward monologue names, and variations of the run's own arguments
    for rules such as "if `n` is 0, it returns the list".
    """
    return told_calls(replay_of(trace), _with_readable_numbers(monologue))[:_MOST_EXAMPLES]


def _with_readable_numbers(text: str) -> str:
    """Cuts numbers that Python refuses to read; no run can show their values either."""
    return _TOO_LONG.sub(lambda match: match[0][:_MOST_DIGITS], text)


def example_outcomes(
    trace: Trace, monologue: str, run: Callable[[str, Sequence[str]], Iterable[Trace | None]]
) -> dict[str, str]:
    """Runs the calls of `example_calls`; returns the `outcomes` that `verify_trace` takes.

    run: traces calls of a program, such as `Sandbox.traces`
    """
    calls = example_calls(trace, monologue)
    traces = zip(calls, run(trace.program, calls) if calls else (), strict=True)
    return {call: outcome(one) for call, one in traces if one is not None and one.truncated is None}


def verify_forward(program: str, call: str, monologue: str) -> list[Claim]:
    """Traces `call` on the trusted `program` and checks `monologue` against it.

    Raises VerifyError if program and call cannot be run at all.
    """
    return verify_trace(trace_of(program, call), monologue)


def trace_of(program: str, call: str) -> Trace:
    """Traces `call` on the trusted `program`; raises VerifyError if it cannot be run."""
    try:
        return trace_call(program, call)
    except CallError as error:
        raise VerifyError(str(error).splitlines()[0]) from error
