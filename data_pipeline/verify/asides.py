"""Reads values put in behind code in brackets: "`xs[0]` (7)", "`i < len(xs)` (4 < 5)".

What stands in such brackets is stated of this run, also inside a question or a rule: "checks if
`xs[0]` (7) is odd" says that `xs[0]` is 7. The brackets are taken out of the sentence, so that
what stands around them reads as one clause.
"""

import ast
import functools
import re
from collections.abc import Sequence

from data_pipeline.verify.clause_parts import constant_of
from data_pipeline.verify.masking import Atom
from data_pipeline.verify.nouns import code_of, read_last_noun
from data_pipeline.verify.screening import screened
from data_pipeline.verify.stated import WordedClaim

_ASIDE = re.compile(
    r"⟦(?P<a>\d+)⟧ ?\((?:i\.e\.,? |(?P<w>which is ))?⟦(?P<b>\d+)⟧\)"
    r"(?(w)(?= (?:is|are|equals|does|has)\b))"
)
_SHOWN = screened(
    r"\b(?:is|are|evaluates to|becomes|returns|gives)(?: \w+)? ⟦(?P<v>\d+)⟧ "
    r"\((?:since |because |as )?⟦(?P<t>\d+)⟧\)"
)
_READABLE = (ast.Name, ast.Subscript, ast.Call, ast.BinOp, ast.Compare, ast.BoolOp, ast.UnaryOp)


def take_asides(sentence: str, atoms: Sequence[Atom]) -> tuple[str, list[WordedClaim]]:
    """Returns the sentence without the values put in, and the claims that those make."""
    claims: list[WordedClaim] = []
    kept, at = "", 0
    for match in _ASIDE.finditer(sentence):
        head = sentence[: match.start()] + f"⟦{match['a']}⟧"
        claim = _claim(head, atoms[int(match["a"])], atoms[int(match["b"])], atoms)
        if claim is not None:
            claims.append(claim)
            kept += sentence[at : match.start()] + f"⟦{match['a']}⟧"
            at = match.end()
    sentence = kept + sentence[at:]
    return sentence, claims + _shown_tests(sentence, atoms)


def _shown_tests(sentence: str, atoms: Sequence[Atom]) -> list[WordedClaim]:
    """Reads "is `False` (0 != 1)": the test shown must come to what it is said to come to."""
    claims = []
    for match in _SHOWN.finditer(sentence):
        outcome, shown = atoms[int(match["v"])], atoms[int(match["t"])]
        is_test = isinstance(parse_code(shown.text), ast.Compare) and constant_of(shown) is not None
        if outcome.text in ("True", "False") and is_test:
            claims.append(WordedClaim("test", shown.text, shown.text, outcome.text))
    return claims


def _claim(head: str, code: Atom, inside: Atom, atoms: Sequence[Atom]) -> WordedClaim | None:
    first, second = parse_code(code_of(code.text)), parse_code(inside.text)
    if code.literal or not isinstance(first, _READABLE):
        return None
    text = f"{code.text} ({inside.text})"
    if not inside.literal and isinstance(second, ast.Compare | ast.BoolOp):
        return WordedClaim("filled", text, code_of(code.text), inside.text)
    value = constant_of(inside)
    if value is None:
        return None
    noun = read_last_noun(head, atoms)
    subject, *others = (noun.expressions if noun else ()) or (code_of(code.text),)
    if value in ("True", "False") and not subject.isidentifier():
        return WordedClaim("branch", text, subject, value)
    return WordedClaim("value", text, subject, value, others=tuple(others))


@functools.lru_cache(maxsize=4096)
def parse_code(code: str) -> ast.expr | None:
    """Returns the syntax of an expression, None if it is none."""
    try:
        return ast.parse(code.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
