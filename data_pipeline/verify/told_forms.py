"""Reads how narrators tell what a loop takes up, what is compared, and what a question comes to.

"The outer loop continues with the next word 'b'", "The second rule is 3", "checks if 3 is in `xs`.
It is not", "compare `xs[0]` and `xs[1]`. They are equal", "Second call: `f(2)`".
"""

import ast
import dataclasses
import re

from data_pipeline.verify.actions import verbs_of_call
from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.characters import character_of
from data_pipeline.verify.clause_forms import FormRules
from data_pipeline.verify.clause_patterns import (
    CHECKS,
    COMPUTED,
    COMPUTES,
    FROM_TO,
    POPS_LAST,
)
from data_pipeline.verify.lexicon import lemma_of
from data_pipeline.verify.masking import ATOM_NUMBER
from data_pipeline.verify.nouns import Noun, code_of
from data_pipeline.verify.ordinals import INDEXES
from data_pipeline.verify.plain_words import is_plain
from data_pipeline.verify.predicates import read_possession, read_predicate
from data_pipeline.verify.screening import screened
from data_pipeline.verify.stated import NUMBERS, WordedClaim
from data_pipeline.verify.wordlists import word_set

_ANSWER = re.compile(
    r"(?:it|this|they|that) (?P<verb>is|does|do|are|has)(?P<no> not|n't)?"
    r"(?P<more>(?: (?:indeed|already|present|there|found|included|in it|in there|yet|so|currently|"
    r"the case))*)",
    re.I,
)
_NTH = rf"(?P<o>{'|'.join(INDEXES)}|next|only|current|following)"
_LOOP_SETS = re.compile(
    r"\bloop\b[^⟦]*\b(?:with|to|for|as|where)\b[^⟦]*⟦(?P<x>\d+)⟧ "
    r"(?:(?:is |being )?(?:set to|set as|equal to|bound to|assigned to)|=|as|being|is) "
    r"⟦(?P<v>\d+)⟧$",
    re.I,
)
_LOOP_TAKES = re.compile(
    rf"\bloop\b[^⟦]*\b(?:with|to|for|at|on|processes|processing|takes) (?:the |its )?"
    rf"(?:{_NTH} )?(?P<n>\w+),? ⟦(?P<v>\d+)⟧$",
    re.I,
)
_NTH_IS = re.compile(
    rf"^(?:(?:for|at|with|now|next|then|processing|we process|we take|take) )*(?:the )?{_NTH} "
    r"(?P<n>[a-z_]+)(?: in the (?:list|string))?(?: is|,| being| to (?:check|process) is)? "
    r"⟦(?P<v>\d+)⟧$",
    re.I,
)
_NO_ELEMENT = word_set(
    """
    call line argument parameter iteration turn step condition check result output index position
    occurrence time case return sum length count test loop pass state
    """
)
_COMPARES = re.compile(r"^(?:we |it |the code )?compar(?:e|es|ing) (?P<x>.*)$", re.I)
_EQUAL = re.compile(
    r"^(?:they|these|these values|the two|both|the values|the two values) are"
    r"(?P<no> not|n't)? (?:both )?(?P<w>equal|the same|identical|different|unequal)(?: again)?$",
    re.I,
)
_TAKES_END = re.compile(
    r"^(?:removing|removes|dropping|drops|without|excluding|leaving out|taking|takes) "
    r"(?:the )?(?P<o>first|last) (?:character|element|item|letter|digit|char) ⟦(?P<a>\d+)⟧ "
    r"(?:from|of|in) (?:the )?(?:string |list |text )?⟦(?P<b>\d+)⟧$",
    re.I,
)
_FOUND_AT = re.compile(
    r"^(?:the )?(?:(?:first|only) occurrence of )?⟦(?P<v>\d+)⟧ is (?:found |located |present )?"
    r"at (?:index|position) ⟦(?P<i>\d+)⟧(?P<rest>(?: and (?:is )?removed(?: from ⟦\d+⟧)?)?)$",
    re.I,
)
_AMOUNT = screened(
    r"^(?:.*?\b(?:we|it|which|that|code|line|loop|function|statement) )??"
    r"(?:(?P<x>(?:the )?(?:\w+ )??⟦\d+⟧|it) (?:is|gets|was) (?:then |also |again |now |further )*"
    r"(?P<p>increment|increas|decrement|decreas|reduc|multipli|divid|doubl|halv)ed"
    r"|(?P<q>increment|increas|decrement|decreas|reduc|multipl|divid|doubl|halv)"
    r"(?:s|es|ies|ing|e|y|ying)? "
    r"(?P<y>(?:the )?(?:\w+ )??⟦\d+⟧|it))"
    r"(?: by ⟦(?P<v>\d+)⟧)?$",
    re.I,
)
_GIVES = re.compile(
    r"^(?:it|this|which|the \w+) (?:contributes|adds|counts as|yields) "
    r"(?:a (?:value|count) of )?⟦(?P<v>\d+)⟧(?: to (?:the|its) (?:sum|total|count|result)\w*)?$",
    re.I,
)
_THIS_ONE = (
    r"(?:it|this|that|which|(?:this |the )?(?:character|char|element|item|word|number|key|value|"
    r"letter|digit|entry|pair|string|name)(?: ⟦\d+⟧)?)"
)
_INTO = r"(?: (?:to|in|into|from|by) (?:the |our )?(?:\w+ ){0,2}?(?:\w+|⟦\d+⟧))?"
_LOOKS_AT = re.compile(
    r"(?:it|we|this|the code|the function|the line) (?:checks?|tests?|evaluates?) "
    r"(?:the (?:condition|expression|test) )?⟦(?P<x>\d+)⟧",
    re.I,
)
_ELLIPTICAL = re.compile(
    r"^(?:not |also |both )?(?:equal to|(?:greater|less|larger|smaller|longer|shorter) than|in|"
    r"even|odd|divisible|the same as|same as|different from|at (?:least|most)|empty|a|an)\b",
    re.I,
)
_REPLACED = re.compile(
    r"^(?:it|we|this|which|the \w+) (?:(?:keeps|retains|uses|takes|yields|produces|gives|leaves) "
    r"(?:the (?:character|element|value|letter|digit|word) )?⟦(?P<v>\d+)⟧"
    r"|(?:replaces|converts|changes|maps|turns|transforms) (?:it|the \w+|⟦\d+⟧|the \w+ ⟦\d+⟧) "
    r"(?:with|by|to|into) (?:an? (?:\w+ )?)?⟦(?P<w>\d+)⟧"
    r"|(?:is|gets) (?:replaced|converted|changed|mapped|turned|transformed) (?:with|by|to|into) "
    r"(?:an? (?:\w+ )?)?⟦(?P<y>\d+)⟧)"
    r"(?: (?:unchanged|as it is|as is|in the (?:new )?\w+))?$",
    re.I,
)
_LEFT_OUT = re.compile(
    rf"^(?:{_THIS_ONE} )?(?:(?:is|was|gets|will be|are) (?:therefore |thus )?(?:skipped|ignored|"
    r"excluded|discarded|omitted|filtered out|left out|not (?:included|added|counted|kept|appended|"
    rf"selected|taken|collected)){_INTO}|(?:does not|doesn't) (?:pass(?: the filter)?|count)|"
    r"(?:skip|ignore|exclude)s? it)$",
    re.I,
)
_TAKEN_IN = re.compile(
    rf"^{_THIS_ONE} (?:(?:is|was|gets|will be|are) (?:therefore |thus |also )?(?:included|added|"
    rf"counted|kept|appended|selected|collected|retained){_INTO}|passes(?: the filter)?)$",
    re.I,
)
_OPERATION = {"incr": "+", "decr": "-", "redu": "-", "mult": "*", "divi": "/", "doub": "* 2",
              "halv": "/ 2"}  # fmt: skip
_SLICE = re.compile(
    r"^⟦(?P<x>\d+)⟧ (?:gives|is|takes|returns|represents|refers to|extracts|yields|means|gets|"
    r"selects)(?: us)? (?:the )?(?:substring|part|slice|portion|sublist|characters|elements|items|"
    r"string|list)(?: of (?:the string |the list )?⟦\d+⟧)? from (?:the )?"
    r"(?:(?:index|position) ⟦(?P<a>\d+)⟧|start|beginning) (?:up )?to (?:the )?"
    r"(?:(?:index|position) ⟦(?P<b>\d+)⟧|end)(?: of (?:the (?:string|list)|⟦\d+⟧))?$",
    re.I,
)
_MAYBE = screened(r"\b(?:if|when|whether|would|may|might|could|unless|until|once)\b", re.I)
_ABSENT = re.compile(
    r"\b(?:does not|doesn't|did not|do not) (?:find|contain|have|include|match) (?:any )?"
    r"(?:occurrences? of |instances? of )?(?:the \w+ )?⟦(?P<v>\d+)⟧"
    r"(?: in (?:⟦(?P<x>\d+)⟧|the (?:input |original |given |whole )?(?:string|text|input)))?$",
    re.I,
)


_POSSESSES = re.compile(
    r"^(?P<s>.+?) (?P<c>(?:(?:does|do) not |doesn't |don't )?(?:starts?|ends?|contains?|includes?|"
    r"has|have|appears?|occurs?|exists?|match(?:es)?|equals?|consists?) .+)$"
)
_ALL_ARE = re.compile(
    r"^all (?:of )?(?:the )?characters(?: in (?:the |this )?(?:input )?string)? (?:are|were) "
    r"(?P<w>(?:not )?[a-z]+)$",
    re.I,
)
_CALL_DOES = re.compile(r"^(?:the (?:call |expression )?)?⟦(?P<x>\d+)⟧ (?P<v>\w+) (?P<r>.*)$", re.I)
_THERE = re.compile(
    r"^there (?:is|are|was|were) (?P<n>no|an?|at least one|(?:only |exactly )?"
    rf"(?:{'|'.join(NUMBERS)}|⟦\d+⟧)) (?:occurrences? of |instances? of )?"
    r"(?:(?P<w>[a-z-]+)(?: characters?| letters?)?|(?:the \w+ )?(?P<v>⟦\d+⟧)) (?:in|of) (?P<x>.+)$",
    re.I,
)


def _count_of(word: str) -> str | None:
    """Returns how to count what a noun means: "dots", "digits", "vowels", "elements"."""
    if (character := character_of(word)) is not None:
        return f"{{s}}.count({character!r})"
    if word.lower() in ("elements", "items", "characters", "entries", "element", "item"):
        return "len({s})"
    one = read_predicate("a " + word.lower().removesuffix("s"), ())
    if one is None or not one[1] or "isinstance" in one[0]:
        return None
    return f"len([c for c in {{s}} if {one[0].replace('{s}', 'c')}])"


class ToldRules(FormRules):
    """Knows what is told of elements taken up, comparisons and answered questions."""

    def _note_question(self) -> None:
        """Remembers what "checks if …" asks, for the answer behind it."""
        match = CHECKS.search(self.text)
        assert match is not None
        asked = re.sub(r"^(?:if|whether|that) ", "", self.text[match.end() :].strip(), flags=re.I)
        self.memory.asked, self.memory.carried = self.question(asked), False

    def question(self, asked: str) -> WordedClaim | None:
        """Returns what "if …" asks as a claim, as if it held; None if it is not understood."""
        if alone := re.fullmatch(r"(?:the condition )?⟦(\d+)⟧", asked):
            if self.atoms[int(alone[1])].literal:
                return None
            return self._claim("branch", code_of(self.atoms[int(alone[1])].text), "True")
        if asked.lower().startswith("there "):
            return next(iter(self._there(asked) or ()), None)
        if match := re.match(r"^(?P<s>.+?) (?:is|are|was) (?P<c>.+)$", asked, re.I):
            noun, found = self._subject(match["s"]), read_predicate(match["c"], self.atoms)
        elif match := _POSSESSES.match(asked):
            noun, found = self._subject(match["s"]), read_possession(match["c"], self.atoms)
        else:
            return None
        if noun is None or found is None or not noun.expressions:
            return None
        return self._test(noun, *found, "any")

    def _answer(self) -> list[WordedClaim] | None:
        """Reads "it is not", "it does", "it is already present": answers to "checks if …"."""
        match = _ANSWER.fullmatch(self.text)
        if match is None or not self.memory.checked:
            return None
        asked, says = self.memory.asked, match["no"] is None
        if asked is None:
            bare = not match["more"] or match["more"].strip() == "indeed"
            return [self._claim("branch", None, str(says), when="hint")] if bare else None
        if asked.value == "False" and says:
            return None  # "checks if it is not in `xs`. It is": is it not, or is it in?
        return [dataclasses.replace(asked, text=self.spell(self.text), value=str(says))]

    def _loop_takes(self) -> list[WordedClaim] | None:
        """Reads "the loop starts with `x` set to 3", "continues with the next word 'b'"."""
        if match := _LOOP_SETS.search(self.text):
            value = self._literal(f"⟦{match['v']}⟧")
            name = self.atoms[int(match["x"])].text
            if value is not None and name.isidentifier():
                return [self._claim("value", name, value)]
        match = _LOOP_TAKES.search(self.text) or _NTH_IS.match(self.text)
        if match is None or match["n"].lower() in _NO_ELEMENT:
            return None
        value = self._literal(f"⟦{match['v']}⟧")
        told = self._equations(int(match["v"]), "any")
        if value is None:
            return None
        which = (match["o"] or "").lower()
        nth = INDEXES[which] + 1 if which in INDEXES else None
        nth = {None: "", 0: "-1"}.get(nth, str(nth))
        noun = Noun((), match["n"].lower())
        return [dataclasses.replace(self._claim("bound", nth, value), noun=noun), *told]

    def _compares(self) -> list[WordedClaim] | None:
        """Reads "compare `a` and `b`": says what "they" are."""
        match = _COMPARES.match(self.text)
        if match is None or not is_plain(match["x"]):
            return None
        codes = [code_of(self.atoms[int(n)].text) for n in ATOM_NUMBER.findall(match["x"])]
        if len(codes) != 2:
            return None
        self._use_all(match["x"])
        self.memory.compared = (codes[0], codes[1])
        return []

    def _equal(self) -> list[WordedClaim] | None:
        """Reads "they are equal" of what was compared."""
        match = _EQUAL.match(self.text)
        if match is None or self.memory.compared is None:
            return None
        one, two = self.memory.compared
        holds = match["w"].lower() in ("equal", "the same", "identical")
        holds = holds if match["no"] is None else not holds
        return [self._claim("test", f"({one}) == ({two})", str(holds))]

    def _grows(self) -> list[WordedClaim] | None:
        """Reads "`x` is incremented by 2", "doubles `x`"."""
        match = _AMOUNT.match(self.text)
        if match is None:
            return None
        operation = _OPERATION[(match["p"] or match["q"]).lower()[:4]]
        if (match["v"] is None) == (len(operation) == 1):
            return None
        noun = self._subject(match["x"] or match["y"])
        if noun is None or not noun.expressions:
            return None
        if match["v"] is not None:
            operation += f" ({code_of(self.atoms[int(match['v'])].text)})"
        self._use_all(self.text)
        self.memory.noun = noun
        return [self._claim("grows", noun.expressions[0], operation)]

    def _there(self, text: str | None = None) -> list[WordedClaim] | None:
        """Reads "there are no dots in `s`", "there are three digits in the string 'a123'"."""
        match = _THERE.match(self.text if text is None else text)
        noun = self._subject(match["x"]) if match else None
        if match is None or noun is None or not noun.expressions:
            return None
        if match["v"] is not None:
            value = self._literal(match["v"])
            counted = None if value is None else f"{{s}}.count({value})"
        else:
            counted = _count_of(match["w"] or "")
        word = match["n"].lower().removeprefix("only ").removeprefix("exactly ")
        if counted is None:
            return None
        if word in ("a", "an", "at least one"):
            return [self._test(noun, f"{counted} > 0", True, "any")]
        if word.startswith("⟦"):
            word = self._literal(word) or ""
        number = word if word.isdigit() else NUMBERS.get(word)
        return None if number is None else [self._test(noun, f"{counted} == {number}", True, "any")]

    def _call_does(self) -> list[WordedClaim] | None:
        """Reads "`s.count('a')` counts the occurrences of 'a' in the string"."""
        match = _CALL_DOES.match(self.text)
        code = parse_code(self.atoms[int(match["x"])].text) if match else None
        if match is None or not isinstance(code, ast.Call) or not is_plain(match["r"]):
            return None
        name = code.func.attr if isinstance(code.func, ast.Attribute) else ast.unparse(code.func)
        if lemma_of(match["v"].lower()) not in verbs_of_call(name) or self._value(match["r"]):
            return None
        self.used.add(int(match["x"]))
        self.memory.noun, self.memory.fresh = Noun((ast.unparse(code),)), True
        return [self._claim("code", ast.unparse(code), "")]

    def _all_are(self) -> list[WordedClaim] | None:
        """Reads "all characters are ASCII" of the only string that is given."""
        match = _ALL_ARE.match(self.text)
        found = read_predicate(match["w"], self.atoms) if match else None
        if match is None or found is None:
            return None
        each = f"all(({found[0].replace('{s}', 'each')}) for each in {{s}})"
        if not found[1]:
            each = f"not any(({found[0].replace('{s}', 'each')}) for each in {{s}})"
        return [self._test(Noun((), "string", "input"), each, True, "any")]

    def _from_to(self) -> list[WordedClaim] | None:
        """Reads "changing it from [1, 2] to [2, 1]"."""
        match = FROM_TO.match(self.text)
        if match is None:
            return None
        first, last = (self._literal(f"⟦{match[key]}⟧") for key in ("a", "b"))
        if first is None or last is None:
            return None
        self._use_all(self.text)
        if match["x"] is not None:
            noun = Noun((code_of(self.atoms[int(match["x"])].text),))
            return [self._about(noun, first, "before"), self._about(noun, last, "after")]
        return [self._claim("refer", None, first, noun=Noun((), "value")),
                self._claim("outcome", None, last)]  # fmt: skip

    def _computes(self) -> list[WordedClaim] | None:
        """Reads "the sum of `xs` is computed: 6", "the function calculates `base`"."""
        if match := COMPUTES.match(self.text):
            name = self.atoms[int(match["x"])].text
            self.used.add(int(match["x"]))
            return [self._claim("sets", name, "")] if name.isidentifier() else None
        match = COMPUTED.match(self.text)
        if match is not None and match["u"] is not None:
            code = code_of(self.atoms[int(match["u"])].text)
            self._use_all(self.text)
            self.memory.noun, self.memory.fresh = Noun((code,)), True
            return [self._claim("code", code, "")]
        noun = self._subject(match["x"]) if match else None
        if match is None or noun is None or not noun.expressions:
            return None
        self.memory.named = self.memory.noun = noun
        return []

    def _note_check(self) -> None:
        """Remembers the code of "it checks `c.isdigit()`" for "which is `True`" behind it."""
        match = _LOOKS_AT.fullmatch(self.text)
        code = code_of(self.atoms[int(match["x"])].text) if match else ""
        if isinstance(parse_code(code), ast.Compare | ast.BoolOp | ast.Call | ast.UnaryOp):
            self.memory.asked, self.memory.carried = self._claim("branch", code, "True"), False
            self.memory.noun, self.memory.checked = Noun((code,)), True

    def _elliptical(self) -> list[WordedClaim] | None:
        """Reads "`xs[0]` = 7, not equal to `x`": a predicate alone, of what was told before."""
        noun = self.memory.noun
        if noun is None or not noun.expressions or not _ELLIPTICAL.match(self.text):
            return None
        predicate = read_predicate(self.text, self.atoms)
        if predicate is None:
            return None
        self._use_all(self.text)
        return [self._test(noun, *predicate, "any")]

    def _kept(self) -> list[WordedClaim] | None:
        """Reads "it is not included", "so it contributes 0"."""
        if match := _GIVES.match(self.text):
            value = self._literal(f"⟦{match['v']}⟧")
            return None if value is None else [self._claim("gives", None, value)]
        if match := _REPLACED.match(self.text):
            number = match["v"] or match["w"] or match["y"]
            value = self._literal(f"⟦{number}⟧")
            self._use_all(self.text)
            return None if value is None else [self._claim("gives", None, value)]
        for pattern, value in ((_LEFT_OUT, "False"), (_TAKEN_IN, "True")):
            if pattern.match(self.text):
                self._use_all(self.text)
                return [self._claim("kept", None, value)]
        return None

    def _takes_end(self) -> list[WordedClaim] | None:
        """Reads "removing the last character 'y' from 'cy'"."""
        match = _TAKES_END.match(self.text)
        if match is None:
            return None
        part, whole = (code_of(self.atoms[int(match[key])].text) for key in ("a", "b"))
        self._use_all(self.text)
        index = 0 if match["o"].lower() == "first" else -1
        return [self._claim("test", f"({whole})[{index}] == ({part})", "True")]

    def _found_at(self) -> list[WordedClaim] | None:
        """Reads "3 is found at index 1 and removed from `xs`"."""
        match = _FOUND_AT.match(self.text)
        if match is None:
            return None
        value = self._literal(f"⟦{match['v']}⟧")
        if value is None:
            return None
        index = self.atoms[int(match["i"])].text
        self._use_all(self.text)
        at = dataclasses.replace(self._claim("refer", None, value), noun=Noun((), f"at {index}"))
        return [at, self._claim("taken", None, value)] if match["rest"] else [at]

    def _slice(self) -> list[WordedClaim] | None:
        """Reads "`s[2:]` gives us the substring from index 2 to the end"."""
        match = _SLICE.match(self.text)
        code = parse_code(self.atoms[int(match["x"])].text) if match else None
        if match is None or not isinstance(code, ast.Subscript):
            return None
        if not isinstance(code.slice, ast.Slice) or code.slice.step is not None:
            return None
        claims = []
        for bound, told in ((code.slice.lower, match["a"]), (code.slice.upper, match["b"])):
            if (bound is None) != (told is None):
                return None
            if bound is not None:
                said = code_of(self.atoms[int(told)].text)
                claims.append(self._claim("test", f"({ast.unparse(bound)}) == ({said})", "True"))
        self._use_all(self.text)
        self.memory.noun, self.memory.fresh = Noun((ast.unparse(code),)), True
        return claims or None

    def _absent(self) -> list[WordedClaim] | None:
        """Reads "does not find any occurrences of 'a' in the input string"."""
        match = None if _MAYBE.search(self.clause.text) else _ABSENT.search(self.text)
        value = self._literal(f"⟦{match['v']}⟧") if match else None
        if match is None or value is None:
            return None
        self._use_all(self.text)
        if match["x"] is not None:
            where = code_of(self.atoms[int(match["x"])].text)
            return [self._claim("test", f"{value} in ({where})", "False")]
        return [self._claim("absent", None, value)]

    def _pops_last(self) -> list[WordedClaim] | None:
        """Reads "pops the last item from the dictionary"."""
        match = POPS_LAST.search(self.text)
        return [self._claim("code", "popitem", "")] if match else None

    def _call_alone(self) -> list[WordedClaim] | None:
        """Reads "Second call: `f(2)`": code alone that is a call with known arguments."""
        alone = ATOM_NUMBER.fullmatch(self.text)
        code = parse_code(self.atoms[int(alone[1])].text) if alone else None
        if not isinstance(code, ast.Call) or not isinstance(code.func, ast.Name):
            return None
        if not code.args or code.keywords:
            return None
        return [self._claim("call made", None, self.atoms[int(alone[1])].text)]
