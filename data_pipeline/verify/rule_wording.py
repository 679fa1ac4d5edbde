"""Words rules about a program's inputs as code over its parameters and its result.

A condition becomes code over the parameters, a promised result code over the parameters and
`RESULT`. Only phrases that are understood whole are worded; None stands for every other one.
"""

import re

from data_pipeline.verify.rule_values import ATOM, ITEMS, OWNER, TRAITS, UNITS, RuleValues

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
_CASES = {"lowercase": "lower", "lower case": "lower", "uppercase": "upper",
          "upper case": "upper", "title case": "title"}  # fmt: skip
_LONE = re.compile(
    r"\bthe (\w+)(?! ?[`\w]*` ?| of\b)(?= (?:is|does|are|has|appears|occurs|starts)\b)"
)
_TYPES = {"string": "str", "list": "list", "dictionary": "dict", "tuple": "tuple",
          "integer": "int", "boolean": "bool", "boolean value": "bool"}  # fmt: skip
_ROLE = r"(?:representing|indicating|that (?:represents|indicates|is)|which is|corresponding to)"


class Wording(RuleValues):
    """Words conditions on one call's arguments and promises of its result."""

    # ---- conditions

    def condition(self, text: str) -> str | None:
        """Returns the code of a condition on the arguments."""
        text = re.sub(r" when `[^`]*` is called$", "", _without_asides(text.strip(" ,.")))
        text = _LONE.sub(lambda m: f"`{self._called(m[1])}`" if self._called(m[1]) else m[0], text)
        readers = (self._amount, self._parity, self._every_item, self._any_item, self._own_tests,
                   self._doubled, self._at_end, self._shared, self._plain)  # fmt: skip
        for read in readers:
            if (code := read(text)) is not None:
                return code
        for word in ("or", "and"):
            for match in re.finditer(rf",? {word} (?:if )?", text):
                one, two = self.condition(text[: match.start()]), text[match.end() :]
                if one and (other := self.condition(two)):
                    return f"({one}) {word} ({other})"
        return None

    def _plain(self, text: str) -> str | None:
        """Reads what needs no form of its own: "`x` is less than `y`"."""
        asked = self.ask(text, frozenset((*self.given, *self.definitions)))
        code = self.atom(f"`{asked[0]}`") if asked else None
        return None if not code or not asked else code if asked[1] else f"not {code}"

    def _shared(self, text: str) -> str | None:
        """Reads "both `x` and `y` are numeric", "either `x` or `y` is not numeric"."""
        match = re.fullmatch(
            r"(?P<q>both|either) (?P<a>(?:the )?`\w+`) (?:and|or) (?P<b>(?:the )?`\w+`) (?:is|are) "
            r"(?P<p>.+)", text, re.I,
        )  # fmt: skip
        if match is None:
            return None
        one, two = (self._plain(f"{match[k]} is {match['p']}") for k in "ab")
        word = "and" if match["q"].lower() == "both" else "or"
        return f"({one}) {word} ({two})" if one and two else None

    def _at_end(self, text: str) -> str | None:
        """Reads "`x` is at the beginning of `text`", "`x` matches the end of `text`"."""
        match = re.fullmatch(
            rf"(?P<x>(?:the (?:\w+ )?)?(?:{ATOM})) (?P<no>does not |doesn't |is not )?(?:is |are )?"
            r"(?:(?:match(?:es)?|equal to|found at|present at|at) (?:the )?"
            r"(?P<at>beginning|start|end) of|a (?P<fix>prefix|suffix) of) "
            rf"(?P<y>{OWNER})", text, re.I,
        )  # fmt: skip
        told = re.search(ATOM, match["x"]) if match else None
        part = self.atom(told[0]) if told else None
        owner = self.holder(match["y"]) if match else None
        if match is None or not part or not owner:
            return None
        verb = "endswith" if "end" in (match["at"],) or match["fix"] == "suffix" else "startswith"
        return f"{'not ' if match['no'] else ''}{owner}.{verb}({part})"

    def _every_item(self, text: str) -> str | None:
        """Reads "all words in the list are digits", "any character is not uppercase"."""
        if whole := re.fullmatch(
            rf"the (?:entire|whole) (?P<y>{OWNER}) (?:consists? (?:only |entirely |solely"
            rf" )?of|is made up"
            r" (?:entirely )?of) (?P<a>[\w-]+?)(?: characters?| letters?)?", text, re.I
        ):  # fmt: skip
            text = f"all characters in {whole['y']} are {whole['a']}"
        match = re.fullmatch(
            rf"(?P<q>all|every|each|any|no|at least one)(?: of the| the)?"
            rf" (?P<n>{'|'.join(UNITS)})s?"
            rf"(?: (?:in|of) (?P<y>{OWNER}))? (?:is|are) (?:found to be )?(?P<no>not"
            rf" |non-)?(?:an? )?"
            rf"(?P<a>{'|'.join(TRAITS)})(?: characters?| letters?)?", text, re.I,
        )  # fmt: skip
        owner = self.holder(match["y"]) if match else None
        if match is None or owner is None:
            return None
        source = UNITS[match["n"].lower()].replace("{y}", owner)
        test = f"{'not ' if match['no'] else ''}({TRAITS[match['a'].lower()]})"
        word = match["q"].lower()
        if word in ("all", "every", "each"):
            return f"len({source}) > 0 and all([{test} for e_ in {source}])"
        return f"{'not ' if word == 'no' else ''}any([{test} for e_ in {source}])"

    def _amount(self, text: str) -> str | None:
        """Reads "`x` appears three or more times", "the list has at least one element"."""
        if match := re.fullmatch(
            rf"(?P<x>(?:the (?:number|count) of .+?)) is {_AMOUNT}", text, re.I
        ):
            counted = self.value(match["x"])
        elif match := re.fullmatch(
            rf"(?P<x>(?:the (?:\w+ )?)?(?:{ATOM})) (?:appears|occurs|is (?:found|present))"
            rf" {_AMOUNT}"
            rf"(?: times?)?(?: (?:in|within) (?P<y>{OWNER}))?",
            text, re.I,
        ):  # fmt: skip
            counted = self.times(match["x"] + (f" in {match['y']}" if match["y"] else ""))
        elif match := re.fullmatch(
            rf"(?P<y>{OWNER}) (?:has|contains|consists of|is made of) {_AMOUNT} "
            r"(?:elements?|items?|characters?|keys?|words?|lines?)(?: long)?",
            text, re.I,
        ):  # fmt: skip
            owner = self.holder(match["y"])
            unit = re.search(r"(word|line)s?$", text)
            whole = UNITS[unit[1]].replace("{y}", owner) if unit and owner else owner
            counted = f"len({whole})" if whole else None
        else:
            return None
        return f"{counted} {_sign(match)} {_number(match['n'])}" if counted else None

    def _parity(self, text: str) -> str | None:
        match = re.fullmatch(
            rf"(?:the )?length(?: of (?P<a>{OWNER}))? is (?P<p>odd|even)|(?P<b>{OWNER})"
            rf" (?:has|is of) an "
            rf"(?P<q>odd|even) (?:length|number of (?:elements|items|characters))|"
            rf"(?P<c>{OWNER}) is (?P<r>odd|even) in length", text, re.I,
        )  # fmt: skip
        owner = self.holder(match["a"] or match["b"] or match["c"]) if match else None
        if match is None or owner is None:
            return None
        odd = "odd" in (match["p"], match["q"], match["r"])
        return f"len({owner}) % 2 == {int(odd)}"

    def _any_item(self, text: str) -> str | None:
        """Reads "the list contains any zeros", "there are no digits in the string"."""
        if match := re.fullmatch(
            rf"(?P<y>{OWNER}) (?P<no>does not |doesn't )?(?:contains?|has|have|includes?)"
            rf" (?P<w>any|no|"
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
            r"(?: previous| above)? (?:conditions?|tests?|checks?) (?:is |are |was |were"
            r" |holds?|(?=fails?))"
            r"(?P<no>not |fails?$)?(?:met|true|satisfied|fulfilled)?", text, re.I,
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
            r"there are (?:any )?(?:duplicate|common|overlapping|shared) keys.*|(?:both"
            r" dictionaries"
            r" (?:have|share|contain)|the dictionaries (?:have|share)) (?:the"
            r" same|common|any common"
            r"|duplicate|overlapping) keys?|a key (?:exists|is present|appears) in both"
            r" dictionaries", text, re.I,
        ):  # fmt: skip
            return None
        return f"len([k_ for k_ in list({tables[0]}) if k_ in {tables[1]}]) > 0"

    # ---- results

    def result(self, text: str) -> str | None:
        """Returns the code over `RESULT` of what a value that is returned is said to be."""
        text = _without_asides(text.strip(" .,;"))
        if match := re.fullmatch(
            rf"(?:an? )?(?:\w+ )?(?P<t>{'|'.join(_TYPES)})(?: {_ROLE} (?P<v>.+))?", text, re.I
        ):
            kind = f"isinstance({RESULT}, {_TYPES[match['t'].lower()]})"
            if match["v"] is None:
                return None
            value = self.value(match["v"])
            return f"{kind} and {RESULT} == {value}" if value else None
        if match := re.fullmatch(
            rf"(?:an? (?:new )?\w+ )?(?:of|with|that has) the same (?:length|size) as"
            rf" (?P<y>{OWNER})",
            text, re.I,
        ):  # fmt: skip
            owner = self.holder(match["y"])
            return f"len({RESULT}) == len({owner})" if owner else None
        if match := re.fullmatch(
            rf"(?P<a>{ATOM}|True|False) (?:if|when) (?P<c>.+?),? (?:and|or|else) (?P<b>{ATOM}|True|"
            r"False)(?: otherwise| if (?:not|it is not|it does not))?", text, re.I,
        ):  # fmt: skip
            condition, one, two = (
                self.condition(match["c"]),
                *map(self._literal, match.group("a", "b")),
            )
            return f"{RESULT} == ({one} if {condition} else {two})" if condition else None
        if match := re.fullmatch(
            r"an? (?:new )?(?P<t>string|list) (?:that (?:contains|consists|is made)|containing|"
            r"consisting|made)(?: up)? ?(?:of )?(?:only|solely|entirely)(?: of)? (?P<i>.+)",
            text, re.I,
        ):  # fmt: skip
            return self._only(match["i"])
        if pairs := self._pairs(text):
            return pairs
        value = self.value(text)
        return f"{RESULT} == {value}" if value else None

    def _literal(self, text: str) -> str:
        return text.strip("`")

    def _only(self, phrase: str) -> str | None:
        """Returns the code of a result whose items are all of a kind: "uppercase characters"."""
        match = ITEMS.match(phrase)
        if match is None:
            return None
        code = Wording({RESULT: ""}, {}, [], self.ask).items(
            re.sub(r" (?:in|of|from) .*", "", phrase)
        )
        return f"len({code}) == len({RESULT})" if code and " if " in code else None

    def _pairs(self, text: str) -> str | None:
        """Reads "a dictionary that contains all key-value pairs from both input dictionaries"."""
        tables = [name for name, value in self.given.items() if isinstance(value, dict)]
        if len(tables) != 2 or not re.fullmatch(
            r"an? (?:new |merged )?dictionary (?:that"
            r" (?:contains|includes|has)|containing|with) all"
            r"(?: of)?(?: the)? (?:key-value pairs|entries|items|pairs) (?:from|of|in) both"
            r"(?: the)?(?: input| given)?(?: dictionaries)?", text, re.I,
        ):  # fmt: skip
            return None
        return " and ".join(
            f"all([p_ in {RESULT}.items() for p_ in {name}.items()])" for name in tables
        )

    def event(self, text: str) -> str | None:
        """Returns the code over `RESULT` of what is said to happen to an argument or a value."""
        text = re.sub(r"(?<=dictionary) \(`\w+`\)", "", _without_asides(text.strip(" .,;")))
        if match := re.fullmatch(
            rf"(?:it |the function )?converts? (?P<y>{OWNER}) (?:in)?to (?P<m>{'|'.join(_CASES)})"
            r"(?: using [^,]*?)?(?: and returns (?:it|the result))?", text, re.I,
        ):  # fmt: skip
            owner = self._returned(match["y"])
            return f"{RESULT} == {owner}.{_CASES[match['m'].lower()]}()" if owner else None
        if match := re.fullmatch(
            r"(?P<x>`\w+`) (?:will be|is|gets) (?P<w>appended|added|inserted) (?:to|at) the"
            r" (?P<e>end|beginning|start)(?: of the (?:list|array))?", text, re.I,
        ):  # fmt: skip
            item, index = self.atom(match["x"]), -1 if match["e"] == "end" else 0
            return f"isinstance({RESULT}, list) and {RESULT}[{index}] == {item}" if item else None
        if match := re.fullmatch(
            rf"(?P<y>{OWNER}) (?:will )?(?:remains?|stays?|be|is left)"
            rf" (?:empty|unchanged|the same|as "
            r"(?:it )?is)(?: after .*)?", text, re.I,
        ):  # fmt: skip
            owner = self._returned(match["y"])
            return f"{RESULT} == {owner}" if owner else None
        if match := re.fullmatch(
            rf"it (?:will )?(?:also )?reverses? (?P<y>{OWNER})|(?P<z>{OWNER}) (?:is|will be)"
            rf" reversed",
            text, re.I,
        ):  # fmt: skip
            owner = self._returned(match["y"] or match["z"])
            return f"{RESULT} == {owner}[::-1]" if owner else None
        if match := re.fullmatch(
            r"the value (?:from|of|in) (?P<n>the (?P<o>first|second) dictionary|`\w+`)"
            r" (?:will |is )"
            r"?(?:be )?(?:used|overwrites?|override|overwritten|kept|takes? precedence).*",
            text, re.I,
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


def _without_asides(text: str) -> str:
    return re.sub(r" \((?:i\.e\.[^)]*|[^`\"')]*)\)", "", text)


def _sign(match: re.Match[str]) -> str:
    more = (match["more"] or "").strip()
    if more:
        return ">=" if more in ("or more", "or greater") else "<="
    return _SIGNS.get((match["how"] or "").lower(), "==")


def _number(text: str) -> str:
    text = text.strip("`").lower()
    return str(_NUMBERS.get(text, text))
