"""Splits a sentence about code into clauses: a verb, its phrases and its condition.

The grammar is small and fixed to how people describe functions: a subject that is mostly the
function itself, a verb of the field, an object, phrases begun by prepositions, and conditions.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from data_pipeline.verify.lexicon import Phrase, Token, lemma_of, read_tokens, verb_forms
from data_pipeline.verify.wordlists import word_set

_DETERMINERS = word_set(
    """
    the a an its their this these those of each any no all every such another his number in with
    as from for total current new previous resulting
    """
)
_BEFORE_BASE = word_set(
    """
    to will does do not can would should could must may we they simply also then you and or
    never cannot don't doesn't won't please
    """
)
_BEFORE_ING = word_set(
    """
    , by and then while when after before ( ; : - . thus effectively thereby or involves for
    """
)
_BE = word_set("is are be been was were being gets")
_ADVERBS = word_set(
    """
    then also simply not already just finally only first always again directly effectively
    either both therefore thus next further subsequently immediately repeatedly still never
    later
    """
)
_PREPOSITIONS = {
    "to": "to", "into": "to", "onto": "to", "from": "from", "with": "with", "using": "with",
    "via": "with", "through": "over", "over": "over", "at": "at", "by": "with", "in": "in",
    "on": "in", "within": "in", "as": "as", "called": "named", "named": "named", "for": "for",
    "across": "over", "between": "between", "before": "before", "after": "after",
    "until": "until", "than": "than", "inside": "in",
}  # fmt: skip
_CONDITIONS = word_set("if when whenever unless while until whether")


@dataclasses.dataclass(frozen=True)
class Clause:
    """Holds one clause.

    Attributes:
      verb: the verb's lemma; "" for a clause without a known verb.
      subject: the words before the verb; the object of a passive verb is here.
      slots: role ("object", "to", "from", "with", …) -> phrases.
      passive: `subject` suffers the verb.
      negated: the verb is denied.
      condition: tokens of the condition that it stands under, or that it checks ("whether …").
      marker: the word that began the condition ("if", "unless", "otherwise", …), "" without one.
      text: the clause as written.
    """

    verb: str
    subject: Phrase
    slots: dict[str, Phrase]
    passive: bool
    negated: bool
    condition: tuple[Token, ...]
    marker: str
    text: str


def _is_verb(tokens: Sequence[Token], at: int) -> str | None:
    """Returns "active" or "passive" if the token is the verb of a clause there, else None."""
    word = tokens[at].lower
    if tokens[at].kind != "word" or word not in verb_forms():
        return None
    back = at - 1
    while back >= 0 and tokens[back].lower in _ADVERBS:
        back -= 1
    before = tokens[back].lower if back >= 0 else "."
    code_before = back >= 0 and tokens[back].kind in ("code", "text")
    shape = verb_forms()[word][1]
    if word in ("set", "split", "put", "cut", "run") and before in _BE:
        return "passive"
    if shape == "ed" and word not in ("set", "split", "put", "cut", "run"):
        return "passive" if before in _BE else None
    if shape == "s":
        return None if before in _DETERMINERS and not code_before else "active"
    if shape == "ing":
        return "active" if before in _BEFORE_ING and not code_before else None
    return "active" if before in _BEFORE_BASE or back < 0 or before in (".", ":", "-") else None


def _boundary(token: Token) -> bool:
    return token.kind == "mark" and token.text in ".;:!?"


def split_clauses(sentence: str) -> list[Clause]:
    """Returns the clauses of a sentence (or of several, told together)."""
    return [clause for part in _parts(read_tokens(sentence)) for clause in _read_part(part)]


def _parts(tokens: list[Token]) -> Iterator[list[Token]]:
    """Yields runs of tokens between full stops, colons and the like; parentheses on their own."""
    part: list[Token] = []
    aside: list[Token] = []
    depth = 0
    for token in tokens:
        if token.kind == "mark" and token.text in "([{":
            depth += 1
        elif token.kind == "mark" and token.text in ")]}":
            depth = max(0, depth - 1)
            if not depth and aside:
                part += _apposition(aside)
                aside = []
        elif depth:
            aside.append(token)
        elif _boundary(token):
            if part:
                yield part
            part = []
        else:
            part.append(token)
    if part or aside:
        yield part + (_apposition(aside) if aside else [])


def _apposition(aside: list[Token]) -> list[Token]:
    """Keeps a name or literal in parentheses with its phrase; a whole clause stands on its own."""
    plain = all(token.kind in ("code", "text") for token in aside)
    return aside if plain else [Token("aside", _join(aside))]


def _join(tokens: Sequence[Token]) -> str:
    return " ".join(f"`{t.text}`" if t.kind == "code" else t.text for t in tokens)


def _read_part(tokens: list[Token]) -> Iterator[Clause]:
    """Yields the clauses of one run of tokens."""
    marker, condition = "", ()
    start = at = 0
    heads: list[tuple[int, str, str, tuple[Token, ...]]] = []  # verb, voice, marker, condition
    position = 0
    cuts: list[tuple[int, int]] = []  # tokens taken by conditions
    asides = [token.text for token in tokens if token.kind == "aside"]
    tokens = [token for token in tokens if token.kind != "aside"]
    while position < len(tokens):
        word = tokens[position].lower
        if word in ("otherwise", "else"):
            marker, condition = "otherwise", ()
            cuts.append((position, position + 1))
        elif _for_each(tokens, position):
            end = _condition_end(tokens, position + 1)
            if "in" not in [token.lower for token in tokens[position:end]] or end < len(tokens):
                end = _each_end(tokens, position + 1, end)
            cuts.append((position, end))
            yield _each_clause(tokens[position:end])
            position = end
            continue
        elif word in _CONDITIONS or _as_long_as(tokens, position):
            first = position + (1 if word in _CONDITIONS else 3)
            word = word if word in _CONDITIONS else "while"
            end = _condition_end(tokens, first)
            taken = tuple(tokens[first:end])
            cuts.append((position, end))
            if heads and not _leading(tokens, position):
                index, voice, _, _ = heads[-1]
                heads[-1] = (index, voice, word, taken)
            else:
                marker, condition = word, taken
            position = end
            continue
        elif voice := _is_verb(tokens, position):
            heads.append((position, voice, marker, condition))
        position += 1
    if not heads:
        yield _bare(tokens, cuts, marker, condition)
    for number, (at, voice, mark, under) in enumerate(heads):
        end = heads[number + 1][0] if number + 1 < len(heads) else len(tokens)
        end = _object_end(tokens, at + 1, end, number + 1 < len(heads) and heads[number + 1][1])
        yield _clause(tokens, start, at, end, voice, mark, under, cuts)
        start = end
    for aside in asides:
        yield from split_clauses(aside)


def _for_each(tokens: Sequence[Token], at: int) -> bool:
    words = [token.lower for token in tokens[at : at + 2]]
    return words in (["for", "each"], ["for", "every"])


def _each_end(tokens: Sequence[Token], at: int, end: int) -> int:
    return next((i for i in range(at, end) if _is_verb(tokens, i)), end)


def _each_clause(tokens: Sequence[Token]) -> Clause:
    """Returns "for each x in xs" as a clause of its own: there is a loop over it."""
    slots = _slots(tokens[1:])
    return Clause("iterate", Phrase(), slots, False, False, (), "", _join(tokens))


def _as_long_as(tokens: Sequence[Token], at: int) -> bool:
    return [token.lower for token in tokens[at : at + 3]] == ["as", "long", "as"]


def _leading(tokens: Sequence[Token], at: int) -> bool:
    """Tells whether a condition begins a clause ("…, and if …") rather than ends one."""
    back = at - 1
    while back >= 0 and tokens[back].lower in ("and", "but", "then", "or"):
        back -= 1
    return back < 0 or (tokens[back].text == "," and back != at - 1)


def _condition_end(tokens: Sequence[Token], at: int) -> int:
    for place in range(at, len(tokens)):
        word = tokens[place].lower
        if (tokens[place].kind == "mark" and word == ",") or word in ("then", "otherwise", "else"):
            return place
        inside = at < place < len(tokens) - 1
        if word == "it" and inside and _is_verb(tokens, place + 1):  # "if x is empty it returns"
            if tokens[place - 1].lower in ("and", "or"):
                continue
            return place
        if word == "and" and place + 1 < len(tokens):
            following = tokens[place + 1].lower
            if following in verb_forms() and verb_forms()[following][1] == "s":
                return place
            if following in ("false", "true", "none") or tokens[place + 1].text in (
                "True",
                "False",
            ):
                return place
    return len(tokens)


def _object_end(tokens: Sequence[Token], at: int, end: int, following: str | bool) -> int:
    """Returns where the verb's phrases end: before the next clause's subject."""
    if following == "passive":  # back to the last comma or conjunction: the rest is its subject
        for place in range(end - 1, at - 1, -1):
            if tokens[place].lower in (",", "and", "but", "which", "that"):
                return place
        return end
    place = end
    while place > at and tokens[place - 1].lower in _JOINING:
        place -= 1
    for back in range(place - 1, at - 1, -1):  # ", which …", ", the function …"
        if tokens[back].lower == ",":
            if back >= place - 4:
                return back
            break
    return place


_JOINING = word_set(
    """
    and then , it which that by to while also finally simply but or function the this will does
    not can we thereby effectively thus before after when they would should
    """
)


def _clause(
    tokens: list[Token], start: int, at: int, end: int, voice: str, marker: str,
    condition: tuple[Token, ...], cuts: list[tuple[int, int]],
) -> Clause:  # fmt: skip
    free = lambda i: not any(low <= i < high for low, high in cuts)  # noqa: E731
    before = [tokens[i] for i in range(start, at) if free(i)]
    if voice == "passive":
        before = _last_subject(before)
    after = [tokens[i] for i in range(at + 1, end) if free(i)]
    negated = any(token.lower in ("not", "never", "cannot", "without") for token in before) or any(
        token.lower.endswith("n't") for token in before
    )
    subject = Phrase(tuple(
        token for place, token in enumerate(before)
        if token.lower not in _SKIPPED and not _is_adverb(before, place)
    ))  # fmt: skip
    lemma = lemma_of(tokens[at].lower) or ""
    return Clause(lemma, subject, _slots(after), voice == "passive", negated, condition, marker,
                  _join(tokens[start:end]))  # fmt: skip


def _is_adverb(tokens: list[Token], at: int) -> bool:
    """Tells "it first checks" from "the first item"."""
    return tokens[at].lower == "first" and (not at or tokens[at - 1].lower != "the")


def _last_subject(tokens: list[Token]) -> list[Token]:
    """Returns the subject of a passive verb: what stands after the last comma, but in lists."""
    commas = [i for i, token in enumerate(tokens) if token.text == ","]
    if not commas or any(token.lower in ("and", "or") for token in tokens[commas[-1] :]):
        return tokens
    return tokens[commas[-1] + 1 :]


_SKIPPED = word_set(
    """
    where , and then it which that by to also finally simply but function next will does
    not - this is are be was were we can would after while i.e. lastly been being the a an
    """
)


def _bare(
    tokens: list[Token], cuts: list[tuple[int, int]], marker: str, condition: tuple[Token, ...]
) -> Clause:
    rest = [t for i, t in enumerate(tokens) if not any(low <= i < high for low, high in cuts)]
    return Clause("", Phrase(tuple(rest)), {}, False, False, condition, marker, _join(tokens))


_HOLDING = word_set("specified defined found present contained provided stored given existing")


def _slots(tokens: list[Token]) -> dict[str, Phrase]:
    """Returns role -> phrase for what follows a verb."""
    slots: dict[str, list[Token]] = {}
    role = "object"
    for token in tokens:
        told = slots.get(role, [])
        if told and told[-1].lower in _HOLDING:  # "the characters specified in `chars`"
            told.append(token)
        elif token.kind == "word" and token.lower in _PREPOSITIONS:
            role = _PREPOSITIONS[token.lower]
            slots.setdefault(role, [])
        elif token.kind == "mark" and token.text in ",-":
            continue
        else:
            slots.setdefault(role, []).append(token)
    return {role: Phrase(tuple(found)) for role, found in slots.items() if found}
