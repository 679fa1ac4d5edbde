"""Words rules about a program's inputs as code: "the number of digits in the text" as a sum.

A condition becomes code over the parameters, a promised result code over the parameters and
`RESULT`. Only phrases that are understood whole are worded; None stands for every other one.
"""

import ast
import re
from collections.abc import Mapping
from typing import Any

from data_pipeline.verify.asides import parse_code

RESULT = "result_"

_NUMBERS = {"no": 0, "zero": 0, "one": 1, "a single": 1, "once": 1, "two": 2, "twice": 2,
            "three": 3, "four": 4, "five": 5}  # fmt: skip
_N = rf"(?:{'|'.join(_NUMBERS)}|`?\d+`?)"
_AMOUNT = (
    rf"(?:(?P<how>at least|at most|more than|fewer than|less than|exactly|only|greater than(?: or"
    rf" equal to)?|equal to) )?(?P<n>{_N})(?P<more> or (?:more|fewer|less|not at all|greater))?"
)
_SIGNS = {"at least": ">=", "at most": "<=", "more than": ">", "greater than": ">",
          "greater than or equal to": ">=", "fewer than": "<", "less than": "<"}  # fmt: skip
_ATOM = r"`[^`]+`|\"[^\"]*\"|'[^']*'"
_OWN = r"(?:(?:input|given|original|whole|entire|provided|resulting) )*"
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "text": (str,), "sentence": (str,), "list": (list,), "array": (list,),
    "dictionary": (dict,), "tuple": (tuple,), "number": (int, float), "integer": (int,),
    "input": (object,),
}  # fmt: skip
_Y = rf"(?:(?:the |its |an? )?{_OWN}(?:{'|'.join(_KINDS)})?(?: ?`\w+`)?(?: (?:string|list))?|it)"
_UNITS = {"word": "{y}.split()", "line": "{y}.splitlines()", "character": "list({y})",
          "element": "list({y})", "item": "list({y})", "number": "list({y})", "letter": "list({y})",
          "key": "list({y}.keys())", "value": "list({y}.values())",
          "integer": "list({y})", "string": "list({y})", "name": "list({y})"}  # fmt: skip
_TRAITS = {
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
_ITEMS = re.compile(
    rf"^(?:all |the |any |every |each )*(?P<no>non-)?(?P<adj>{'|'.join(_TRAITS)})? ?"
    rf"(?P<noun>{'|'.join([*_UNITS, *_SORTS])})s?(?: that| which)?"
    rf"(?: (?:is|are) (?P<neg>not )?(?P<adj2>{'|'.join(_TRAITS)}))?"
    rf"(?: (?:found|present|contained))?(?: (?:in|of|from|within) (?P<y>{_Y}))?$",
    re.I,
)
_TIMES = re.compile(
    rf"^(?:the (?:number|count) of (?:occurrences|times) (?:of )?|the count of |how many times )?"
    rf"(?:the (?:character|element|value|substring|string|number|word) )?(?P<x>{_ATOM})"
    rf"(?: (?:appears|occurs|is (?:found|present)))?(?: (?:in|within) (?P<y>{_Y}))?$",
    re.I,
)
_INDEX = re.compile(
    rf"^the index of the (?P<end>first|last) (?:occurrence|instance|appearance) of (?:the \w+ )?"
    rf"(?P<x>{_ATOM})(?: (?:in|within) (?P<y>{_Y}))?$",
    re.I,
)
_MADE: tuple[tuple[str, str], ...] = (
    (rf"the (?:reverse|reversal)(?: order)? of (?P<y>{_Y})", "{y}[::-1]"),
    (rf"the reversed (?P<y>{_OWN}(?:list|string|text|array|tuple)|`\w+`)", "{y}[::-1]"),
    (rf"(?P<y>{_Y}) (?:reversed|in reverse(?: order)?)", "{y}[::-1]"),
    (rf"(?:the )?(?:uppercase|upper-case) version of (?P<y>{_Y})|(?P<y2>{_Y}) (?:converted to|in) "
     r"(?:uppercase|upper case)", "{y}.upper()"),
    (rf"(?:the )?(?:lowercase|lower-case) version of (?P<y>{_Y})|(?P<y2>{_Y}) (?:converted to|in) "
     r"(?:lowercase|lower case)", "{y}.lower()"),
    (rf"the length of (?P<y>{_Y})", "len({y})"),
    (rf"the first (?:character|element|item) (?:of|in|from) (?P<y>{_Y})", "{y}[0]"),
    (rf"the last (?:character|element|item) (?:of|in|from) (?P<y>{_Y})", "{y}[-1]"),
    (rf"(?:the )?(?:sum|total) of (?:all )?(?:the )?(?:elements|numbers|items|integers|values) "
     rf"(?:in|of) (?P<y>{_Y})", "sum({y})"),
    (rf"(?:the )?(?:maximum|largest|highest|greatest) (?:value|element|number) (?:in|of) "
     rf"(?P<y>{_Y})", "max({y})"),
    (rf"(?:the )?(?:minimum|smallest|lowest) (?:value|element|number) (?:in|of) (?P<y>{_Y})",
     "min({y})"),
)  # fmt: skip
_TYPES = {"string": "str", "list": "list", "dictionary": "dict", "tuple": "tuple",
          "integer": "int", "boolean": "bool", "boolean value": "bool"}  # fmt: skip
_ROLE = r"(?:representing|indicating|that (?:represents|indicates|is)|which is|corresponding to)"


class Wording:
    """Words phrases as code for one call: `given`, parameter -> argument.

    definitions: variable -> code over the parameters that alone sets it
    tests: the tests that decide between the program's branches, as code over the parameters
    """

    def __init__(self, given: Mapping[str, Any], definitions: Mapping[str, str], tests: list[str]):
        self.given, self.definitions, self.tests = given, definitions, tests

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
        match = _ITEMS.match(phrase)
        owner = self.holder(match["y"]) if match else None
        if match is None or owner is None:
            return None
        noun = match["noun"].lower()
        source = _UNITS.get(noun, "list({y})").replace("{y}", owner)
        tests = [_SORTS[noun]] if noun in _SORTS and match["adj"] is None else []
        if noun == "letter" and match["adj"] is None and match["adj2"]:
            tests = []
        tests += [_TRAITS[match[k].lower()] for k in ("adj", "adj2") if match[k]]
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
        for pattern, code in _MADE:
            if match := re.fullmatch(pattern, phrase, re.I):
                groups = match.groupdict()
                owner = self.holder(groups["y"] or groups.get("y2"))
                return code.replace("{y}", owner) if owner else None
        phrase = re.sub(r"^the number of (?=how many |the (?:number|count|occurrences) )", "", phrase)
        phrase = re.sub(r"^the occurrences ", "the number of occurrences ", phrase)
        if counted := re.match(r"^(?:the |a )?(?:count|number) of (?P<w>.+)$", phrase, re.I):
            items = self.items(counted["w"])
            return f"len({items})" if items else self.times(phrase)
        if joined := re.fullmatch(
            rf"(?:the )?concatenation of (?P<a>{_ATOM}) and (?P<b>{_ATOM})", phrase, re.I
        ):
            one, two = self.atom(joined["a"]), self.atom(joined["b"])
            return f"{one} + {two}" if one and two else None
        if re.match(r"how many times ", phrase, re.I):
            return self.times(phrase)
        plain = re.sub(r"^the (?:result of |value of |expression )(?=`)", "", phrase)
        return self.atom(plain) if re.fullmatch(_ATOM, plain) else None

    def _index(self, match: re.Match[str]) -> str | None:
        item = self.atom(match["x"])
        whole = self._whole(match["y"], item) if item else None
        if whole is None:
            return None
        if match["end"].lower() == "first":
            return f"{whole}.index({item})"
        return f"(len({whole}) - 1 - {whole}[::-1].index({item}))"

    # ---- conditions

    def condition(self, text: str) -> str | None:
        """Returns the code of a condition on the arguments."""
        text = re.sub(r" \([^`\"')]*\)", "", text.strip(" ,."))
        for read in (self._amount, self._parity, self._any_item, self._own_tests, self._doubled):
            if (code := read(text)) is not None:
                return code
        if match := re.fullmatch(r"(?P<a>.+?),? (?P<o>and|or) (?P<b>.+)", text):
            one, two = self.condition(match["a"]), self.condition(match["b"])
            return f"({one}) {match['o']} ({two})" if one and two else None
        return None

    def _amount(self, text: str) -> str | None:
        """Reads "`x` appears three or more times", "the list has at least one element"."""
        if match := re.fullmatch(
            rf"(?P<x>(?:the (?:number|count) of .+?)) is {_AMOUNT}", text, re.I
        ):
            counted = self.value(match["x"])
        elif match := re.fullmatch(
            rf"(?P<x>(?:the \w+ )?(?:{_ATOM})) (?:appears|occurs|is (?:found|present)) {_AMOUNT}"
            rf"(?: times?)?(?: (?:in|within) (?P<y>{_Y}))?",
            text, re.I,
        ):  # fmt: skip
            counted = self.times(match["x"] + (f" in {match['y']}" if match["y"] else ""))
        elif match := re.fullmatch(
            rf"(?P<y>{_Y}) (?:has|contains|consists of|is made of) {_AMOUNT} "
            r"(?:elements?|items?|characters?|keys?|words?|lines?)(?: long)?",
            text, re.I,
        ):  # fmt: skip
            owner = self.holder(match["y"])
            unit = re.search(r"(word|line)s?$", text)
            whole = _UNITS[unit[1]].replace("{y}", owner) if unit and owner else owner
            counted = f"len({whole})" if whole else None
        else:
            return None
        return f"{counted} {_sign(match)} {_number(match['n'])}" if counted else None

    def _parity(self, text: str) -> str | None:
        match = re.fullmatch(
            rf"(?:the )?length(?: of (?P<a>{_Y}))? is (?P<p>odd|even)|(?P<b>{_Y}) (?:has|is of) an "
            rf"(?P<q>odd|even) (?:length|number of (?:elements|items|characters))|"
            rf"(?P<c>{_Y}) is (?P<r>odd|even) in length", text, re.I,
        )  # fmt: skip
        owner = self.holder(match["a"] or match["b"] or match["c"]) if match else None
        if match is None or owner is None:
            return None
        odd = "odd" in (match["p"], match["q"], match["r"])
        return f"len({owner}) % 2 == {int(odd)}"

    def _any_item(self, text: str) -> str | None:
        """Reads "the list contains any zeros", "there are no digits in the string"."""
        if match := re.fullmatch(
            rf"(?P<y>{_Y}) (?P<no>does not |doesn't )?(?:contains?|has|have|includes?) (?P<w>any|no|"
            r"at least one|only|an?) (?P<i>.+)", text, re.I,
        ):  # fmt: skip
            items, word = self.items(f"{match['i']} in {match['y']}"), match["w"].lower()
            negated = (word == "no") != bool(match["no"])
        elif match := re.fullmatch(r"there (?:are|is) (?P<w>any|no|an?) (?P<i>.+)", text, re.I):
            items, word = self.items(match["i"]), match["w"].lower()
            negated = word == "no"
        else:
            return None
        if items is None or " if " not in items:
            return None
        if word == "only":
            owner = self.holder(match["y"])
            code = f"len({owner}) > 0 and len({items}) == len({owner})"
        else:
            code = f"len({items}) > 0"
        return f"not ({code})" if negated else code

    def _own_tests(self, text: str) -> str | None:
        """Reads "neither condition is met", "both conditions are true" of the program's tests."""
        match = re.fullmatch(
            r"(?P<q>neither|none|both|either)(?: of)?(?: the| these| those)?(?: two)?"
            r"(?: previous| above)? (?:conditions?|tests?|checks?) (?:is|are|was|were|holds?) ?"
            r"(?P<no>not )?(?:met|true|satisfied|fulfilled)?", text, re.I,
        )  # fmt: skip
        if match is None or len(self.tests) != 2:
            return None
        one, two = (f"bool({test})" for test in self.tests)
        if match["no"]:
            one, two = f"not {one}", f"not {two}"
        word = match["q"].lower()
        if word in ("neither", "none"):
            return f"not ({one}) and not ({two})"
        return f"{one} {'and' if word == 'both' else 'or'} {two}"

    def _doubled(self, text: str) -> str | None:
        """Reads "there are duplicate keys" of two dictionaries."""
        tables = [name for name, value in self.given.items() if isinstance(value, dict)]
        if len(tables) != 2 or not re.fullmatch(
            r"there are (?:any )?(?:duplicate|common|overlapping|shared) keys.*|(?:both dictionaries"
            r" (?:have|share|contain)|the dictionaries (?:have|share)) (?:the same|common|any common"
            r"|duplicate|overlapping) keys?|a key (?:exists|is present|appears) in both"
            r" dictionaries", text, re.I,
        ):  # fmt: skip
            return None
        return f"len([k_ for k_ in list({tables[0]}) if k_ in {tables[1]}]) > 0"

    # ---- results

    def result(self, text: str) -> str | None:
        """Returns the code over `RESULT` of what a value that is returned is said to be."""
        text = re.sub(r" \([^`\"')]*\)", "", text.strip(" .,;"))
        if match := re.fullmatch(
            rf"(?:an? )?(?:\w+ )?(?P<t>{'|'.join(_TYPES)})(?: {_ROLE} (?P<v>.+))?", text, re.I
        ):
            kind = f"isinstance({RESULT}, {_TYPES[match['t'].lower()]})"
            if match["v"] is None:
                return None
            value = self.value(match["v"])
            return f"{kind} and {RESULT} == {value}" if value else None
        if match := re.fullmatch(
            rf"(?:an? (?:new )?\w+ )?(?:of|with|that has) the same (?:length|size) as (?P<y>{_Y})",
            text, re.I,
        ):  # fmt: skip
            owner = self.holder(match["y"])
            return f"len({RESULT}) == len({owner})" if owner else None
        if pairs := self._pairs(text):
            return pairs
        value = self.value(text)
        return f"{RESULT} == {value}" if value else None

    def _pairs(self, text: str) -> str | None:
        """Reads "a dictionary that contains all key-value pairs from both input dictionaries"."""
        tables = [name for name, value in self.given.items() if isinstance(value, dict)]
        if len(tables) != 2 or not re.fullmatch(
            r"an? (?:new |merged )?dictionary (?:that (?:contains|includes|has)|containing|with) all"
            r"(?: of)?(?: the)? (?:key-value pairs|entries|items|pairs) (?:from|of|in) both"
            r"(?: the)?(?: input| given)?(?: dictionaries)?", text, re.I,
        ):  # fmt: skip
            return None
        return " and ".join(
            f"all([p_ in {RESULT}.items() for p_ in {name}.items()])" for name in tables
        )

    def event(self, text: str) -> str | None:
        """Returns the code over `RESULT` of what is said to happen to an argument or a value."""
        text = re.sub(r" \([^`\"')]*\)", "", text.strip(" .,;"))
        if match := re.fullmatch(
            rf"(?P<y>{_Y}) (?:will )?(?:remains?|stays?|be|is left) (?:empty|unchanged|the same|as "
            r"(?:it )?is)(?: after .*)?", text, re.I,
        ):  # fmt: skip
            owner = self._returned(match["y"])
            return f"{RESULT} == {owner}" if owner else None
        if match := re.fullmatch(
            rf"it (?:will )?(?:also )?reverses? (?P<y>{_Y})|(?P<z>{_Y}) (?:is|will be) reversed",
            text, re.I,
        ):  # fmt: skip
            owner = self._returned(match["y"] or match["z"])
            return f"{RESULT} == {owner}[::-1]" if owner else None
        if match := re.fullmatch(
            r"the value (?:from|of|in) (?P<n>the (?P<o>first|second) dictionary|`\w+`) (?:will |is )"
            r"?(?:be )?(?:used|overwrites?|override|overwritten|kept|takes? precedence).*", text, re.I
        ):  # fmt: skip
            return self._preferred(match)
        return None

    def _returned(self, phrase: str) -> str | None:
        """Returns the only argument that a phrase means, if "it" or it is the only container."""
        owners = [n for n, v in self.given.items() if isinstance(v, str | list | dict | tuple)]
        owner = self.holder(phrase)
        return owner if owners == [owner] else None

    def _preferred(self, match: re.Match[str]) -> str | None:
        tables = [name for name, value in self.given.items() if isinstance(value, dict)]
        if len(tables) != 2:
            return None
        name = match["n"].strip("`")
        name = tables[match["o"] == "second"] if match["o"] else name
        other = tables[tables[0] == name]
        return (
            f"all([{RESULT}[k_] == {name}[k_] for k_ in list({name}) if k_ in {other}])"
            if name in tables else None
        )  # fmt: skip


def _sign(match: re.Match[str]) -> str:
    more = (match["more"] or "").strip()
    if more:
        return ">=" if more in ("or more", "or greater") else "<="
    return _SIGNS.get((match["how"] or "").lower(), "==")


def _number(text: str) -> str:
    text = text.strip("`").lower()
    return str(_NUMBERS.get(text, text))
