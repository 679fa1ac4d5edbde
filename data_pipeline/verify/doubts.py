"""Notes what keeps a line of true claims from being confirmed as a whole.

A word, a value or a call that nothing at the line's place bears out may be false while all that was
read is true: such a line is half read, or contradicted where the run plainly denies it.
"""

from collections.abc import Iterator, Sequence

from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, Claim, unread_claim
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.leftovers import Leftovers
from data_pipeline.verify.locality import Locality
from data_pipeline.verify.places import Place
from data_pipeline.verify.pools import Pools
from data_pipeline.verify.program_doubts import ProgramDoubts
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.told_changes import ToldChanges
from data_pipeline.verify.word_evidence import WordEvidence


class Doubts:
    """Gathers the doubts about one line after the other."""

    def __init__(self, run: Replay, pools: Pools):
        self.words, self.locality = WordEvidence(run, pools), Locality(run, pools)
        self.program, self.changes = ProgramDoubts(run), ToldChanges(run)
        self.leftovers = Leftovers(run)
        self.left: list[str] = []  # what sentences of the line name beside their claims
        self.strangers: list[str] = []  # values of the line that its place does not have
        self.unborne: list[str] = []  # equations that its place does not bear out
        self.unknown: list[str] = []  # those that the whole run does not have
        self.held: list[WordedClaim] = []  # what is confirmed of the line

    def hold(self, worded: WordedClaim) -> None:
        """Notes a claim of the line that is confirmed: what it speaks of is judged."""
        self.held.append(worded)

    def look(self, sentence: Sentence, place: Place) -> None:
        """Notes the values of a sentence of the line that its place does not have."""
        self.strangers += self.locality.strangers(sentence.plain, place)
        self.unborne += self.locality.unborne(sentence.plain, place)
        self.unknown += self.locality.nowhere(sentence.plain)

    def account(self, sentence: Sentence, place: Place, claims: Sequence[Claim]) -> None:
        """Notes what a sentence names and none of its claims, all confirmed, accounts for."""
        if claims and all(claim.verdict == CONFIRMED for claim in claims):
            self.left += self.leftovers.of_sentence(sentence, place, self.held, claims)

    def of_program(self, number: int, line: str, claims: Sequence[Claim]) -> Iterator[Claim]:
        """Yields what a line on the program says that is not in its code."""
        for text in (*self.locality.foreign(line), *self.program.of_line(line, claims)):
            yield unread_claim(number, text)

    def of_types(self, number: int, line: str, claims: Sequence[Claim]) -> list[Claim]:
        """Returns the doubts about the types that a line of a deduction tells."""
        self.held, self.left = [], []
        if not claims or any(claim.verdict != CONFIRMED for claim in claims):
            return []
        return [unread_claim(number, text) for text in self.words.of_types(line)]

    def close(self, number: int, line: str, claims: Sequence[Claim]) -> list[Claim]:
        """Returns the doubts about a line, given all its claims; the next one begins afresh."""
        strangers, held, self.strangers, self.held = self.strangers, self.held, [], []
        unborne, self.unborne = self.unborne, []
        unknown, self.unknown = self.unknown, []
        left, self.left = self.left, []
        if not claims or any(claim.verdict != CONFIRMED for claim in claims):
            return []
        told = [
            *(one.subject or "" for one in held),
            *(one.text for one in claims if one.kind not in ("code", "flow")),
        ]
        doubts = [
            unread_claim(number, text) for text in strangers if not any(text in one for one in told)
        ]
        doubts += [unread_claim(number, text) for text in (*unborne, *left)]
        doubts += [unread_claim(number, text) for text in unknown if text not in strangers]
        truths = "; ".join(claim.truth for claim in claims if claim.truth)
        for text, truth in (*self.words.unproven(line, truths), *self.changes.denied(line)):
            denied = Claim(number, "code", text[:500], CONTRADICTED, truth)
            doubts.append(unread_claim(number, text) if truth is None else denied)
        return doubts
