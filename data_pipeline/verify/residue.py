"""Finds what an unlabelled sentence states beside its claims, and counts the runs of named code.

A reason, a "not caught", an index, "as a string", a list of values can be false while the rest of
the sentence is true. What no claim holds is unread: such a sentence is confirmed only in part.
"""

import ast
import re
from collections.abc import Iterator, Sequence

from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim, unread_claim
from data_pipeline.verify.code_verdicts import CodeVerdicts
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.masking import is_literal
from data_pipeline.verify.screening import screened
from data_pipeline.verify.stated import NUMBERS
from data_pipeline.verify.value_verdicts import Verdict
from data_pipeline.verify.wordlists import word_set

_NUMBER = r"-?\d+(?:\.\d+)?"
_REASONS = re.compile(
    r"\b(?:because|since|due to|given that|as (?:it|the|there|all|a|an)\b).*", re.I
)
_LISTED = re.compile(
    rf"(?<![\[({{\w])(?<!, ){_NUMBER}, (?:and |then )?{_NUMBER}(?![\w\])}}]| ?[-+*/%<>=!])"
)
_TELLS = (
    re.compile(r"\b(?:not|never|un)\s?-?(?:caught|handled|raised)\b", re.I),
    re.compile(r"\b(?:early|prematurely|break|immediately|directly)\b", re.I),
    re.compile(r"\b(?:only|alone|just|always|every|all|each|neither|both|twice|thrice)\b", re.I),
    re.compile(r"\bas an? (?:string|str|list|tuple|set|dict\w*|int\w*|float|number|bool\w*)\b"),
    re.compile(r"\b(?:at|in) (?:index|position|place) \S+", re.I),
    re.compile(r"\b(?:greater|less|larger|smaller|bigger|shorter|longer|higher|lower|more|fewer)"
               r"(?: than)?\b", re.I),
    re.compile(r" = ?\S+ (?:is|was|are) [a-z]+ed\b"),
    re.compile(r"\bthen (?:`?-?\d|to\b)", re.I),
)  # fmt: skip
_GIVES = re.compile(
    r"\b(?:giving|yielding|making|leaving|producing|resulting in|which gives)\b", re.I
)
_RELATIONS = re.compile(
    r"greater|less|larger|smaller|bigger|shorter|longer|higher|lower|more|fewer"
)
_SUM = screened(
    rf"(?<![\w.)\]*/+-])(?<![\w)\]] [+*/%-] )"
    rf"(?P<l>{_NUMBER}(?: ?(?:[+*/%&|^-]|//|\*\*|<<|>>) ?{_NUMBER})+)"
    rf" ?= ?(?P<r>{_NUMBER})(?!\w|\.\d| ?[+*/%&|^-])"
)
_WORKED_OUT = re.compile(
    r"`(?P<l>[^`]+)`,? ?\(?(?:which |that |and (?:it )?|this |so it |it )?(?:then |again |now )?"
    r"(?:evaluates to|evaluated to|equals|is equal to|results in|resulting in|gives|yields|"
    r"comes to|becomes|is|=)"
    r":? `(?P<r>[^`]+)`",
    re.I,
)
_TRUTH = re.compile(
    r"`(?P<t>[^`]+)`(?P<w>[^`]{0,60}?\b(?:is|evaluates to|evaluated to|returns|becomes|holds as)"
    r"(?: (?:indeed|also|still|always|therefore|clearly))? (?P<no>not )?)"
    r"`?(?P<b>True|False|met|satisfied)\b`?",
    re.I,
)
_NOT_SAID = re.compile(
    r"\b(?:or|(?:and|but)(?! (?:this|that|it)\b)|else|than|to be|would|should|could|might|may)\b",
    re.I,
)
_ASKED = re.compile(r"\b(?:if|whether|when|unless|while|until|once|not)\s*\W{0,2}$|"
                    r"\b(?:if|unless|when|otherwise)\b(?=[^.;]*$)", re.I)  # fmt: skip
_QUOTED = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"")
_DENIES = screened(
    r"\b(?:is|are|was|were|does|do|did|will|would|has|have|had|can|could|should) ?"
    r"(?:not|never|no longer)\b",
    re.I,
)
_CALL_RAISES = re.compile(
    r"(?:^\W*|\b(?:so|thus|then|and|finally),? )"
    r"(?:it|this|the (?:function|program|call)(?: `?\w+`?)?|`\w+(?:\([^`]*\))?`)"
    r" (?:will |would |then |finally )?raises? ",
    re.I,
)
_LABELS = re.compile(r"\[?\bL\d+\]?|\([^)]*\)")
_OF_TURNS = word_set("""
    a the this of for in on at to and now then next we it iteration iterations turn pass round
    loop while first second third fourth fifth sixth seventh eighth ninth tenth last final inner
    outer one two three four five six seven eight nine ten line step number begins starts begin
    start enters enter again key value index item element character char with is
""")
_KIND_OF_LOOP = re.compile(r"\bthe (?P<k>for|while) loop\b", re.I)
_LOOP_OF = re.compile(r"\bloop (?:in|of|inside) (?:the function )?`?(?P<f>\w+)\b", re.I)
_IN_TURN = re.compile(r"\b(?:in|during|at) (?:\w+ )+(?:iteration|turn|pass)\b", re.I)
_STATED = re.compile(r"\b(?:is|are|becomes|=) (?:[\[({'\"]|-?\d)")
_COUNT = r"(?P<n>\d+|" + "|".join(sorted(NUMBERS, key=len, reverse=True)) + r")(?: times?)?"
_EXECUTED = re.compile(
    r"^\W*(?:the )?(?:line|statement|code|call|instruction)? ?`?(?P<c>[^`]+?)`? (?:is |gets |was )?"
    rf"(?:executed|executes|runs?|called|evaluated)(?: only| exactly)? {_COUNT}\W*$",
    re.I,
)


def unread_parts(plain: str, claims: Sequence[Claim]) -> Iterator[str]:
    """Yields the pieces of a sentence that could be false and are no claim of it."""
    told = [claim.text.replace("`", "") for claim in claims]
    plain = plain.replace("`", "")
    if reason := _REASONS.search(plain):
        told_branches = any(c.kind == "branch" and c.text in reason[0] for c in claims)
        if not told_branches or any(claim.kind in ("exception", "return") for claim in claims):
            yield reason[0]
    tests = [c.text for c in claims if c.kind in ("branch", "expression", "iteration")]
    for tell in _TELLS:
        found = tell.search(plain)
        if found is None:
            continue
        if _RELATIONS.search(found[0]) and any(found[0] in text for text in tests):
            continue
        if re.fullmatch("twice|thrice|only|just", found[0]) and any(found[0] in t for t in tests):
            continue
        yield found[0]
    pieces = re.split(r",? and (?=[\w.]+ (?:is|are|becomes|=) )", plain)
    for piece in pieces if len(pieces) > 1 else ():
        if _STATED.search(piece) and not any(text in piece or piece in text for text in told):
            yield piece
    turns_alone = told and all(claim.kind == "iteration" for claim in claims)
    if turns_alone and _IN_TURN.search(plain) and _STATED.search(plain):
        yield plain
    values = [claim for claim in claims if claim.kind == "value"]
    if (listed := _LISTED.search(plain)) and not any(listed[0] in text for text in told):
        yield listed[0]
    if _GIVES.search(plain) and len(claims) == 1 and values and not re.search(r"[ =]", told[0]):
        yield plain


def false_sums(plain: str) -> Iterator[tuple[str, str]]:
    """Yields each false sum of plain numbers with its truth: "-1 + 2 = 3", "-1 + 2 = 1"."""
    for found in _SUM.finditer(plain.replace("`", "")):
        try:
            left, right = evaluate(found["l"], None), evaluate(found["r"], None)
        except Unknown:
            continue
        if abs(left - right) > 0.01 * max(1, abs(left)):
            yield found[0], f"{found['l']} = {left}"


def false_arithmetic(line: str, plain: str) -> Iterator[tuple[str, str]]:
    """Yields what a sentence of a line works out wrongly from values alone, with its truth."""
    yield from false_sums(plain)
    yield from false_truths(line, plain)
    for code, text, truth in false_results(line):
        if code in plain:
            yield text, truth


def false_truths(line: str, plain: str) -> Iterator[tuple[str, str]]:
    """Yields (text, truth) where a test of plain values is said to come to what it does not.

    Example: "`4 * 2 > 9`. This condition is `True`". The sentence that says so is `plain`.
    """
    for found in _TRUTH.finditer(line):
        told = found["b"].lower() in ("true", "met", "satisfied")
        between = found["w"].removesuffix(found["no"] or "")
        if between.strip(" *.,;:") not in plain.replace("*", "") or _NOT_SAID.search(between):
            continue
        if not re.search(r"[.;:,]|\bthis\b", between) and _ASKED.search(line[: found.start()]):
            continue  # "if `1 > 3` is True"
        node = parse_code(found["t"])
        if not isinstance(node, ast.Compare | ast.BoolOp) or _ASKED.search(between):
            continue
        try:
            real = evaluate(found["t"], None)
        except (Unknown, ValueError, RecursionError):
            continue
        if isinstance(real, bool) and real != (told != bool(found["no"])):
            yield found[0], f"{found['t']} is {real}"


def false_results(line: str) -> Iterator[tuple[str, str, str]]:
    """Yields (code, text, truth) for each false result of code that holds values alone.

    Example: "`'a' + 'b'`, which evaluates to `'ba'`". Code with names has another reader.
    """
    for found in _WORKED_OUT.finditer(line):
        try:
            made, told = evaluate(found["l"], None), evaluate(found["r"], None)
        except (Unknown, ValueError, RecursionError):
            continue
        if is_literal(found["l"]) or not is_literal(found["r"]):
            continue
        if type(made) is type(told) and not isinstance(made, float) and made != told:
            yield found["l"], found[0], f"{found['l']} = {made!r}"


def executions(run: Replay, code: CodeVerdicts, plain: str) -> Verdict | None:
    """Judges "`x += 1` is executed 5 times": None for a sentence of another form."""
    found = _EXECUTED.match(plain.replace("`", ""))
    if found is None:
        return None
    lines = code.lines_with(found["c"].strip())
    if not lines:
        return None
    word = found["n"].lower()
    wanted = int(word) if word.isdigit() else NUMBERS[word]
    real = sum(len(run.by_line.get(line, ())) for line in lines)
    if len(lines) > 1 or run.trace.truncated:
        return NOT_CHECKABLE, f"{real} times"
    return (CONFIRMED if wanted == real else CONTRADICTED), f"{real} times"


def turns_of_kind(run: Replay, wanted: str, plain: str) -> Verdict | None:
    """Judges "the while loop runs 4 times" where loops of both kinds run, "the loop in `f`"."""
    found = _KIND_OF_LOOP.search(plain)
    owner = _LOOP_OF.search(plain)
    if run.trace.truncated:
        return None
    if owner and owner["f"] in run.functions:
        body = run.functions[owner["f"]]
        headers = {h for h in run.loops if body.lineno <= h <= (body.end_lineno or body.lineno)}
        headers = headers if len(headers) == 1 else set()
    elif found:
        kind = found["k"].lower()
        headers = {h for h in run.loops if type(run.statements[h]).__name__.lower() == kind}
    else:
        return None
    made = [loop.iterations for loop in run.trace.loops if loop.line in headers]
    truth = f"{', '.join(map(str, made[:8]))} iterations"
    if not made or len(set(made)) > 1:
        return None
    fits = wanted.isdigit() and int(wanted) in (made[0], sum(made))
    return (CONFIRMED if fits else CONTRADICTED), truth


def half_read(number: int, plain: str, claims: Sequence[Claim]) -> Iterator[Claim]:
    """Yields what to add to the claims of a sentence of which all else is confirmed."""
    if any(claim.verdict == CONFIRMED for claim in claims):
        for text in unread_parts(plain, claims):
            yield unread_claim(number, text)


def is_denied(text: str) -> bool:
    """Returns whether a claim's words deny it: "5 is not appended to out"."""
    plain = _QUOTED.sub("~", text.replace("n't", " not"))
    return _DENIES.search(plain) is not None


def says_the_call_raises(plain: str) -> bool:
    """Returns whether a sentence says that the whole call ends with an exception."""
    return _CALL_RAISES.search(plain) is not None


def beside_turn(plain: str) -> str | None:
    """Returns what a sentence says beside the number of a turn, None if that is all it says."""
    words = re.findall(r"[a-z]+", _QUOTED.sub("~", _LABELS.sub("", plain)).lower())
    return plain if any(word not in _OF_TURNS for word in words) else None


def misread(subject: str, value: str, plain: str) -> bool:
    """Returns whether a contradicted claim may mean more, or another thing, than was read.

    Examples: one item of a list in words, "the values of" a dictionary, code in quotation marks.
    """
    if subject[:1] in ("'", '"') and value in ("True", "False"):
        return True
    if re.search(r"\bvalues of\b", plain) and ".values()" not in subject:
        return True
    return bool(re.fullmatch(r"(?:list|sorted|set)\(.*\)", subject)) and value[:1] not in (
        "[",
        "{",
        "(",
    )
