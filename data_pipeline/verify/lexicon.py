"""Splits sentences into words, code and literals; knows the field's verbs in any form."""

import dataclasses
import functools
import re

from data_pipeline.verify.wordlists import word_set

_TOKEN = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|(?<![\w\"'])(?P<text>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|(?P<word>[A-Za-z]+(?:[-'’][A-Za-z]+)*)"
    r"|(?P<number>-?\d+(?:\.\d+)?(?:st|nd|rd|th)?)"
    r"|(?P<mark>[^\s*])"
)


_VERBS = word_set(
    """
    accumulate add adjust append apply arrange assign attempt begin break build calculate call
    capitalize catch center change check clear combine compare compute concatenate construct
    contain continue convert copy count create cut decrease decrement define delete determine
    decode discard divide double drop eliminate encode
    end ensure enter evaluate examine exit extend extract
    filter find format generate get give go handle ignore include increase increment initialize
    insert invoke iterate join keep locate loop make merge modify move multiply negate obtain
    omit order output pad partition perform pop prepend print process produce push put raise
    reduce remove repeat replace retrieve return reverse run save scan search select separate
    set skip slice sort split start stop store strip substitute subtract sum swap take terminate
    test transform translate traverse trim truncate try update use utilize verify yield
    """
)


_IRREGULAR = {
    "took": "take", "taken": "take", "found": "find", "kept": "keep", "began": "begin",
    "begun": "begin", "goes": "go", "gone": "go", "got": "get", "made": "make", "built": "build",
    "gave": "give", "given": "give", "cut": "cut", "run": "run", "put": "put", "set": "set",
    "split": "split", "initialised": "initialize", "initialises": "initialize", "tries": "try",
    "tried": "try", "broken": "break", "initialising": "initialize",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Token:
    """Holds one token; `kind` is "code" (also numbers), "text" (quoted), "word" or "mark".

    lower: the text of a word or mark in lower case, "" for code and quoted text
    """

    kind: str
    text: str
    lower: str = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lower = self.text.lower() if self.kind in ("word", "mark") else ""
        object.__setattr__(self, "lower", lower)


@dataclasses.dataclass(frozen=True)
class Phrase:
    """Holds a noun phrase: its pieces of code or literals, and its words in lower case."""

    tokens: tuple[Token, ...] = ()

    @functools.cached_property
    def atoms(self) -> tuple[str, ...]:
        return tuple(token.text for token in self.tokens if token.kind in ("code", "text"))

    @functools.cached_property
    def words(self) -> tuple[str, ...]:
        return tuple(token.lower for token in self.tokens if token.kind == "word")

    def __bool__(self) -> bool:
        return bool(self.tokens)

    def __str__(self) -> str:
        return " ".join(f"`{t.text}`" if t.kind == "code" else t.text for t in self.tokens)


@functools.cache
def verb_forms() -> dict[str, tuple[str, str]]:
    """Returns word -> (lemma, "base", "s", "ing" or "ed") for every form of the known verbs."""
    forms: dict[str, tuple[str, str]] = {}
    for lemma in _VERBS:
        stem = lemma[:-1] if lemma.endswith("e") else lemma
        if re.fullmatch(r"[^aeiou]+[aeiou][^aeiouwxy]|begin", lemma):  # strip: stripping
            stem = lemma + lemma[-1]
        plural = (
            lemma[:-1] + "ies"
            if re.search(r"[^aeiou]y$", lemma)
            else lemma + ("es" if re.search(r"(s|sh|ch|x|z|o)$", lemma) else "s")
        )
        past = lemma[:-1] + "ied" if lemma.endswith("y") else stem + "ed"
        forms |= {stem + "ing": (lemma, "ing"), past: (lemma, "ed")}
        forms |= {plural: (lemma, "s"), lemma: (lemma, "base")}
    for form, lemma in _IRREGULAR.items():
        shape = "s" if form.endswith("es") else "ing" if form.endswith("ing") else "ed"
        forms[form] = (lemma, shape)
    return forms


def read_tokens(sentence: str) -> list[Token]:
    """Returns the tokens of a sentence without its markup."""
    return list(_tokens_of(sentence))


@functools.lru_cache(maxsize=1024)  # the readers of a line read the same sentences
def _tokens_of(sentence: str) -> tuple[Token, ...]:
    tokens = []
    for match in _TOKEN.finditer(sentence.replace("’", "'")):
        kind = match.lastgroup or "mark"
        text = match[kind]
        if kind == "number":
            kind = "code" if text[-1].isdigit() else "word"
        if text in ("True", "False", "None"):
            kind = "code"
        tokens.append(_token(kind, text))
    return tuple(tokens)


_token = functools.lru_cache(maxsize=4096)(Token)  # the words of sentences repeat


def lemma_of(word: str) -> str | None:
    """Returns the lemma of any form of a known verb, None for other words."""
    found = verb_forms().get(word)
    return found[0] if found else None
