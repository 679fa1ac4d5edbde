"""Reads conditions, of the program and of sentences, into one form so that they can be compared.

A condition is a `Test`: a predicate with its subject and argument, affirmed or denied, or several
of them joined by "and" or "or". `not x`, `x == ""` and `len(x) < 1` are all "`x` is empty".
"""

import ast
import dataclasses
from collections.abc import Sequence

from data_pipeline.verify.lexicon import Phrase, Token
from data_pipeline.verify.wordlists import word_set

Source = str | Phrase


@dataclasses.dataclass(frozen=True)
class Test:
    """Holds one predicate; subject and argument are code on the program's side, else phrases.

    name: "empty", "<", "==", "in", "even", "divisible", "none", "type", "startswith", "isupper", …
    """

    name: str
    subject: Source
    argument: Source | None = None
    positive: bool = True

    def negated(self) -> "Test":
        return dataclasses.replace(self, positive=not self.positive)


@dataclasses.dataclass(frozen=True)
class Joined:
    """Holds tests joined by "and" or "or"."""

    operator: str
    parts: tuple["Condition", ...]

    def negated(self) -> "Joined":
        other = "or" if self.operator == "and" else "and"
        return Joined(other, tuple(part.negated() for part in self.parts))


Condition = Test | Joined


def read_test(node: ast.expr) -> Condition:
    """Returns the condition that an expression of the program tests."""
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return read_test(inner).negated()
        case ast.BoolOp(op=op, values=values):
            name = "and" if isinstance(op, ast.And) else "or"
            return Joined(name, tuple(read_test(value) for value in values))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _read_compare(left, op, right)
        case ast.Compare(left=left, ops=ops, comparators=others):
            chain = [left, *others]
            return Joined(
                "and",
                tuple(_read_compare(chain[i], op, chain[i + 1]) for i, op in enumerate(ops)),
            )
        case ast.Call(func=ast.Attribute(value=owner, attr=method), args=args):
            if method in ("startswith", "endswith", *METHOD_WORDS.values()):
                given = ast.unparse(args[0]) if args else None
                return Test(method, ast.unparse(owner), given)
        case ast.Call(func=ast.Attribute(value=owner, attr="count"), args=[what]):
            return Test("in", ast.unparse(what), ast.unparse(owner))
        case ast.Call(func=ast.Name(id="isinstance"), args=[value, kind]):
            return Test("type", ast.unparse(value), ast.unparse(kind))
    return Test("empty", ast.unparse(node), None, False)


_SWAPPED = {ast.Gt: ast.Lt, ast.GtE: ast.LtE}


def _read_compare(left: ast.expr, op: ast.cmpop, right: ast.expr) -> Condition:
    if isinstance(op, ast.NotEq | ast.NotIn | ast.IsNot):
        plain = {ast.NotEq: ast.Eq, ast.NotIn: ast.In, ast.IsNot: ast.Is}[type(op)]()
        return _read_compare(left, plain, right).negated()
    if isinstance(op, ast.Gt | ast.GtE):
        return _read_compare(right, _SWAPPED[type(op)](), left)
    if isinstance(op, ast.LtE):  # a <= b: not b < a
        return _read_compare(right, ast.Lt(), left).negated()
    one, two = ast.unparse(left), ast.unparse(right)
    truth = isinstance(op, ast.Is | ast.Eq) and two in ("True", "False")
    if truth and isinstance(left, ast.Call | ast.Compare):  # `s.isascii() is False`
        return read_test(left) if two == "True" else read_test(left).negated()
    if isinstance(op, ast.In):
        return Test("in", one, two)
    if isinstance(op, ast.Is) or two == "None":
        return Test("none" if two == "None" else "==", one, two)
    if isinstance(op, ast.Eq):
        return _read_equal(left, right, one, two)
    if two == "1" and (inner := _len_argument(left)):
        return Test("empty", inner)
    if one == "0" and (inner := _len_argument(right)):
        return Test("empty", inner, None, False)
    return Test("<", one, two)


def _len_argument(node: ast.expr) -> str | None:
    match node:
        case ast.Call(func=ast.Name(id="len"), args=[inner]):
            return ast.unparse(inner)
    return None


def _read_equal(left: ast.expr, right: ast.expr, one: str, two: str) -> Condition:
    if two == "0" and (inner := _len_argument(left)):
        return Test("empty", inner)
    if two in ("''", "[]", "{}", "()"):
        return Test("empty", one)
    if two in ("True", "False") and isinstance(left, ast.Name):
        return Test("empty", one, None, two == "False")
    match left, right:
        case ast.BinOp(left=value, op=ast.Mod(), right=ast.Constant(value=2)), ast.Constant(
            value=rest
        ) if rest in (0, 1):
            return Test("even", ast.unparse(value), None, rest == 0)
        case ast.BinOp(left=value, op=ast.Mod(), right=by), ast.Constant(value=0):
            return Test("divisible", ast.unparse(value), ast.unparse(by))
        case ast.Call(func=ast.Attribute(value=owner, attr=method), args=[what]), _ if method in (
            "find",
            "rfind",
            "count",
        ) and two == ("0" if method == "count" else "-1"):
            return Test("in", ast.unparse(what), ast.unparse(owner), False)
        case ast.Subscript(value=owner, slice=ast.Slice(lower=None, upper=upper, step=None)), _ if (
            upper is not None and ast.unparse(upper) == f"len({two})"
        ):
            return Test("startswith", ast.unparse(owner), two)
    return Test("==", one, two)


METHOD_WORDS = {
    "uppercase": "isupper", "upper": "isupper", "capital": "isupper", "lowercase": "islower",
    "alphanumeric": "isalnum", "alphabetic": "isalpha", "alphabetical": "isalpha",
    "letter": "isalpha", "letters": "isalpha", "digit": "isdigit", "digits": "isdigit",
    "numeric": "isnumeric", "decimal": "isdecimal", "whitespace": "isspace", "space": "isspace",
    "spaces": "isspace", "title": "istitle", "titlecase": "istitle", "identifier": "isidentifier",
    "ascii": "isascii", "printable": "isprintable", "alpha": "isalpha", "upper-case": "isupper",
    "lower-case": "islower", "lower": "islower", "number": "isnumeric",
}  # fmt: skip
_TYPES = {
    "string": "str", "list": "list", "integer": "int", "dictionary": "dict", "tuple": "tuple",
    "set": "set", "float": "float", "boolean": "bool", "strings": "str", "integers": "int",
}  # fmt: skip
_FILLER = word_set(
    """
    a an the entirely only all both of solely already currently completely fully just itself
    still exactly strictly case character characters consisting consists form also either any
    actually composed made up entire key value one element item given english
    """
)
_MORE = word_set("greater larger more bigger higher longer")
_LESS = word_set("less smaller fewer lower shorter")


def read_condition(tokens: Sequence[Token]) -> Condition | None:
    """Returns the condition that words state, None if they are no simple condition."""
    cut = next((i for i, token in enumerate(tokens) if token.lower in ("using", "via")), None)
    tokens = tokens if cut is None else tokens[:cut]
    if [token.lower for token in tokens[:1]] == ["there"]:
        return _read_existence(tokens)
    if (pair := _read_pair(tokens) or _read_shared(tokens)) is not None:
        return pair
    for word in ("or", "and"):
        places = [
            i for i, t in enumerate(tokens)
            if t.lower == word and not _inside_comparison(tokens, i)
        ]  # fmt: skip
        if places:
            return _read_joined(tokens, word, places)
    return _read_one(tokens)


def _read_pair(tokens: Sequence[Token]) -> Condition | None:
    """Reads "`a` and `b` are equal"."""
    words = [token.lower for token in tokens]
    at = next((i for i, word in enumerate(words) if word in ("are", "match")), None)
    if at is None or words[:at].count("and") != 1:
        return None
    told = [word for word in words[at:] if word not in ("are", "not", "the", "to", "each", "other")]
    if told not in (["equal"], ["same"], ["identical"], ["match"]):
        return None
    both = words.index("and")
    first = 1 if words[0] in ("both", "if", "whether") else 0
    one, two = Phrase(tuple(tokens[first:both])), Phrase(tuple(tokens[both + 1 : at]))
    is_pair = bool(one.atoms) and bool(two.atoms)
    return Test("==", one, two, "not" not in words[at:]) if is_pair else None


_SHARING = {"both": "and", "either": "or", "neither": "nor"}


def _read_shared(tokens: Sequence[Token]) -> Condition | None:
    """Reads "both `x` and `y` are numeric", "either `x` or `y` is empty"."""
    words = [token.lower for token in tokens]
    join = _SHARING.get(words[0]) if words else None
    at = next((i for i, word in enumerate(words) if word in _COPULAS), None)
    if join is None or at is None or words[1:at].count(join) != 1:
        return None
    both = words.index(join)
    subjects = (tokens[1:both], tokens[both + 1 : at])
    parts = [_read_one([*subject, *tokens[at:]]) for subject in subjects if subject]
    if len(parts) != 2 or None in parts:
        return None
    said = Joined("and" if join == "and" else "or", tuple(parts))  # type: ignore[arg-type]
    return said.negated() if join == "nor" else said


def _read_existence(tokens: Sequence[Token]) -> Condition | None:
    """Reads "there are no 'a' or 'b' characters left in the text"."""
    words = [token.lower for token in tokens]
    if "in" not in words or words[1:2] not in (["are"], ["is"]):
        return None
    at = words.index("in")
    known = {"there", "are", "is", "any", "no", "or", "character", "characters", "letters", "left"}
    told = [t for t in tokens[:at] if t.kind in ("code", "text")]
    if not told or set(words[:at]) - known - {"", "remaining", "letter", "a", "an"}:
        return None
    container = Phrase(tuple(tokens[at + 1 :]))
    parts = tuple(Test("in", Phrase((one,)), container) for one in told)
    found: Condition = parts[0] if len(parts) == 1 else Joined("or", parts)
    return found.negated() if "no" in words[:at] else found


def _inside_comparison(tokens: Sequence[Token], at: int) -> bool:
    """Tells whether this "or" is that of "greater than or equal to"."""
    return at + 1 < len(tokens) and tokens[at + 1].lower in ("equal", "more", "fewer", "less")


def _read_joined(tokens: Sequence[Token], word: str, places: list[int]) -> Condition | None:
    edges = [-1, *places, len(tokens)]
    pieces = [tokens[edges[i] + 1 : edges[i + 1]] for i in range(len(edges) - 1)]
    if pieces[0] and pieces[0][0].lower in ("both", "either", "neither"):
        pieces[0] = pieces[0][1:]
    parts = [_read_one(piece) for piece in pieces]
    return Joined(word, tuple(parts)) if all(parts) else None  # type: ignore[arg-type]


_COPULAS = word_set(
    """
    is are was were equals exceeds matches contains has have starts begins ends exists appears
    consists includes does do doesn't isn't can match matched lacks differs differ had be
    contain start end evaluates comes occurs
    """
)  # fmt: skip


_ADVERBS = word_set("already currently also still actually now")


def _read_one(tokens: Sequence[Token]) -> Condition | None:
    at = next((i for i, t in enumerate(tokens) if t.lower in _COPULAS), None)
    if at is None:
        return _read_short(tokens)
    head = tuple(token for token in tokens[:at] if token.lower not in _ADVERBS)
    ended = [token.lower for token in head[-2:]] == ["no", "longer"]
    subject, rest = Phrase(head[:-2] if ended else head), list(tokens[at:])
    words = [token.lower for token in rest]
    negative = any(w in ("not", "no", "doesn't", "isn't", "lacks", "neither") for w in words)
    rest = [t for t in rest if t.lower not in ("not", "no", "does", "do", "doesn't", "isn't")]
    test = _read_predicate(subject, rest) if rest else None
    if test is not None and any(t.lower in ("empty", "non-empty") for t in subject.tokens):
        return None
    return test.negated() if test is not None and negative != ended else test


def _read_short(tokens: Sequence[Token]) -> Condition | None:
    """Reads a condition written as code."""
    if len(tokens) == 1 and tokens[0].kind == "code":
        try:
            return read_test(ast.parse(tokens[0].text.rstrip(":"), mode="eval").body)
        except SyntaxError:
            return None
    return None


def _read_predicate(subject: Phrase, rest: list[Token]) -> Condition | None:
    head, words = rest[0].lower, [token.lower for token in rest]
    after = [token for token in rest[1:] if token.lower not in _FILLER]
    if head in ("contains", "includes", "contain", "lacks", "has", "have"):
        return _read_contains(subject, rest[1:])
    if head in ("starts", "begins", "start") and "with" in words:
        return Test("startswith", subject, _after(rest, "with"))
    if head in ("ends", "end") and "with" in words:
        return Test("endswith", subject, _after(rest, "with"))
    if head in ("exists", "appears", "occurs", "exist", "appear", "occur"):
        container = _after(rest, "in") if "in" in words else None
        return Test("in", subject, container or Phrase(tuple(after)))
    if head in ("equals", "matches", "match"):
        return Test("==", subject, Phrase(tuple(rest[1:]))) if rest[1:] else None
    if head == "exceeds":
        return Test("<", Phrase(tuple(rest[1:])), subject)
    if head in ("differs", "differ"):
        return Test("==", subject, _after(rest, "from"), False) if "from" in words else None
    if head in ("is", "are", "was", "were", "consists", "consist", "be", "evaluates"):
        return _read_adjective(subject, rest[1:], after)
    return None


def _after(tokens: Sequence[Token], word: str) -> Phrase:
    at = next(i for i, token in enumerate(tokens) if token.lower == word)
    return Phrase(tuple(tokens[at + 1 :]))


def _read_contains(subject: Phrase, rest: Sequence[Token]) -> Condition | None:
    words = [token.lower for token in rest]
    if "elements" in words or "characters" in words or "items" in words:
        return None
    return Test("in", Phrase(tuple(rest)), subject) if rest else None


def _method_of(names: set[str]) -> str:
    """Returns the method that a predicate names: "a lowercase letter" is lowercase."""
    cased = {name for name in names if METHOD_WORDS[name] in ("islower", "isupper", "istitle")}
    others = {METHOD_WORDS[name] for name in names - cased}
    known = cased if cased and others <= {"isalpha"} else names
    return METHOD_WORDS[min(known)]


def _read_adjective(subject: Phrase, rest: Sequence[Token], after: list[Token]) -> Condition | None:
    words = [token.lower for token in rest]
    content = [token.lower for token in after if token.kind == "word"]
    codes = [token for token in after if token.kind in ("code", "text")]
    if comparison := _read_comparison(subject, rest, words):
        return comparison
    if words[:1] == ["in"] and words[-1:] == ["case"] and words[1] in METHOD_WORDS:
        return Test(METHOD_WORDS[words[1]], subject)
    if content[:1] in (["found"], ["located"]) and content[1:2] == ["at"]:
        content = content[1:]
    match content:
        case ["empty", *_] if set(content[1:]) <= {"string", "list", "dictionary", "i", "e"}:
            return Test("empty", subject)
        case ["non-empty"] | ["provided"] | ["truthy"]:
            return Test("empty", subject, None, False)
        case ["negative"] | ["negative", "number" | "integer"]:
            return Test("<", subject, _code("0"))
        case ["positive"] | ["positive", "number" | "integer"]:
            return Test("<", _code("0"), subject)
        case ["non-negative"]:
            return Test("<", subject, _code("0"), False)
        case ["zero"]:
            return Test("==", subject, _code("0"))
        case ["even"] | ["even", "number"]:
            return Test("even", subject)
        case ["odd"] | ["odd", "number"]:
            return Test("even", subject, None, False)
        case ["divisible", "by"]:
            return Test("divisible", subject, _after(rest, "by"))
        case ["vowel"] | ["vowels"]:
            return Test("in", subject, Phrase((Token("word", "vowels"),)))
    if content[:2] == ["prefix", "of"] or (content[:1] == ["prefix"] and "of" in words):
        return Test("startswith", _after(rest, "of"), subject)
    if "in" in words and set(content) <= {"present", "found", "contained", "included", "in"} | set(
        content[content.index("in") :] if "in" in content else ()
    ):
        return Test("in", subject, _after(rest, "in"))
    if content and content[0] in ("present", "found") and "in" in words:
        return Test("in", subject, _after(rest, "in"))
    if content[:2] in (["at", "beginning"], ["at", "start"]) and "of" in words:
        return Test("startswith", _after(rest, "of"), subject)
    if content[:2] == ["at", "end"] and "of" in words:
        return Test("endswith", _after(rest, "of"), subject)
    if content in (["present"], ["found"]):
        return Test("in", subject, Phrase())
    if content[:2] == ["equal", "to"] or content[:2] == ["same", "as"]:
        return Test("==", subject, Phrase(tuple(after[2:])))
    if codes and len(codes) == 1 and (not content or content == ["set", "to"]):
        return _read_is(subject, codes[0])
    names = {w for w in content if w in METHOD_WORDS}
    if names and not codes and set(content) <= names | {"of", "string", "digits", "to", "valid"}:
        return Test(_method_of(names), subject)
    if len(content) == 1 and content[0] in _TYPES and not codes:
        return Test("type", subject, _code(_TYPES[content[0]]))
    return None


def _read_is(subject: Phrase, value: Token) -> Condition:
    if value.text == "None":
        return Test("none", subject)
    if value.text in ("True", "False"):
        return Test("empty", subject, None, value.text == "False")
    if value.text in ('""', "''", "[]", "{}"):
        return Test("empty", subject)
    return Test("==", subject, Phrase((value,)))


def _code(text: str) -> Phrase:
    return Phrase((Token("code", text),))


def _read_comparison(subject: Phrase, rest: Sequence[Token], words: list[str]) -> Condition | None:
    more = next((w for w in words if w in _MORE), None)
    less = next((w for w in words if w in _LESS), None)
    if "than" in words and (more or less):
        other = [t for t in _after(rest, "than").tokens if t.lower not in ("or", "equal", "to")]
        equal = "equal" in words
        two = _numbers(Phrase(tuple(other)))
        if more in ("longer",) or less in ("shorter",):
            return None
        if more:
            return Test("<", subject, two, False) if equal else Test("<", two, subject)
        return Test("<", two, subject, False) if equal else Test("<", subject, two)
    if words[:2] in (["at", "least"], ["at", "most"]):
        other = _numbers(Phrase(tuple(rest[2:])))
        least = words[1] == "least"
        return Test("<", subject, other, False) if least else Test("<", other, subject, False)
    return None


_NUMBERS = {"zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5"}


def _numbers(phrase: Phrase) -> Phrase:
    return Phrase(tuple(
        Token("code", _NUMBERS[t.lower]) if t.lower in _NUMBERS else t for t in phrase.tokens
    ))  # fmt: skip
