"""Splits lines that reason backward into statements, and holds the patterns of these."""

import functools
import re
from collections.abc import Iterator

from data_pipeline.verify.answer import literal_of
from data_pipeline.verify.claims import CONTRADICTED
from data_pipeline.verify.masking import ATOM_NUMBER, Atom, mask_code
from data_pipeline.verify.values import compare

SECTION = re.compile(r"reverse|deduc|reason|conclusion|finding|constructing|determin|input", re.I)
MARKUP = re.compile(
    r"^\s*(?:[-*•+]|\d+[.)])?\s*"
    r"(?:\*\*[^*`]+\*\*\s*:?\s*|\*\*[^*=]+(?:\*\*\s*:|:\s*\*\*)\s*(?=\S)|\*\*)?"
)
VALUE = r"(?P<value>`[^`]+`|\"[^\"]*\"|'[^']*'|-?\d[\d.]*|True|False|None)"
GOAL = re.compile(
    r"^(?:since |because |given that |to (?:satisfy|achieve|get|obtain|produce|have|meet"
    r"|yield)[^,`\"']*? (?:that )?)?"
    r"(?:the |this |its |our )?(?:(?:final|expected|desired|given|overall) )?"
    r"(?:function(?:'s)?(?: `\w+`)?|output|result|return value|returned value|assertion)"
    r"(?: (?:of|constraint)[^,`\"']*)?(?: (?:must|should|needs to|has to|will|to))?"
    r" (?:returns?|return|is|be|equals?|states that[^`]*|of)(?: (?:the|an?|output|string|list"
    r"|dictionary|tuple|integer|value|number|empty))*\s*"
    + VALUE + r"(?P<rest>.*)$", re.I | re.S,
)  # fmt: skip
SATISFY = re.compile(
    r"^to (?:satisfy|achieve|get|obtain|produce|meet|yield|ensure|have|find|construct)\b"
    r"[^,`\"']*(?:`[^`]*`|\"[^\"]*\"|'[^']*'|-?\d+)?[^,`\"']*,\s*",
    re.I,
)
CUTS = re.compile(
    r"(?<=[\w`)\"'\]}])[.]\s+(?=[A-Z`(])|,? (?:which|this) (?:means|implies|indicates|suggests"
    r"|gives us|tells us) (?:that )?(?=\S)"
    r"|,? meaning (?:that )?|,? implying (?:that )?|,? indicating (?:that )?|, so (?:that"
    r" )?(?!that)|; |,? because |,? hence |,? therefore,? "
    r"|(?<=[`\"'\w]), (?:then|and thus|and so) | (?:as|since) (?=the |it |this )|(?<![`\"']), and"
    r" (?=there |their |the |its? |`\w+` (?:must|should|is|has))|, and (?=their |there (?:must"
    r"|should"
    r"|needs))"
    r"|(?<=[`\"'\]]), which (?=contains |has )"
)  # fmt: skip
OPEN = re.compile(
    r"^(?:(?:this|it|which|that) (?:means|implies|indicates|suggests) (?:that )?|therefore,? "
    r"|thus,? |hence,? |so,? |here,? |then,? "
    r"|since |because |as |we (?:can )?(?:deduce|infer|know|see|conclude) (?:that )?|from this,? "
    r"|(?:for example|for instance),? (?=we can |if )|the simplest (?:case|way) is to (?=assume)"
    r"|in other words,? |this |and |finally,? |we have:? )+",
    re.I,
)
REASON = re.compile(
    r"^(?:since|because|given that) (?P<reason>(?:`[^`]*`|\"[^\"]*\"|[^,`\"]"
    r"|, (?=(?:and )?(?:`[^`]+`|\"[^\"]*\")(?:,| and)))*), (?P<rest>.*)$",
    re.I | re.S,
)
CHOICE = re.compile(
    r"\b(?:could|can|may|might|such as|e\.g\.|for example|for instance|alternatively|another"
    r"|possible|possibly|any|either|or|if we|if the|if `|say|lastly|suppose|assume|like)\b",
    re.I,
)
TALK = re.compile(
    r"^(?:we (?:can|need|must|have|want|could)\b|to (?:find|get|achieve|satisfy|ensure|produce"
    r"|construct|determine|obtain)\b|let'?s?\b|thus\b|the (?:correct |final |resulting"
    r" )?assertion|therefore\b"
    r"|an? (?:valid|possible|simple|suitable) (?:input|assertion|example)|possible \w+|one"
    r" (?:possible|valid|simple)|identifying|finding|determining|analyzing|input \w+|"
    r"the (?:input|conditions?|steps?|simplest)\b[^`\"\d]*:$|for (?:example|instance|this)|now\b"
    r"|here\b|assertion|this (?:input|simplifies)|"
    r"the input (?:can|could|must|should) be(?: constructed)?(?: as follows)?:?$"
    r"|\\?\[|\\?\]|```)", re.I,
)  # fmt: skip
NECESSITY = re.compile(r"\b(?:must|has to|have to|needs? to|should)\b", re.I)
COUNTED = re.compile(r"\b(?:exactly|once|twice|times|only|least|most|all|each|every)\b", re.I)
CONSEQUENCE = re.compile(r"\b(?:then|must|should|would|will|has to|needs to)\b", re.I)
OFFERED = re.compile(r"\b(?:input|example|valid|could be|can be|we can|possib\w+)\b", re.I)
IF = re.compile(r"^(?:if|when|suppose|assuming)\b ?", re.I)
TAIL = re.compile(
    r",? (?:and (?:must|should) be structured )?(?:such that|in such a way that|so that)$", re.I
)
MEMBERS = re.compile(
    r"^(?P<subject>[^\"']*?) (?:(?:must|should|has to|needs? to) )?(?:also )?(?:has|have"
    r"|contains?|includes?)"
    r" (?:(?:the|a|an|at least|all|both|following|of|substring|string)"
    r" )*(?P<noun>(?:key-value )?pairs?|entries|items?|keys?|characters?|elements?|values?"
    r"|letters?|digits?|numbers?|words?|strings?|substrings?)?:? ?"
    r"(?P<rest>(?:`|\"|'|-?\d).*)$", re.I,
)  # fmt: skip
VALUES = re.compile(
    r"^(?:their|the) (?:corresponding |associated |respective )?values (?:must be|are|should be)"
    r" (?P<rest>.*)$",
    re.I,
)
PART = re.compile(
    r"^(?:the (?:part|substring|portion|text)|everything|the characters) (?P<side>before|after)"
    r" (?:the )?(?:last |first )?(?P<at>`[^`]+`|\"[^\"]+\")"
    r" (?:is|must be|should be) (?P<told>`[^`]+`|\"[^\"]*\")$", re.I,
)  # fmt: skip
LENGTH = re.compile(
    r"^(?P<subject>[^\"']*?) (?:(?:must|should|has to|needs? to|will) )?(?:is|be|has|have"
    r"|contains?|consists? of)"
    r" (?:(?:an?|the|string|list|non-empty|input|with|of|at least|at most|exactly|total|having"
    r"|array) )*"
    r"(?:length (?:of |is )?(?:at least |at most |exactly )?(?P<number>`\d+`|\d+|one|two|three"
    r"|four|five|six|seven|eight|nine|ten)"
    r"|(?P<count>`\d+`|\d+|one|two|three|four|five|six|seven|eight|nine|ten)"
    r" (?:characters?|elements?|items?)(?: long| in (?:it|length|total))?)$",
    re.I,
)  # fmt: skip
COUNT_NOUN = re.compile(
    r"\s*(?:characters?|elements?|items?|words?|digits?|letters?|times)\b", re.I
)
COUNTS = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
TOLD = (
    r"(?P<told>`[^`]+`|\"[^\"]*\"|'[^']*'|-?\d+(?:\.\d+)?|an empty (?:string|list|dictionary)"
    r"|True|False|None)(?: \([^)`]*`[^`]*`\))?"
)
LINK = (
    r"(?: (?:must|should|has to|have to|(?:would )?needs? to|would|will|can|could))?"
    r"(?: (?:also|then|simply))?"
    r"\s*(?:=|:|\bbe\b|\bis\b|\bto\b|\bas\b|\bhave been\b|\bequals?\b|\bbe set to\b|\bto be\b)"
    r"(?: (?:equal to|exactly|the|an?|string|list|number|integer|value|dictionary|array|character"
    r"|substring|be|set to))*\s*"
)
FILLERS = re.compile(
    r"[\s,.;()]|\b(?:and|as|the|input|inputs|list|string|value|values|of|with|respectively|is|are"
    r"|parameter|index|original|for|simplest|case|element|then|both|here|thus|will|e\.g\.?|we|can"
    r"|choose|to|position|number|prefix|suffix|text|dictionary|array|separator|delimiter|character"
    r"|integer|substring|a|an|simple|single|space|let)\b",
    re.I,
)
LISTED = re.compile(r"(?P<name>\w+) = (?P<told>[\[{(].*[\]})])")
ASSIGNED = re.compile(
    r"(?:`(?P<name>\w+)`|\b(?P<bare>[a-z_]\w*)(?= = ))" + LINK + TOLD
    + r"|`(?P<name2>\w+) = (?P<told2>[^`]+)`", re.I,
)  # fmt: skip
ASSUME = re.compile(
    r"^(?:if|suppose|assuming|say|assume|let's assume)(?: we)?(?: assume| set| choose| take| let|"
    r" have)?(?: that)?\s*"
    r"(?:`(?P<name>\w+)`" + LINK + r"|`(?P<bare>\w+) = (?=[^`]+`))" + r"(?P<told>`[^`]+`|[^`]+`"
        r"|\"[^\"]*\"|'[^']*'|-?\d+(?:\.\d+)?)(?P<rest>.*)$",
    re.I | re.S,
)  # fmt: skip
INPUT = re.compile(
    r"^(?:(?:that )?we can (?:use|choose|take|provide|construct)(?: as)? )?(?:the |a |an |one "
    r"|this |another |other |alternatively,? |alternative )*"
    r"(?:only |original |required |final |valid |possible |simple |suitable |simplest )*"
    r"(?:assertion|input|example|argument|list|string)?(?: (?:list|string|dictionary|number|array"
    r"|value|integer|`\w+`|dict))*"
    r"(?: that (?:satisfies|meets|produces|would|gives|yields|leads)[^`\"']*?"
    r"(?:(?:`[^`]*`|\"[^\"]*\")[^`\"']*?)?)?"
    r"(?: (?:for|to)\b[^`\"']*?)?(?:,? (?:is|be|can be represented as|could be|can be"
    r"|must be|should be|would be|must have been|will be|has to be|would need to be|would have"
    r" to be))?"
    r"(?: (?:exactly|simply|just|the (?:list|string|dictionary|number|input)|equal to|as"
    r" follows))*:?\s*"
    r"(?P<told>`(?!\w+`)[^`]+`|\"[^\"]*\"|'[^']*'|[\[{(].*[\]})]|-?\d+(?:\.\d+)?)"
    r"(?P<rest>[^`\"]*)$", re.I | re.S,
)  # fmt: skip
EXAMPLE = re.compile(
    r"^(?:(?:alternatively|lastly|similarly|likewise),? (?=`)"
    r"|(?:alternatively,? |another |lastly,? |for example,? |one )*(?:the )?(?:possible |valid"
    r" )*(?:possibility |input |example |we can use )+)(?:the (?:input|string|list) )?"
    r"(?:could be |can be |is |be |would be )?(?P<told>`(?![A-Za-z_]\w*`)[^`]+`|\"[^\"]*\""
    r"|-?\d+(?:\.\d+)?),?"
    r" (?:which )?(?:would|will|directly|gives?|returns?|results?|yields?|produces?)"
    r"(?P<rest>.*)$", re.I | re.S,
)  # fmt: skip
SAYS_GOOD = re.compile(
    r"\b(?:satisf|must|valid|correct|meets|produces|leads to|yields|results? in|will return)", re.I
)
EQUATION = re.compile(r"`(?P<one>[^`=]+?) ?==? ?(?P<two>[^`=]+)`")
SUM = re.compile(r"(?P<one>-?\d+(?:\s*(?:[-+*/%]|\\mod|\\times)\s*\d+)+)\s*=\s*(?P<two>-?\d+)")
GIVES = re.compile(
    r"`(?P<one>[^`]*[^\w`][^`]*)`(?: (?:must|should|will|would))? (?:is|gives|be|equals|equal"
    r"|yields|results in|evaluates to)(?: equal to)? "
    r"`?(?P<two>[^`]+?)`?", re.I,
)  # fmt: skip
NECESSARY = re.compile(
    r"\b(?:must|has to|have to|needs? to|should) (?:also |only |at least )?(?P<verb>be|contain"
    r"|have|start|begin|end|include|exist|appear|consist|equal|match)\b",
    re.I,
)
PRESENT = {
    "be": "is", "contain": "contains", "have": "has", "start": "starts", "begin": "begins",
    "end": "ends", "include": "includes", "exist": "exists", "appear": "appears",
    "consist": "consists", "equal": "equals", "match": "matches",
}  # fmt: skip
ASIDE = re.compile(  # says nothing of the witness
    r" \((?:or (?:any|some|another)(?: other)? \w+(?: \w+)?|inclusive|both inclusive)\)", re.I
)
PREPARED = re.compile(  # "we can use", "one choice is" before assignments
    r"^(?:(?:one |a )?(?:possible )?(?:choice|option|way|example) is (?:to )?"
    r"|(?:we|one) (?:can |could |may )?|let us |let's )?"
    r"(?:(?:choose|set|take|use the input|use|let|have|pick|select|try)\b)?\s*", re.I
)  # fmt: skip
SOUGHT = re.compile(r"^we (?:need|have|want) to find .* (?:such that|so that|for which) ", re.I)
_BOLD = re.compile(r"(?P<kept>`[^`]*`|\"[^\"]*\"|(?<!\w)'[^'\n]*'(?!\w))|\*\*")
THIS = re.compile(r"\bth(?:is|at) ((?:key-value )?pair|element|item|key|value)\b", re.I)
VALUES_ALONE = re.compile(r"`[^`]*\W[^`]*`|`\d+`|\"[^\"]*\"")
BOUNDS = re.compile(r" \((?:an? |the )?(?:valid(?: index)?|in bounds|out of (?:bounds|range))\)$")
COMMENT = re.compile(r"^([\[({\"'\d].*[\])}\"'\d]|\w+ = .*?[\])}\"'\d])\s+#[^\"']*$")


_THESE = re.compile(
    r"\b(?P<of>one of )?(?:these|those)(?: (?P<count>\w+))??"
    r" (?P<item>characters|members|elements|letters|values|words|keys|items|digits|numbers|names"
    r"|strings|lines|prefixes|parts|substrings)\b"
)


def resolve_these(piece: str, told: list[str]) -> str:
    """Returns a statement with "these characters" written out as those that were told before.

    told: their code, such as `'a'`; a number that is no such number is left as it is.
    """
    match = _THESE.search(piece)
    count = match["count"] if match else None
    if match is None or not told or int(COUNTS.get(count or "", len(told))) != len(told):
        return piece
    listed = ", ".join(f"`{one}`" for one in told[:-1])
    listed = f"{listed} and `{told[-1]}`" if listed else f"`{told[-1]}`"
    before = "one of " if match["of"] else f"the {match['item']} "
    return f"{piece[: match.start()]}{before}{listed}{piece[match.end() :]}"


def split_statements(text: str, outputs: tuple[str, ...] = ()) -> Iterator[str]:
    """Yields the statements of a line, without the output that they begin with.

    outputs: the output given and the witness's, as literals; any other is not left out.
    """
    for part in _split_outside_code(text):
        part = part.strip(" .,;:")
        if reason := REASON.match(part):
            yield from split_statements(reason["reason"], outputs)
            part = reason["rest"]
        while True:
            shorter = OPEN.sub("", part).strip(" .,;:")
            shorter = TAIL.sub("", SATISFY.sub("", shorter, count=1))
            match = GOAL.match(shorter)
            if match and not _is_other(match["value"], outputs):
                shorter = match["rest"].strip(" .,;:")
                if re.match(r"(?:we|the|then|this)\b", shorter) is None and "`" not in shorter:
                    shorter = ""
            if shorter == part:
                break
            part = shorter
        if part:
            yield part


def _is_other(text: str, outputs: tuple[str, ...]) -> bool:
    """Tells whether a value is none of the outputs given."""
    told = literal_of(text)
    return (
        bool(outputs)
        and told is not None
        and all(compare(told, one) == CONTRADICTED for one in outputs)
    )


def _split_outside_code(text: str) -> list[str]:
    """Splits at the joints of an argument that stand outside code and quotes."""
    guarded = [m.span() for m in re.finditer(r"`[^`]*`|\"[^\"]*\"", text)]
    places = [
        m.span() for m in CUTS.finditer(text)
        if not any(start < m.start() < end - 1 for start, end in guarded)
    ]  # fmt: skip
    edges = [0, *[place for span in places for place in span], len(text)]
    return [text[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2)]


def without_bold(line: str) -> str:
    """Returns a line without the `**` of bold words; those in code and in quotes stay."""
    return _BOLD.sub(lambda match: match["kept"] or "", line)


@functools.lru_cache(maxsize=2048)
def mark_code(text: str, *, values: bool = True) -> str:
    """Returns the text with backticks around lists and dictionaries, with `values` around all."""
    masked, atoms = mask_code(text, frozenset())
    return ATOM_NUMBER.sub(lambda m: _spell(atoms[int(m[1])], text, values), masked)


def _spell(atom: Atom, text: str, values: bool) -> str:
    marked = text[atom.start : atom.start + 1] == "`"
    if marked or ("`" not in atom.text and (values or atom.text[:1] in "[{(") and atom.literal):
        return f"`{atom.text}`"
    return atom.text
