"""Words of descriptions, as tables: add a word to a row to have it understood.

All words are compared by their stems, so that one form of a word is enough.
"""

import functools

from data_pipeline.verify.matching import TALK_WORDS
from data_pipeline.verify.wordlists import word_set

# verb of a sentence -> verbs of `actions` that it may stand for
_SYNONYMS = """
omit exclude skip ignore        | remove
filter                          | remove
flip invert                     | reverse
gather collect accumulate record push attach place put tack | append add insert
prefix                          | prepend
substitute swap exchange turn map translate change          | replace
transform turn change           | convert
produce yield give output print | return
form generate prepare declare establish reset               | create initialize set
take fetch read look pick grab  | get access retrieve extract
traverse walk step go cycle     | iterate
leave quit                      | exit break
merge concatenate combine glue stitch link connect          | join concatenate
chop cut divide break partition separate                    | split
cut trim strip drop discard eliminate erase delete pop      | remove strip
raise bump                      | increment increase
lower                           | decrement decrease
arrange order                   | sort
compute calculate count total   | calculate
hold keep save                  | store
search locate seek              | find
fill                            | pad
"""
# Words that claim nothing about code by themselves.
_FILLER = """
achieve accomplish actually additionally afterwards aim allow along already anymore appropriate
applicable basically being body both breakdown call carry come complete compose consist
corresponding current data define describe desire directly done effect effectively essentially
execute exist expect final finally finish focus following form from function further give given
goal handle have here hence i.e in indeed individual input instance intend involve it its keep let
logic main make mean method name need newly now object occur onto operate operation our out output
own perform portion possible present proceed process program provide purpose python reach
represent represented required result resulting return rely run same-named say see sequence serve
show simply specific specified specify start store such task that the their them then there these
they this those through thus together track type until-now use user using utilize value variable
various version want way we well whatever where which whole will with within work would you
character element item entry list string array text number integer dictionary dict tuple set letter
digit-by-digit collection group content part piece piece-by-piece subset information particular
certain respective single-pass own either one some a an and any-one of on or as at by for into is
are be been was were has do does can could may might also just so e.g eg ie while during
inside parameter argument called named loop iteration statement line code block list-like built-in
builtin approach technique expression comprehension generator iterable slicing slice
notation formatting back again successfully us substring substrings sublist instance separately
correct assertion initialization value values step new ones starting started eventually
syntax operator condition check determine whether evaluate evaluation criteria requirement based
"""
# Words that are true only for a reason: each must be explained by the operation itself.
POLAR = word_set(
    """
    all every each any only always never not no none neither nor without except unless but instead
    first last next previous second third fourth fifth same before after until once twice both
    original unchanged another other either up down more most less least than remaining rest
    immediately adjacent consecutive early unique exactly at-most at-least single empty non-empty
    modified updated changed altered transformed longer shorter greater smaller larger fewer
    nothing everything alternate random successive repeatedly nested double duplicate inclusive
    exclusive still even odd negative positive half middle reverse reversed sorted ascending
    descending beginning end front prefix suffix left right leading trailing uppercase
    lowercase remainder maximum minimum index position indices length count total sum difference
    product key keys pair pairs word words lines occurrences occurrence frequency missing absent
    """
)
_IRREGULAR = {
    "indices": "index", "indexes": "index", "initialise": "initializ", "initialised": "initializ",
    "initialises": "initializ", "initialising": "initializ", "took": "tak", "taken": "tak",
    "found": "find", "kept": "keep", "began": "begin", "begun": "begin", "gone": "go", "goes": "go",
    "got": "get", "made": "mak", "built": "build", "gave": "giv", "given": "giv", "put": "put",
    "broken": "break", "removal": "remov", "insertion": "insert", "concatenation": "concatenat",
    "replacement": "replac", "conversion": "convert", "addition": "add", "iteration": "iterat",
    "calculation": "calculat", "reversal": "revers", "deletion": "delet", "left": "left",
    "multiplication": "multipli", "multiplies": "multipli", "multiply": "multipli",
    "multiplied": "multipli", "string": "string", "during": "during", "ones": "ones",
    "nothing": "nothing", "added": "add", "adding": "add",
    "everything": "everything", "string's": "string", "red": "red", "need": "need",
    "leading": "leading", "trailing": "trailing", "ascending": "ascending",
    "descending": "descending", "beginning": "beginning", "remaining": "remaining",
    "ordering": "order", "exceed": "exceed", "nested": "nested",
    "reversed": "reversed", "sorted": "sorted",
}  # fmt: skip
_DOUBLED = frozenset("bdgmnprt")


@functools.lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Returns the stem of a word: "replaces", "replacing" and "replaced" have one."""
    word = word.lower().removesuffix("'s").removesuffix("'")
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 3 and word.endswith("ies"):
        return word[:-3] + "i"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes", "zes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) > 2 and any(letter in "aeiouy" for letter in base):
            word = base[:-1] if base[-1] == base[-2] and base[-1] in _DOUBLED else base
            break
    if len(word) > 3 and word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "i"
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def stems(words: frozenset[str] | list[str] | set[str]) -> frozenset[str]:
    return frozenset(map(stem, words))


_TYPES = {
    "list": "list", "array": "list", "string": "str", "dictionary": "dict", "tuple": "tuple",
    "integer": "int", "float": "float", "boolean": "bool", "set": "set", "dict": "dict",
}  # fmt: skip
TYPES = {stem(word): kind for word, kind in _TYPES.items()}  # stem -> type that it names
POLAR_STEMS = stems(POLAR)
FILLER_STEMS = (stems(set(_FILLER.split())) | stems(TALK_WORDS)) - POLAR_STEMS
PLAIN_STEMS = stems(  # explained exactly elsewhere, but here said of any part or value
    word_set(
        """
        substring substrings sublist value values representation resulting separated boolean items
        again initial back
        """
    )
)


@functools.cache
def synonyms() -> dict[str, frozenset[str]]:
    """Returns stem of a verb -> stems of the verbs of `actions` that it may stand for."""
    found: dict[str, set[str]] = {}
    for row in _SYNONYMS.strip().splitlines():
        said, meant = row.split("|")
        for word in said.split():
            found.setdefault(stem(word), set()).update(map(stem, meant.split()))
    return {word: frozenset(meant) for word, meant in found.items()}
