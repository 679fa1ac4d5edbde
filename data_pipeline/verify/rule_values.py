"""Words what a rule says of values as code: "the number of digits in the text" as a length.

Only phrases that are understood whole are worded; None stands for every other one.
"""

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any

from data_pipeline.verify.asides import parse_code

ATOM = r"`[^`]+`|\"[^\"]*\"|'[^']*'"
_OWN = r"(?:(?:input|given|original|whole|entire|provided|resulting) )*"
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "text": (str,), "sentence": (str,), "list": (list,), "array": (list,),
    "dictionary": (dict,), "tuple": (tuple,), "number": (int, float), "integer": (int,),
    "input": (object,),
}  # fmt: skip
OWNER = rf"(?:(?:the |its |an? )?{_OWN}(?:{'|'.join(_KINDS)})?(?: ?`\w+`)?(?: (?:string|list))?|it)"
UNITS = {"word": "{y}.split()", "line": "{y}.splitlines()", "character": "list({y})",
          "element": "list({y})", "item": "list({y})", "number": "list({y})", "letter": "list({y})",
          "key": "list({y}.keys())", "value": "list({y}.values())",
          "integer": "list({y})", "string": "list({y})", "name": "list({y})"}  # fmt: skip
TRAITS = {
    "digit": "e_.isdigit()", "numeric": "e_.isnumeric()", "alphabetic": "e_.isalpha()",
    "alphabetical": "e_.isalpha()", "alphanumeric": "e_.isalnum()", "uppercase": "e_.isupper()",
    "upper-case": "e_.isupper()", "lowercase": "e_.islower()", "lower-case": "e_.islower()",
    "in uppercase": "e_.isupper()", "in lowercase": "e_.islower()", "title-case": "e_.istitle()",
    "in title case": "e_.istitle()", "ascii": "e_.isascii()", "whitespace": "e_.isspace()",
    "even": "e_ % 2 == 0", "odd": "e_ % 2 == 1", "negative": "e_ < 0", "positive": "e_ > 0",
    "empty": "len(e_) == 0", "digits": "e_.isdigit()", "all digits": "e_.isdigit()",
}  # fmt: skip
_SORTS = {"digit": "e_.isdigit()", "vowel": "e_.lower() in list('aeiou')", "zero": "e_ == 0",
          "space": "e_ == ' '", "letter": "e_.isalpha()"}  # fmt: skip
ITEMS = re.compile(
    rf"^(?:all |the |any |every |each )*(?P<no>non-)?(?P<adj>{'|'.join(TRAITS)})? ?"
    rf"(?P<noun>{'|'.join([*UNITS, *_SORTS])})s?(?: that| which)?"
    rf"(?: (?:is|are) (?P<neg>not )?(?P<adj2>{'|'.join(TRAITS)}))?"
    rf"(?: (?:found|present|contained))?(?: (?:in|of|from|within) (?P<y>{OWNER}))?$",
    re.I,
)
_TIMES = re.compile(
    rf"^(?:the (?:number|count) of (?:occurrences|times) (?:of )?|the count of |how many times )?"
    rf"(?:the (?:character |element |value |substring |string |number |word )?)?(?P<x>{ATOM})"
    rf"(?: (?:appears|occurs|is (?:found|present)))?(?: (?:in|within) (?P<y>{OWNER}))?$",
    re.I,
)
_INDEX = re.compile(
    rf"^the index of the (?P<end>first|last) (?:occurrence|instance|appearance) of (?:the \w+ )?"
    rf"(?P<x>{ATOM})(?: (?:in|within) (?P<y>{OWNER}))?$",
    re.I,
)
_MADE: tuple[tuple[str, str], ...] = (
    (rf"the (?:reverse|reversal)(?: order)? of (?P<y>{OWNER})", "{y}[::-1]"),
    (rf"the reversed (?P<y>{_OWN}(?:list|string|text|array|tuple)|`\w+`)", "{y}[::-1]"),
    (rf"(?P<y>{OWNER}) (?:reversed|in reverse(?: order)?)", "{y}[::-1]"),
    (rf"(?:the )?(?:uppercase|upper-case) version of (?P<y>{OWNER})|(?P<y2>{OWNER}) "
     r"(?:converted to|in) (?:uppercase|upper case)", "{y}.upper()"),
    (rf"(?:the )?(?:lowercase|lower-case) version of (?P<y>{OWNER})|(?P<y2>{OWNER}) "
     r"(?:converted to|in) (?:lowercase|lower case)", "{y}.lower()"),
    (rf"the length of (?P<y>{OWNER})", "len({y})"),
    (rf"the first (?:character|element|item) (?:of|in|from) (?P<y>{OWNER})", "{y}[0]"),
    (rf"the last (?:character|element|item) (?:of|in|from) (?P<y>{OWNER})", "{y}[-1]"),
    (rf"(?:the )?(?:sum|total) of (?:all )?(?:the )?(?:elements|numbers|items|integers|values) "
     rf"(?:in|of) (?P<y>{OWNER})", "sum({y})"),
    (rf"(?:the )?(?:maximum|largest|highest|greatest) (?:value|element|number) (?:in|of) "
     rf"(?P<y>{OWNER})", "max({y})"),
    (rf"(?:the )?(?:minimum|smallest|lowest) (?:value|element|number) (?:in|of) (?P<y>{OWNER})",
     "min({y})"),
)  # fmt: skip


class RuleValues:
    """Words phrases for values as code for one call: `given`, parameter -> argument.

    definitions: variable -> code over the parameters that alone sets it
    tests: the tests that decide between the program's branches, as code over the parameters
    ask: reads a plain condition about the names given, as (code, whether it is to hold)
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        definitions: Mapping[str, str],
        tests: list[str],
        ask: Callable[[str, frozenset[str]], tuple[str, bool] | None],
    ):
        self.given, self.definitions, self.tests, self.ask = given, definitions, tests, ask

    # ---- values

    def holder(self, phrase: str | None) -> str | None:
        """Returns the parameter that "the input string", "`xs`", "it" or nothing at all means."""
        phrase = (phrase or "it").strip()
        if named := re.search(r"`(\w+)`", phrase):
            name = named[1]
            return name if name in self.given else self._defined(name)
        noun = re.search(rf"\b({'|'.join(_KINDS)})\b(?!.*\b(?:{'|'.join(_KINDS)})\b)", phrase, re.I)
        kinds = _KINDS[noun[1].lower()] if noun else (str, list, dict, tuple)
        fits = [n for n, v in self.given.items() if isinstance(v, kinds) and type(v) is not bool]
        return fits[0] if len(fits) == 1 else None

    def _called(self, noun: str) -> str | None:
        """Returns the parameter that a noun names, or that is short for it: `pref`, "prefix"."""
        if noun.lower() in _KINDS:
            return None
        named = [n for n in self.given if n == noun or (len(n) > 2 and noun.startswith(n))]
        return named[0] if len(named) == 1 else None

    def _defined(self, name: str) -> str | None:
        return f"({self.definitions[name]})" if name in self.definitions else None

    def atom(self, text: str) -> str | None:
        """Returns the code of a quoted or marked value, with variables put in."""
        code = text.strip("`") if text.startswith("`") else text
        tree = parse_code(code)
        if tree is None:
            return None
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        plain = {n.func.id for n in ast.walk(tree)
                 if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}  # fmt: skip
        for name in names - plain - set(self.given):
            if name not in self.definitions:
                return None
            code = re.sub(rf"\b{name}\b", f"({self.definitions[name]})", code)
        return f"({code})"

    def _whole(self, phrase: str | None, item: str) -> str | None:
        """Returns the container that an item is counted in, the only other one if none is named."""
        if phrase and phrase != "it":
            return self.holder(phrase)
        found = [n for n, v in self.given.items()
                 if isinstance(v, str | list | tuple) and f"({n})" != item]  # fmt: skip
        return found[0] if len(found) == 1 else None

    def items(self, phrase: str) -> str | None:
        """Returns the code of the list that "digits in the string" selects."""
        match = ITEMS.match(phrase)
        owner = self.holder(match["y"]) if match else None
        if match is None or owner is None:
            return None
        noun = match["noun"].lower()
        source = UNITS.get(noun, "list({y})").replace("{y}", owner)
        tests = [_SORTS[noun]] if noun in _SORTS and match["adj"] is None else []
        if noun == "letter" and match["adj"] is None and match["adj2"]:
            tests = []
        tests += [TRAITS[match[k].lower()] for k in ("adj", "adj2") if match[k]]
        if len(tests) != 1:
            return source if not tests and noun not in ("letter",) else None
        negated = "not " if bool(match["no"]) != bool(match["neg"]) else ""
        return f"[e_ for e_ in {source} if {negated}({tests[0]})]"

    def times(self, phrase: str) -> str | None:
        """Returns the code of "the number of occurrences of `x` in `xs`"."""
        match = _TIMES.match(phrase)
        item = self.atom(match["x"]) if match else None
        whole = self._whole(match["y"], item) if match and item else None
        return f"{whole}.count({item})" if whole else None

    def value(self, phrase: str) -> str | None:
        """Returns the code of a value that is computed from the parameters."""
        phrase = re.sub(r"^(?:the )?total (?=count|number)", "the ", phrase.strip(" .,;"))
        if match := _INDEX.match(phrase):
            return self._index(match)
        if part := self._part(phrase):
            return part
        for pattern, code in _MADE:
            if match := re.fullmatch(pattern, phrase, re.I):
                groups = match.groupdict()
                owner = self.holder(groups["y"] or groups.get("y2"))
                return code.replace("{y}", owner) if owner else None
        phrase = re.sub(
            r"^the number of (?=how many |the (?:number|count|occurrences) )", "", phrase
        )
        phrase = re.sub(r"^the occurrences ", "the number of occurrences ", phrase)
        if counted := re.match(r"^(?:the |a )?(?:count|number) of (?P<w>.+)$", phrase, re.I):
            items = self.items(counted["w"])
            return f"len({items})" if items else self.times(phrase)
        if joined := re.fullmatch(
            rf"(?:the )?concatenation of (?P<a>{ATOM}) and (?P<b>{ATOM})", phrase, re.I
        ):
            one, two = self.atom(joined["a"]), self.atom(joined["b"])
            return f"{one} + {two}" if one and two else None
        if re.match(r"how many times ", phrase, re.I):
            return self.times(phrase)
        plain = re.sub(r"^the (?:result of |value of |expression )(?=`)", "", phrase)
        return self.atom(plain) if re.fullmatch(ATOM, plain) else None

    def _part(self, phrase: str) -> str | None:
        """Reads "the part of `text` after the prefix `p`", "before the last occurrence of `p`"."""
        phrase = re.sub(
            r" (?:that )?start(?:s|ing) (?:from|at) the index equal to the length of ",
            " after the prefix ", phrase,
        )  # fmt: skip
        if (bare := re.search(r" the (prefix|suffix|separator|delimiter)$", phrase)) is not None:
            name = self._called(bare[1])
            phrase = f"{phrase} `{name}`" if name else phrase
        match = re.fullmatch(
            r"(?:(?:the|a) )?(?:remaining )?(?:substring|rest|remainder|part|portion|string)"
            rf" (?:of|in|from) (?P<y>{OWNER})(?: (?:that |which"
            rf" )?(?:comes|follows|occurs|is|appears"
            r"|starts))? ?"
            rf"(?P<w>after|before|without|excluding|following)? (?:the )?(?:(?P<end>first|last) "
            rf"occurrence of )?(?:the )?(?P<k>prefix |suffix )?(?P<x>{ATOM})", phrase, re.I,
        )  # fmt: skip
        owner = self.holder(match["y"]) if match else None
        item = self.atom(match["x"]) if match and owner else None
        if match is None or item is None:
            return None
        side = 0 if (match["w"] or "").lower() == "before" else 2
        if match["end"]:
            method = "partition" if match["end"].lower() == "first" else "rpartition"
            return f"{owner}.{method}({item})[{side}]"
        if side == 0 or (match["k"] or "").lower() == "suffix ":
            return f"{owner}[:len({owner}) - len({item})]" if match["k"] else None
        return f"{owner}[len({item}):]"

    def _index(self, match: re.Match[str]) -> str | None:
        item = self.atom(match["x"])
        whole = self._whole(match["y"], item) if item else None
        if whole is None:
            return None
        if match["end"].lower() == "first":
            return f"{whole}.index({item})"
        return f"(len({whole}) - 1 - {whole}[::-1].index({item}))"
