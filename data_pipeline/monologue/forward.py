"""Writes forward monologues in the release's form from a trace.

Parts: the function's purpose, its key properties, a numbered execution whose steps cite lines as
[L7], a conclusion, and the asserted answer. Every clause states claims that `claims.Prover` has
proven on the run.

The level of detail depends on size: the richest narration that stays under TARGET tokens, else a
leaner one; the leanest leaves steps out, and states the variables after them.
"""

import dataclasses
import re

from data_pipeline.claims import Claim, Place, Prover
from data_pipeline.monologue.inline import NarrationError, direct_answer
from data_pipeline.monologue.introduction import introduction
from data_pipeline.monologue.program import Program
from data_pipeline.monologue.simulation import Detail, Simulation, Untold
from data_pipeline.monologue.speech import RefutedClaim, Sentence, Speaker, join, label
from data_pipeline.monologue.steps import LineNarrator
from data_pipeline.monologue.wording import Words
from data_pipeline.tracing import Trace
from data_pipeline.tracing.replay import Replay, replay_of

TARGET = 1200
"""Preferred maximum length of a monologue, in tokens (estimated, see `tokens`)."""
MOST = 1900
_PIECE = re.compile(r"\d|[A-Za-z]+|[^\sA-Za-z\d]")

_DETAILS = (
    Detail(head=3, calls=3, values=100, steps=70),
    Detail(head=2, calls=2, values=70, steps=60),
    Detail(head=2, calls=1, values=50, steps=50),
    Detail(head=1, calls=1, values=60, steps=36),
    Detail(head=1, calls=0, values=40, steps=16),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Narration:
    """A monologue with the claims that it states, in order; complete: no steps are left out."""

    text: str
    sentences: tuple[Sentence, ...]
    complete: bool

    @property
    def claims(self) -> tuple[Claim, ...]:
        return tuple(claim for sentence in self.sentences for claim in sentence.claims)


def forward_monologue(trace: Trace, *, seed: int = 0) -> str:
    """Returns the response of a forward row: monologue, tags and completed assertion.

    The same trace and seed give the same text; another seed gives other words for the same facts.
    Raises NarrationError, with a short reason, if the run raised or was cut, or if its call and
    result are too long to narrate; RefutedClaim for a fault of the narrator.
    """
    return narrate_forward(trace, seed=seed).text


def narrate_forward(trace: Trace, *, seed: int = 0) -> Narration:
    """Returns a forward monologue with its claims; see `forward_monologue`."""
    if trace.raised is not None or trace.result is None:
        raise NarrationError(f"the call raised {trace.raised}"[:200])
    if trace.truncated is not None:
        raise NarrationError(f"the trace is cut: {trace.truncated}")
    if "…⟨+" in trace.result or trace.result.startswith("<"):
        raise NarrationError("the result is too long or no literal")
    run, prover = replay_of(trace), Prover(trace)
    told, with_calls = None, None
    for detail in _DETAILS:
        try:
            told = _narrate(run, prover, detail, seed)
        except Untold:
            continue
        if tokens(told.text) <= TARGET and told.complete:
            break
        if detail.calls and told.complete and tokens(told.text) <= MOST:
            with_calls = told
    if with_calls is not None and told is not None and _calls(told) < _calls(with_calls):
        return with_calls  # what a function does inside is worth some more tokens
    if told is None:
        raise NarrationError("too long to be told: a variable cannot be written out")
    if tokens(told.text) > MOST:
        raise NarrationError(f"too long to be told: about {tokens(told.text)} tokens")
    return told


def _calls(told: Narration) -> int:
    """Returns the number of calls whose lines are told."""
    return sum(claim.kind == "enters" for claim in told.claims)


def tokens(text: str) -> int:
    """Estimates DeepSeekCoder's token count, from above.

    Counts each digit and punctuation mark as one token, and words as one or more by their length.
    """
    return sum(1 + (len(piece) - 1) // 6 for piece in _PIECE.findall(text))


def _narrate(run: Replay, prover: Prover, detail: Detail, seed: int) -> Narration:
    words = Words(f"{seed}/{run.trace.program}/{run.trace.call}", detail.values)
    speaker, program = Speaker(prover, words), Program(run)
    purpose, properties = introduction(run, program, speaker)
    steps = Simulation(run, program, LineNarrator(run, program, speaker), detail).steps()
    ending = _conclusion(run, prover, words)
    numbered = [f"{n}. {label(step.line)} {step.text}" for n, step in enumerate(steps, 1)]
    answer = f"assert {run.trace.call} == {run.trace.result}\n[/ANSWER]"
    complete = not any(c.kind == "resumption" for step in steps for c in step.claims)
    text = "\n".join(
        [
            "### Understanding the Function",
            " ".join(sentence.text for sentence in purpose),
            "\n### Key Properties and Constraints",
            *(f"- {sentence.text}" for sentence in properties),
            "\n### Execution Simulation",
            *numbered,
            "\n### Conclusion",
            *(sentence.text for sentence in ending),
            f"[/MONOLOGUE]\n\n[ANSWER]\n{answer}",
        ]
    )
    return Narration(text, (*purpose, *properties, *steps, *ending), complete)


def _conclusion(run: Replay, prover: Prover, words: Words) -> list[Sentence]:
    speaker = Speaker(prover, words.with_room(3 * words.values))
    claim = Claim("outcome", Place(0), run.trace.call, run.trace.result or "")
    told = speaker.say("outcome", claim) or speaker.say("outcome call", claim)
    sentence = join([told or speaker.say("outcome bare", claim)])
    return [] if sentence is None else [sentence]


__all__ = [
    "NarrationError",
    "RefutedClaim",
    "direct_answer",
    "forward_monologue",
    "narrate_forward",
    "tokens",
]
