"""Reads what sentences say of the contents of the result, judged on this run's result.

"containing all non-digit characters", "the order of the words is kept", "the number of `x` in `s`",
"every word of the list is a key": each form is a pattern with a check on the run's values. A form
returns None where the run does not decide it, such as for an empty result.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping

from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.conditions import METHOD_WORDS
from data_pipeline.verify.phrases import Code
from data_pipeline.verify.reading import JudgedClaim
from data_pipeline.verify.screening import Pattern, screened
from data_pipeline.verify.signature import argument_of, judged


@dataclasses.dataclass(frozen=True)
class Values:
    """Holds the values of one run: the result, and each parameter's argument."""

    result: object
    given: Mapping[str, object]

    def named(self, name: str | None) -> object:
        """Returns the argument of that name, or the only list or string given, else None."""
        if name:
            return self.given.get(name)
        held = [v for v in self.given.values() if isinstance(v, str | list | tuple | dict)]
        return held[0] if len(held) == 1 else None


Check = Callable[[re.Match[str], Values], bool | None]

_MAYBE = re.compile(r"\b(?:if|when|unless|whether|may|might|could|either|would|can)\b", re.I)
_THINGS = (
    r"(?:characters?|letters?|digits?|elements?|items?|numbers?|words?|strings?|values?|integers?"
    r"|keys?)"
)
_SOURCE = (
    r"(?: (?:from|of|in|found in) (?:the |each |all )?(?:(?:input|original|given)\b ?)?(?:strings?"
    r"|lists?|text|array|dictionary|words|`(?P<x>\w+)`)?(?: ?`(?P<y>\w+)`)?)?"
)
_HOLDS = (
    r"(?:,? (?:which|that) (?:will )?(?:only )?(?:contains?|has|includes?|holds|consists? of)"
    r"|,? containing|,? consisting of|,? made up of)"
)
_END = r"(?=[.,;]|$)"
_NUMERIC: Mapping[str, Callable[[float], bool]] = {
    "even": lambda n: n % 2 == 0,
    "odd": lambda n: n % 2 == 1,
    "positive": lambda n: n > 0,
    "negative": lambda n: n < 0,
    "non-negative": lambda n: n >= 0,
}


def read_contents(run: Replay, code: Code, text: str) -> tuple[JudgedClaim, str] | None:
    """Returns the claim of the first form that the run decides, and the sentence without it."""
    try:
        result = parse_literal(run.trace.result or "")
    except LiteralError:
        return None
    given = {name: value[0] for name in code.parameters if (value := argument_of(run, name))}
    values = Values(result, given)
    for pattern, check in _FORMS:
        match = pattern.search(text)
        if match is None:
            continue
        if check not in (_keys_are, _values_are) and _MAYBE.search(text[: match.end()]):
            continue
        good = check(match, values)
        if good is not None:
            claim = judged(match[0].strip(" ,"), good, f"the result is {run.trace.result}")
            return claim, _without(text, match)
    return None


def _without(text: str, match: re.Match[str]) -> str:
    return (text[: match.start()] + text[match.end() :]).strip(" ,")


def _items(value: object) -> list:
    return list(value) if isinstance(value, list | tuple | set | str) else []


def _flat(value: object) -> Iterator[object]:
    """Yields the elements of a container and of the lists and strings in it."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    for item in value if isinstance(value, list | tuple | set | str) else []:
        yield item
        if isinstance(item, list | tuple) or (isinstance(item, str) and len(item) > 1):
            yield from _flat(item)


def _predicate(word: str) -> Callable[[object], bool] | None:
    """Returns the test that an adjective or plural states: "non-digit", "even", "vowels"."""
    word, denied = word.lower(), False
    if word.startswith("non-") and word not in _NUMERIC:
        word, denied = word[4:], True
    if word in _NUMERIC:
        test = _NUMERIC[word]
        return lambda item: isinstance(item, int | float) and test(item)
    if word in ("vowel", "vowels"):
        return lambda item: isinstance(item, str) and (item.lower() in set("aeiou")) != denied
    method = METHOD_WORDS.get(word)
    if method is None:
        return None
    return lambda item: isinstance(item, str) and getattr(item, method)() != denied


def _holds_kind(match: re.Match[str], values: Values) -> bool | None:
    """Judges "containing all uppercase letters from the text": these, and no others."""
    test, items = _predicate(match["w"]), _items(values.result)
    if test is None or not items:
        return None
    if match.groupdict().get("no"):
        kept = [item for item in items if not test(item)]
    else:
        kept = [item for item in items if test(item)]
    if len(kept) != len(items):
        return None
    source = values.named(match["x"] or match["y"])
    single = [item for item in _flat(source) if type(item) is type(items[0])]
    if isinstance(items[0], str) and all(len(item) == 1 for item in items):
        single = [item for item in single if isinstance(item, str) and len(item) == 1]
    wanted = [item for item in single if test(item) != bool(match.groupdict().get("no"))]
    return True if same_value(wanted, items) else None


def _is_new(match: re.Match[str], values: Values) -> bool | None:
    """Judges "containing the modified words": a list with an element that was not given."""
    given = [item for value in values.given.values() for item in _flat(value)]
    new = any(not any(same_value(item, one) for one in given) for item in _items(values.result))
    return True if new and isinstance(values.result, list | tuple) else None


def _keeps_order(match: re.Match[str], values: Values) -> bool | None:
    """Judges "the order of the characters is kept": a part of the argument, in its order."""
    items, left = _items(values.result), list(_flat(values.named(None)))
    if not items:
        return None
    if isinstance(items[0], str) and all(len(item) == 1 for item in items):
        left = [item for item in left if isinstance(item, str) and len(item) == 1]
    rest = iter(left)
    return True if all(any(same_value(item, one) for one in rest) for item in items) else None


def _counts(match: re.Match[str], values: Values) -> bool | None:
    """Judges "the number of occurrences of `x` in `s`" of a result that is a number."""
    wanted, source = values.given.get(match["w"]), values.named(match["x"])
    if not isinstance(values.result, int) or isinstance(values.result, bool):
        return None
    if match["x"] is None:
        others = [v for name, v in values.given.items() if name != match["w"]]
        source = others[0] if len(others) == 1 else None
    if isinstance(source, str) and isinstance(wanted, str) and wanted:
        return source.count(wanted) == values.result
    if isinstance(source, list | tuple):
        return source.count(wanted) == values.result
    return None


def _keys_are(match: re.Match[str], values: Values) -> bool | None:
    """Judges "each unique word from the list is a key" of a result that is a dictionary."""
    source = values.named(match["x"])
    if not isinstance(values.result, dict) or not values.result:
        return None
    if match["x"] is None and source is None:
        return None
    if not isinstance(source, list | tuple | str):
        return None
    try:
        return set(values.result) == set(source)
    except TypeError:
        return None


def _values_are(match: re.Match[str], values: Values) -> bool | None:
    """Judges "the corresponding element in `ys` is the value"."""
    source = values.given.get(match["x"])
    if not isinstance(values.result, dict) or not values.result or not isinstance(source, list):
        return None
    return same_value(list(values.result.values()), source[: len(values.result)])


def _starts_upper(match: re.Match[str], values: Values) -> bool | None:
    if not isinstance(values.result, str) or not values.result:
        return None
    first = values.result[0]
    return first.isupper() if match["w"].lower() != "lowercase" else first.islower()


def _same_keys(match: re.Match[str], values: Values) -> bool | None:
    given = [value for value in values.given.values() if isinstance(value, dict)]
    if len(given) != 1 or not isinstance(values.result, dict):
        return None
    return set(values.result) == set(given[0])


def _removes_all(match: re.Match[str], values: Values) -> bool | None:
    """Judges "remove all occurrences of `c` from `s`, except for the last one"."""
    part, source = values.given.get(match["w"]), values.named(match["x"])
    if match["x"] is None:
        others = [v for name, v in values.given.items() if name != match["w"]]
        source = others[0] if len(others) == 1 else None
    if not isinstance(values.result, str) or not isinstance(source, str | list):
        return None
    if not isinstance(part, str) or not part or part not in source:
        return None
    kept = 1 if match["except"] else 0
    if source.count(part) <= kept:
        return None
    return values.result.count(part) == kept


def _cuts_start(match: re.Match[str], values: Values) -> bool | None:
    """Judges "removes the prefix from the beginning of `s`": false if another argument is cut."""
    source, result = values.given.get(match["x"]), values.result
    if not isinstance(source, str) or not isinstance(result, str) or not result:
        return None
    if source.endswith(result):
        return True if len(result) < len(source) else None
    others = [v for name, v in values.given.items() if name != match["x"] and isinstance(v, str)]
    return False if any(other.endswith(result) for other in others) else None


def _holds_length(match: re.Match[str], values: Values) -> bool | None:
    """Judges "will have one more element than the input list"."""
    source = values.named(None)
    if not isinstance(source, list | str | tuple) or not isinstance(values.result, type(source)):
        return None
    sign = 1 if match["w"].lower() == "more" else -1
    return len(values.result) == len(source) + sign


def _compiled(text: str) -> Pattern:
    return screened(text, re.I)


def _repeats(match: re.Match[str], values: Values) -> bool | None:
    """Judges "containing `x` repeated `n` times" of a list."""
    if match["w"] not in values.given or not isinstance(values.result, list):
        return None
    return same_value(values.result, [values.given[match["w"]]] * _int(values, match["x"]))


def _int(values: Values, name: str) -> int:
    number = int(name) if name.isdigit() else values.given.get(name)
    return number if isinstance(number, int) and 0 <= number < 10_000 else 0


_FORMS: tuple[tuple[Pattern, Check], ...] = (
    (_compiled(rf"{_HOLDS}(?: only| all| just| the)* (?P<w>[a-z-]+)(?: {_THINGS})?{_SOURCE}{_END}"),
     _holds_kind),
    (_compiled(rf"{_HOLDS}(?: only| all| just| the)* {_THINGS}{_SOURCE} that are (?P<no>not )?"
               rf"(?P<w>[a-z-]+){_END}"), _holds_kind),
    (_compiled(rf"(?:{_HOLDS}|,? with)(?: only| all| just| the)* (?:modified|transformed|processed"
               rf"|updated|converted|resulting) {_THINGS}{_SOURCE}{_END}"), _is_new),
    (_compiled(rf"(?:the )?order of (?:the )?{_THINGS} in the (?:result\w*|output|returned|final"
               r"|new)(?: list| string| array)? (?:will |should )?(?:match(?:es)?|reflects?"
               r"|is the same as|be the same as|follows?|is preserved|is maintained|be preserved)"
               r"(?: (?:the )?(?:same )?(?:order (?:of|in) )?(?:their|the|they)?(?: order)?(?:"
               r" (?:of )?appear(?:ance)?)?(?: in (?:which they appear in )?the (?:input|original)"
               rf"(?: strings?| list| text)?)?)?{_END}"), _keeps_order),
    (_compiled(r"(?:count|number) of (?:occurrences of |times )?(?:the )?(?:specified |given )?"
               r"(?:\w+ )?`(?P<w>\w+)`(?: (?:in|found in|appears in|within) (?:the )?(?:\w+ )?"
               rf"`(?P<x>\w+)`)?{_END}"), _counts),
    (_compiled(rf"(?:(?:where|with|in which) )?each (?:unique |distinct )?{_THINGS[:-1]}|name)"
               r" (?:from|in|of) (?:the (?:input )?(?:list|string)|`(?P<x>\w+)`) (?:is|becomes|as)"
               r" a key"), _keys_are),
    (_compiled(r"(?:the )?corresponding (?:element|item|value|character)s? (?:in|from|of) `(?P<x>"
               r"\w+)` (?:is|becomes|as|are) (?:its |the |a )?values?"), _values_are),
    (_compiled(r"(?:output|result|returned string|resulting string) (?:string )?(?:will |should )?"
               r"(?:always )?(?:starts?|begins?) with an? (?P<w>uppercase|capital|lowercase)"
               rf" (?:letter|character){_END}"), _starts_upper),
    (_compiled(r"(?:output|result\w*)(?: dictionary)? (?:will |should )?(?:have|has|contains?"
               r"|keeps?) the same keys as the (?:input|original)(?: dictionary)?"), _same_keys),
    (_compiled(r"remov(?:es?|ing) (?:all|every)(?: of the)? (?:occurrences?|instances?) of (?:the"
               r" )?(?:specified )?(?:character |substring |string |letter )?`(?P<w>\w+)`"
               r"(?: (?:from|in) (?:the )?(?:string |text |input )?`(?P<x>\w+)`)?"
               rf"(?P<except>,? except (?:for )?the last (?:one|occurrence))?{_END}"),
     _removes_all),
    (_compiled(r"remov(?:es?|ing) (?:the )?(?:specified |given )?(?:prefix|substring|characters?"
               r"|`\w+`) (?:\w+ ){0,3}?from the (?:beginning|start) of (?:the )?(?:string |text )?"
               r"`(?P<x>\w+)`"), _cuts_start),
    (_compiled(rf"{_HOLDS} `(?P<w>\w+)` repeated `(?P<x>\w+)` times{_END}"), _repeats),
    (_compiled(r"(?:which |that )?(?:will )?(?:always )?(?:has|have) one (?P<w>more|fewer|less)"
               rf" (?:element|item|character) than the (?:input|original)(?: list| string)?{_END}"),
     _holds_length),
)  # fmt: skip
