"""Judges what an input must have by a search: is it so for every input that gives the output?

"`text` must not start with `prefix`", "if `n` is negative, we need `xs[n]` to equal 1": the
witness's arguments are varied and run. Of the inputs that give the output asked for, all must have
it, and some that lack it must miss the output. So a necessity is known even where the witness
itself misses the output, of which its own arguments say nothing.
"""

import re
from collections.abc import Callable

from data_pipeline.source.literals import LiteralError
from data_pipeline.verify.backward.behaviour import Behaviour
from data_pipeline.verify.backward.nouns import ATOM
from data_pipeline.verify.backward.plain import plain_statement
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.trials import Trial, Trials
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.evaluation import Unknown
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.values import compare

_MOST_TRIALS = 14
_LEAST = 2  # inputs that lack what is needed and miss the output
_MODAL = re.compile(r"\b(?:must|should|has to|have to|needs? to)\b")
_WE_NEED = re.compile(
    r"^(?:we (?:need|want|require)|(?:it is |it's )?(?:necessary|required)(?: for)?|you need)"
    r"(?: to have| to ensure(?: that)?)? (?P<x>.+?) to (?P<verb>be|equal|contain|have|start|end"
    r"|include)\b(?P<rest>.*)$"
)
_ONLY_NEED = re.compile(
    r"^the (?:only|main|key) (?:requirement|condition|constraint)(?: for this)? is that "
)
_IF = re.compile(r"^(?:if|when) (?P<when>[^,]+), (?:then )?(?P<rest>.+)$")
_ON_THE_WAY = re.compile(
    r"\b(?:output|result|resulting|modified|remaining|returned|loop|iteration|after|before|when"
    r"|new|current|final|processed|processing|originally|been|same|expected|desired|condition)\b"
)


class Necessities:
    """Judges necessities by trials of one function."""

    def __init__(self, trials: Trials):
        self.trials = trials
        self.behaviour = Behaviour(trials.witness, trials.run_call)

    def read(self, piece: str) -> list[JudgedClaim] | None:
        """Confirms a necessity that the search bears out; None of any other statement."""
        text = _ONLY_NEED.sub("", plain_statement(piece))
        when = _IF.match(text)
        said = _WE_NEED.sub(r"\g<x> must \g<verb>\g<rest>", when["rest"] if when else text)
        if not _MODAL.search(re.sub(ATOM, "", said)) or self._tells_of_the_run(text):
            return None
        if when is None:
            return self._judge(text, said, lambda _: True)
        fits = when["when"]
        return self._judge(text, said, lambda trial: self.behaviour.fits(trial, fits))

    def supposed(self, sentence: str) -> list[JudgedClaim] | None:
        """Confirms a necessity with a condition, which is one sentence: "if …, then … must …"."""
        return self.read(sentence) if re.match(r"(?:if|when)\b", sentence, re.I) else None

    def _tells_of_the_run(self, text: str) -> bool:
        """Tells whether a statement is about more than the arguments of a call."""
        witness = self.trials.witness
        names = {
            name for atom in re.findall(ATOM, text) for name in re.findall(r"[A-Za-z_]\w*", atom)
        }  # fmt: skip
        local = names & (set(witness.run.names) | {witness.function}) - set(witness.arguments)
        return bool(local) or _ON_THE_WAY.search(re.sub(ATOM, "", text)) is not None

    def _judge(
        self, text: str, said: str, fits: Callable[[Trial], bool | None]
    ) -> list[JudgedClaim] | None:
        goal, having, lacking = self.trials.witness.goal, [], []
        for trial in self.trials.mixed(_MOST_TRIALS):
            held = self._holds(trial, said) if trial.ended and fits(trial) else None
            if held is None:
                continue
            gives = compare(trial.goal, goal) == CONFIRMED
            if gives and not held:
                return None
            if gives:
                having.append(trial)
            elif not held:
                lacking.append(trial)
        if not having or len(lacking) < _LEAST:
            return None
        return [having[0].claim(text, held=True)]

    def _holds(self, trial: Trial, said: str) -> bool | None:
        try:
            told = Properties(trial).read(said, choice=False)
        except (Unknown, LiteralError, TypeError, ValueError, KeyError, IndexError):
            return None
        return None if not told else all(claim.verdict == CONFIRMED for claim in told)
