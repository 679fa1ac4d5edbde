"""Writes backward monologues: from a wanted output to an input that gives it.

Follows the parts of the release's backward monologues: the function's purpose, its key properties,
the deduction from the output back to the arguments, and a concrete witness. What "must" be is
proven for every input with this output; all else is told as a choice, and the witness is checked
forwards. The caller must run the witness to confirm the output.
"""

import ast

from data_pipeline.claims import Claim, Place, Prover
from data_pipeline.monologue.deduction import Deduction
from data_pipeline.monologue.forward import Narration, tokens
from data_pipeline.monologue.inline import NarrationError
from data_pipeline.monologue.introduction import introduction
from data_pipeline.monologue.program import Program
from data_pipeline.monologue.simulation import Detail, Simulation, Untold
from data_pipeline.monologue.speech import Join, Sentence, Speaker, join
from data_pipeline.monologue.steps import LineNarrator
from data_pipeline.monologue.wording import Words
from data_pipeline.source.calls import CallError, parse_call
from data_pipeline.tracing import Trace
from data_pipeline.tracing.replay import Replay, replay_of

_MOST_ARGUMENTS = 6
_TARGET = 900  # tokens
_LEAST_VALUES = 60
_DETAILS = (
    Detail(head=2, calls=1, values=100, steps=24),
    Detail(head=1, calls=1, values=80, steps=36),
    Detail(head=1, calls=1, values=80, steps=14),
    Detail(head=1, calls=0, values=60, steps=8),
)


def backward_monologue(trace: Trace, witness_call: str, *, seed: int = 0) -> str:
    """Returns the response of a backward row: monologue, tags and completed assertion.

    trace: of `witness_call`. seed: chooses the wording; the facts do not depend on it. Raises
    NarrationError if the run raised or was cut, or if the call names no function of the program;
    RefutedClaim for a fault of the narrator.
    """
    return narrate_backward(trace, witness_call, seed=seed).text


def narrate_backward(trace: Trace, witness_call: str, *, seed: int = 0) -> Narration:
    """Returns a backward monologue with its claims; see `backward_monologue`."""
    if trace.raised is not None or trace.result is None:
        raise NarrationError("the run raised")
    if trace.truncated is not None:
        raise NarrationError("the trace is cut")
    try:
        parse_call(trace.call)
    except CallError:
        raise NarrationError("the call cannot be read") from None
    run = replay_of(trace)
    told = None
    for detail in _DETAILS:
        try:
            told = _narrate(run, witness_call, detail, seed)
        except Untold:
            continue
        if tokens(told.text) <= _TARGET:
            break
    return told or _narrate(run, witness_call, None, seed)


def _narrate(run: Replay, call: str, detail: Detail | None, seed: int) -> Narration:
    """Tells the check of the witness in a level of detail, or by its result alone."""
    prover = Prover(run.trace)
    words = Words(f"{seed}/{run.trace.program}/{call}", detail.values if detail else _LEAST_VALUES)
    speaker, program = Speaker(prover, words), Program(run)
    function = program.definition(run.events[0]) if run.events else None
    if not isinstance(function, ast.FunctionDef):
        raise NarrationError("the call names no function of the program")
    purpose, properties = introduction(run, program, speaker, labels=False)
    wide = Speaker(prover, words.with_room(3 * words.values))
    goal = Claim("goal", Place(function.lineno), function.name, run.trace.result or "")
    purpose += _sentences(wide.say("goal", goal))
    deduction = Deduction(run, program, speaker, function)
    bullets = [*deduction.bullets(), *_choice(run, speaker, function, deduction.fixed)]
    bullets += _check(run, program, speaker, detail)
    outcome = Claim("outcome", Place(0), run.trace.call, run.trace.result or "")
    ending = _sentences(wide.say("witness", outcome) or wide.say("outcome bare", outcome))
    text = "\n".join(
        [
            "### Understanding the Function",
            " ".join(sentence.text for sentence in purpose),
            "\n### Key Properties and Constraints",
            *(f"- {sentence.text}" for sentence in properties),
            "\n### Reverse Deduction",
            *(f"- {sentence.text}" for sentence in bullets),
            "\n### Conclusion",
            *(sentence.text for sentence in ending),
            f"[/MONOLOGUE]\n\n[ANSWER]\nassert {call} == {run.trace.result}\n[/ANSWER]",
        ]
    )
    return Narration(text, (*purpose, *properties, *bullets, *ending), complete=True)


def _sentences(*clauses) -> list[Sentence]:
    found = [join([clause]) for clause in clauses]
    return [sentence for sentence in found if sentence is not None]


def _choice(
    run: Replay, speaker: Speaker, function: ast.FunctionDef, fixed: set[str]
) -> list[Sentence]:
    """Tells the arguments that the deduction leaves open, as a choice."""
    given = run.events[0].changed
    place = Place(function.lineno, 0, run.events[0].frame)
    claims = {name: Claim("after", place, name, text) for name, text in given.items()}
    forced = [claim for name, claim in claims.items() if name in fixed]
    open_ = [claim for name, claim in claims.items() if name not in fixed][:_MOST_ARGUMENTS]
    parts = [speaker.say("no choice", *forced) if forced and open_ else None]
    parts.append(speaker.say("choice", *open_) if open_ else None)
    sentence = join([parts[0], Join.SEMICOLON, parts[1]])
    return [] if sentence is None else [sentence]


def _check(
    run: Replay, program: Program, speaker: Speaker, detail: Detail | None
) -> list[Sentence]:
    """Tells the run of the witness forwards, without labels, which backward questions lack."""
    outcome = Claim("outcome", Place(0), run.trace.call, run.trace.result or "")
    narrator = LineNarrator(run, program, speaker, labels=False)
    opening = _sentences(speaker.say("check", outcome))
    if detail is None:
        return opening
    return [*opening, *Simulation(run, program, narrator, detail).steps()[1:]]
