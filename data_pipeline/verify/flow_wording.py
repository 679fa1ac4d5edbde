"""Reads what a masked sentence says about the flow: turns, counts, branches, exceptions, jumps.

These phrases stand anywhere in a sentence, so they are searched, not parsed. Negation belongs to
the pattern: "we do not enter the block" is a claim that it is not entered.
"""

import ast
import re
from collections.abc import Iterator, Sequence

from data_pipeline.verify.clause_cutting import is_hypothetical
from data_pipeline.verify.masking import ATOM_NUMBER, Atom
from data_pipeline.verify.ordinals import ANY_ORDINAL, ORDINALS
from data_pipeline.verify.screening import screened
from data_pipeline.verify.stated import NUMBERS, WordedClaim

Found = tuple[WordedClaim, tuple[int, int]]

_COUNT = r"(?:⟦(?P<n>\d+)⟧|(?P<w>" + "|".join(NUMBERS) + r"))"
_TIMES = screened(
    r"\b(?:runs?|ran|iterates?|executes?|executed|repeats?|repeated|loops?|turns?|makes?|takes?|"
    r"performs?|completes?|after|of|exactly|only|has|for|in|did|does|goes|went)(?: over)?"
    rf"(?: ⟦\d+⟧)?(?: exactly| all| only| a total of| in total| its| these| another)? {_COUNT} "
    r"(?:full |complete |more )?(?P<u>times|time|iterations?|turns?|passes|pass|rounds?)\b",
    re.I,
)
_OF_A_LINE = re.compile(  # "L9 runs", "`t += 5` was executed": no turns of a loop
    r"(?:(?<!\[)\bL\d+(?!\])|\blines? ⟦\d+⟧|⟦(?P<s>\d+)⟧)(?: line| statement)?"
    r"(?: (?:is|was|gets|only|just|runs?|ran|executed|executes|reached|happens|done))*\s*$",
    re.I,
)
_ONCE = screened(
    r"\b(?:runs|iterates|executes|turns|loops|executed)(?: only)? (?P<w>once|twice|thrice)\b"
)
_ENDS = re.compile(
    r"\b(?:ends?|ended|complete[sd]?|finish\w*|stop\w*|terminat\w*|exit\w*|exhaust\w*|leaves?|over|"
    r"runs|makes|iterates|executes|turns|takes|in all|total|will)\b"
)
_NO_COUNT = re.compile(
    r"\b(?:would|could|if|may|might|at most|at least|up to|until|appears?|occurs?|occurrences?|"
    r"must|repeated|multipl\w+)\b"
)
_LEAVES = re.compile(
    r"\b(?:no (?:more|further)|not|ends?|stops?|exits?|terminates?|exhausted|false|fails|never)\b"
)
_OVER = screened(r"\bloop(?: at \S+)? (?:over|through|on) ⟦(\d+)⟧")
_GOES_ON = re.compile(
    r"\b(?:so|and|thus|hence|therefore),? (?:the |this )(?:(?:inner|outer|while|for) )?loop "
    r"(?P<g>goes on|continues|keeps (?:going|running))\b"
)
_NEVER = re.compile(
    r"\b(?:body|loop) (?:never|does not|doesn't|is never|is not|will not|won't) "
    r"(?:runs?|executes?|starts?|entered|executed|iterate|execute)\b"
)
_TURN = re.compile(
    r"\b(?:iteration|turn|pass)(?: (?:number|no\.))? ?#?⟦(?P<n>\d+)⟧|"
    rf"(?:\b(?P<o>{ANY_ORDINAL})|"
    r"(?:⟦(?P<d>\d+)⟧|(?<!\d)(?P<p>\d{1,6}))(?:st|nd|rd|th)) "
    r"(?:(?:and|or) \w+ )?(?:iteration|turn|pass)\b",
    re.I,
)  # fmt: skip
_LOOKS_BACK = re.compile(
    r"\b(?:was|were|had been|has been|got) \w+ (?:in|during|at|by|on) the$", re.I
)
_COUNT_WORD = screened(  # what every pattern of `_count_claims` has one of
    r"time|iteration|turn|pass|round|once|twice|thrice|loop|body|never|indefinitely|forever|endless|"
    r"infinite|exit|no (?:more|remaining|further)",
    re.I,
)
_TURN_WORD = screened(r"iteration|turn|pass", re.I)
_TEST = (
    r"(?:(?:if|while|loop|for|elif|first|second|third|fourth|outer|inner|whole) )*"
    r"(?:conditions?|tests?|checks?|comparisons?|if statement|expression)"
)
_COMES = r"(?:is|was|are|were|evaluates? to|becomes|comes out|returns|turns out)"
_ADVERBS = r"(?:(?:also|again|here|now|then|indeed|therefore|thus|not|n't|still|both|be|to be) )*"
_NEGATIVE = (
    r"does not hold|doesn't hold|must not hold|(?:has to|must|needs to) (?:fail|be [Ff]alse)|"
    r"is unmet|fails|do not hold|"
    rf"{_COMES} {_ADVERBS}(?:[Ff]alse|unsatisfied|unmet)|"
    rf"(?:{_COMES}|does|do) (?:also |again |still )?(?:not|n't) (?:\w+ )?(?:met|satisfied|[Tt]rue|"
    r"fulfilled|hold|pass|succeed)|(?:isn't|wasn't) (?:met|satisfied|true|fulfilled)"
)
_POSITIVE = (
    r"holds?(?! (?:⟦|the|an?|its|all|only|exactly|now|each|every|no|just|\w+ \w+s:?\b))|"
    r"(?:has to|must|needs to) (?:hold|be [Tt]rue)|succeeds|passes|"
    rf"{_COMES} {_ADVERBS}(?:[Tt]rue|satisfied|met|fulfilled)"
)
_TRUTH = screened(
    r"(?:(?P<neither>\b(?:[Nn]either|[Nn]one|[Nn]o)(?: of)?(?: the(?:se)?| those)? (?:\w+ )?)|"
    r"(?P<both>\b(?:[Bb]oth|[Aa]ll)(?: of)?(?: the(?:se)?| those)? (?:\w+ )?))?"
    rf"(?:{{s}}|\b{_TEST}|\b(?:this|it|which))"
    rf"(?: (?:{_TEST}|also|again|here|now|then|(?:for|on) \S+|in this (?:case|iteration)|"
    r"\(⟦\d+⟧\)))?,? "
    rf"(?:therefore |thus |also |indeed )*(?:(?P<neg>{_NEGATIVE})|(?P<pos>{_POSITIVE}))\b"
    .replace("{s}", r"⟦(?P<s>\d+)⟧"),
)  # fmt: skip
_VALUE_OF_TEST = re.compile(
    rf"\b(?:{_TEST}|it|which|this|that) (?:therefore |thus |also |then )?(?:is|was|evaluates? to|"
    r"comes out|gives|returns|results in|turns out|will be)(?: to be| as)? "
    r"(?:(?:now|then|thus|therefore|still|also|again|indeed|both) )*⟦(?P<v>\d+)⟧(?! (?:and|or)\b)",
    re.I,
)
_BLOCK = (
    r"(?:the |this |its |over the |that |over this )?(?:(?:(?!to\b)\w+ |⟦\d+⟧ ){0,3}?)?"
    r"(?:if |for |while |loop |"
    r"inner |outer )?(?:body|block|branch|clause|statement|part|section|loop|line|assignment|"
    r"return|append|appending|operation|increment)s?"
)
_NOT_ENTERED = (
    rf"skip(?:s|ped|ping)? {_BLOCK}|bypass(?:es|ed|ing)? {_BLOCK}|"
    r"(?:(?:do|does|did|will)(?: not|n't)|without|not) (?:enter(?:ing)?|execut(?:e|ing)|"
    rf"tak(?:e|ing)|run(?:ning)?|go(?:ing)? into|proceed(?:ing)? to) {_BLOCK}"
    r"(?: ⟦(?P<code2>\d+)⟧)?|"
    r"(?:(?<=the )⟦\d+⟧ )?"
    r"(?:body|block|if branch|branch|statement|line|code|part)(?: ⟦(?P<code>\d+)⟧)?"
    r"(?: \w+ the \w+(?: \w+)?)? (?:is|are|will be) (?:therefore |thus |also )?"
    r"(?:skipped|bypassed|not (?:executed|taken|entered|run|reached))"
)
_ELSE_ENTERED = (
    r"(?:take|enter|execute|run|go into|fall into|reach|go to|goes to|move to|proceed to|"
    r"proceeds to|moves to)(?:s|es|ing)? the ⟦?`?else`?|"
    r"the else (?:branch|block|clause|part) (?:runs|is (?:taken|executed|entered|run))"
)
_ENTERED = (
    r"(?:enter(?:s|ing)?|execut(?:es?|ing)|tak(?:es?|ing)) the (?:(?:⟦\d+⟧|if|loop|then|while|for) "
    r"?(?:body|block|branch|loop)?|body|block)|"
    r"(?:the|if|then|loop) (?:branch|block|body) (?:runs|is (?:taken|executed|entered|run))|"
    r"its body (?:runs|is (?:executed|entered))|the loop (?:starts|continues|is entered)(?=\W*$)"
)
_TAKEN = screened(
    rf"\b(?:(?P<no>{_NOT_ENTERED}|{_ELSE_ENTERED})|(?P<yes>{_ENTERED}))", re.I
)  # fmt: skip
_ENDED = re.compile(
    r"\b(?:loop|iteration)s? (?:exits|ends|terminates|stops|is (?:exited|over|done|complete)|"
    r"finishes|completes|does not (?:start|continue|run|execute))\b|\bexits? the (?:\w+ )?loop\b|"
    r"\bno (?:more|remaining|further) (?:\w+ )?(?:elements|items|characters|iterations|words|keys|"
    r"letters|digits|numbers|values|names|strings|rows|lines|members|pairs|entries)"
    r"(?: left| remaining)?(?: to (?:process|iterate over|check))?(?: in ⟦\d+⟧)?",
    re.I,
)
_ENDLESS = screened(
    r"\b(?:loops?|runs?|continues?|repeats?|goes on|recursion|program|it)\b[^⟦.]*\b(?:indefinitely|"
    r"forever|endlessly|infinitely)\b|\bnever (?:terminates|stops|ends|exits)\b",
    re.I,
)
_ERROR = r"(?:⟦(?P<s>\d+)⟧|(?P<e>[A-Z]\w*(?:Error|Exception|Iteration|Exit|Interrupt)))"
_RAISES = re.compile(
    rf"\b(?:raises?|raising|throws?|triggers?|caus(?:es|ing)) (?:an? |the )?{_ERROR}|"
    rf"{_ERROR.replace('<s>', '<s2>').replace('<e>', '<e2>')} (?:exception |error )?"
    r"(?:is|was|gets|occurs) ?(?:raised|thrown|triggered|caught|handled)?"
)
_NOT_CAUGHT = screened(r"\b(?:not|never|n't) (?:\w+ )?(?:caught|handled)|\buncaught\b", re.I)
_NO_RAISE = screened(
    r"\b(?:no (?:⟦(?P<s>\d+)⟧|[A-Z]\w*Error|exception|error)s?"
    r"(?: or (?:exception|error)s?)? (?:is|are|was|were|occur(?:s|red)?|has been)|"
    r"(?:without|not|does not|doesn't) rais(?:e|es|ing) (?:an? |any )?"
    r"(?:exception|error|⟦\d+⟧|[A-Z]\w*Error))",
    re.I,
)
_GOTO = screened(
    r"\b(?:to|continues? (?:at|with)|goes on (?:at|with)|resumes? at|next is|"
    r"proceeds? (?:at|with)) (?:the )?(?:line )?(?:[\[(])?\bL(?P<l>\d+)\b[\])]?"
)
UNREACHED = screened(  # "L10 is not reached for it", "[L7] is skipped", "does not return on L9"
    r"(?<!^)(?<!^\W)(?<!^\W\W)(?:\b(?:does|did|do|will) (?:not|never) (?:reach|run|execute|enter|"
    r"return (?:on|at|from)|get to|come to) (?:the )?(?:line )?[\[(]?\b(?P<l>L\d+)\b[\])]?|"
    r"(?:\bline )?[\[(]?\b(?P<l2>L\d+)\b[\])]? (?:(?:is|was) (?:therefore |thus |also )?"
    r"(?:(?:not|never) (?:\w+ )?(?:reached|run|executed|entered|evaluated|hit)|skipped|"
    r"passed over|left out)|(?:does|did|do|will) (?:not|never) (?:run|execute)|never runs))"
    r"(?: (?:this time|here|at all|for (?:it|(?:this|that) \w+)|"
    r"in this (?:turn|round|iteration)))*",
    re.I,
)
_WITH = re.compile(
    r",? \(?(?:as with|with|where|given|for) ⟦\d+⟧ = ⟦\d+⟧(?:(?:,|,? and) ⟦\d+⟧ = ⟦\d+⟧)*"
)
_NOT = re.compile(r"\b(?:not|n't|no|never|without|nor|neither)\s*$", re.I)


def goto_labels(text: str) -> Iterator[tuple[int, int]]:
    """Yields (position, label) for labels that a sentence only points to."""
    for match in _GOTO.finditer(text):
        yield match.start("l"), int(match["l"])


def turn_of(text: str, atoms: Sequence[Atom]) -> int | None:
    """Returns the loop turn that a text mentions, -1 for the last; None for none or several."""
    if not _TURN_WORD.search(text):
        return None
    turns = set()
    for match in _TURN.finditer(text):
        ahead = text[: match.start()].lower().rstrip()
        behind = text[match.end() :].lower()
        if ahead.endswith(("after", "after the", "before the", "until the", "than", "next")):
            return None
        if _LOOKS_BACK.search(ahead):
            return None
        if re.match(r"\s*(?:to|through|and|–|-|…) ?⟦", behind):
            return None
        number = match["n"] or match["d"]
        if match["p"] is not None:
            turns.add(int(match["p"]))
        elif number is not None:
            text_of = atoms[int(number)].text
            turns.add(int(text_of) if text_of.isascii() and text_of.isdigit() else None)
        else:
            turns.add(ORDINALS[match["o"].lower()])
    return turns.pop() if len(turns) == 1 else None


def flow_claims(sentence: str, atoms: Sequence[Atom]) -> list[Found]:
    """Returns the claims about the flow in one masked sentence, each with its span."""
    hypothetical = is_hypothetical(sentence)
    found = list(_count_claims(sentence, atoms, hypothetical))
    if (turn := turn_of(sentence, atoms)) is not None:
        leaves = _LEAVES.search(sentence) or any(
            f"⟦{number}⟧" in sentence and atom.text == "False" for number, atom in enumerate(atoms)
        )
        match = _TURN.search(sentence)
        span = match.span() if match else (0, 0)
        text = f"iteration {turn if turn >= 0 else 'last'}"
        when = "exit" if leaves else "any"
        found.append((WordedClaim("turn", text, value=str(turn), when=when), span))
    if not hypothetical:
        found += _branch_claims(sentence, atoms)
        found += _exception_claims(sentence, atoms)
        found += [
            (WordedClaim("goto", f"[L{label}] runs next", value=str(label)), (at, at + 1))
            for at, label in goto_labels(sentence)
        ]
    return found


def _spell(match: re.Match[str], atoms: Sequence[Atom]) -> str:
    return ATOM_NUMBER.sub(lambda m: atoms[int(m[1])].text, match[0]).strip(" .,;:")


def _count_claims(sentence: str, atoms: Sequence[Atom], hypothetical: bool) -> Iterator[Found]:
    if not _COUNT_WORD.search(sentence) or _NO_COUNT.search(sentence):
        return
    named = _OVER.search(sentence)
    over = atoms[int(named[1])].text if named else None
    when = "any" if _ENDS.search(sentence) else "so far"
    if re.search(r"\b(?:will|going to)\b", sentence):
        when = "planned"
    for match in [*_TIMES.finditer(sentence), *_ONCE.finditer(sentence)]:
        if _counts_a_line(sentence[: match.start()], atoms):
            continue
        groups = match.groupdict()
        if groups.get("n") is not None:
            text = _count_text(atoms[int(groups["n"])].text)
        elif groups.get("u") == "time" and groups.get("w") not in ("one", None):
            continue
        else:
            text = str(NUMBERS[groups["w"].lower()])
        if text is not None:
            yield WordedClaim("turns", _spell(match, atoms), over, text, when), match.span()
    if (match := _GOES_ON.search(sentence)) and not hypothetical:
        yield WordedClaim("goes on", "the loop goes on"), match.span()
    if match := _NEVER.search(sentence):
        yield WordedClaim("turns", _spell(match, atoms), value="0"), match.span()
    counted = _TIMES.search(sentence) or _ONCE.search(sentence)
    for match in () if hypothetical or counted else _ENDED.finditer(sentence):
        yield WordedClaim("ended", _spell(match, atoms), value="False"), match.span()
    if (match := _ENDLESS.search(sentence)) and not hypothetical:
        yield WordedClaim("endless", _spell(match, atoms)), match.span()


def _counts_a_line(before: str, atoms: Sequence[Atom]) -> bool:
    """Tells whether the words before a count name a line, or quote one that is no loop's."""
    match = _OF_A_LINE.search(before)
    if match is None or "loop" in before.lower():
        return False
    if match["s"] is None:
        return True
    try:
        (statement,) = ast.parse(atoms[int(match["s"])].text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    is_call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    return is_call or isinstance(statement, ast.Assign | ast.AugAssign | ast.Return | ast.Break)


def _count_text(text: str) -> str | None:
    """Returns the number of "4" and of "8 // 2 = 4"."""
    last = text.rpartition("=")[2].strip()
    return last if last.isascii() and last.isdigit() else None


def _branch_claims(sentence: str, atoms: Sequence[Atom]) -> Iterator[Found]:
    for match in _TRUTH.finditer(sentence):
        subject = match["s"]
        of = None if subject is None else atoms[int(subject)].text
        if of is not None and atoms[int(subject)].literal:
            continue
        given = tuple(_given_values(sentence[match.end() :], atoms))
        value = "False" if match["neg"] or match["neither"] else "True"
        when = "all" if match["neither"] or match["both"] else "any"
        claim = WordedClaim("branch", _spell(match, atoms), of, value, when, given)
        yield claim, match.span()
    for match in _VALUE_OF_TEST.finditer(sentence):
        text = atoms[int(match["v"])].text
        if text in ("True", "False"):
            yield WordedClaim("branch", _spell(match, atoms), None, text), match.span()
    counted = _TIMES.search(sentence) or _ONCE.search(sentence)
    for match in () if counted else _TAKEN.finditer(sentence):
        negated = match["yes"] and _NOT.search(sentence[: match.start()])
        value = "False" if match["no"] or negated else "True"
        number = match["code"] or match["code2"]
        code = None if number is None else atoms[int(number)].text
        yield WordedClaim("entered", _spell(match, atoms), code, value), match.span()


def _given_values(behind: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
    if match := _WITH.match(behind):
        for name, value in re.findall(r"⟦(\d+)⟧ = ⟦(\d+)⟧", match[0]):
            if atoms[int(name)].text.isidentifier() and atoms[int(value)].literal:
                yield atoms[int(name)].text, atoms[int(value)].text


def _exception_claims(sentence: str, atoms: Sequence[Atom]) -> Iterator[Found]:
    if _NOT_CAUGHT.search(sentence):
        return  # whoever catches it: no reader judges that
    denied = _NO_RAISE.search(sentence)
    if denied:
        yield WordedClaim("raise", _spell(denied, atoms), value=""), denied.span()
        return
    for match in _RAISES.finditer(sentence):
        if _NOT.search(sentence[: match.start()]):
            continue
        number = match["s"] or match["s2"]
        name = atoms[int(number)].text if number is not None else match["e"] or match["e2"]
        name = re.match(r"[A-Za-z_][\w.]*|", name)[0].rpartition(".")[2]  # type: ignore[index]
        if name.endswith(("Error", "Exception", "Iteration", "Exit", "Interrupt")):
            yield WordedClaim("raise", _spell(match, atoms), value=name), match.span()
