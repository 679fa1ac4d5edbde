"""Judges words that are true of an operation only for a reason: "all", "first", "original"."""

import ast
import dataclasses
from collections.abc import Callable

from data_pipeline.verify.alignment.evidence import Evidence
from data_pipeline.verify.alignment.lexicon import stem, stems
from data_pipeline.verify.concepts import own_tags
from data_pipeline.verify.lexicon import Token
from data_pipeline.verify.phrases import is_changed, is_rebound
from data_pipeline.verify.wordlists import word_set


@dataclasses.dataclass(frozen=True)
class Quality:
    """Holds a word that must be explained, with its phrase.

    Attributes:
      word, known: the word, and its stem.
      tokens, place: the phrase, and where in it the word stands.
      role: role of the phrase, None for any.
      nodes: the operands that the phrase may speak of.
      followed: the preposition behind the phrase.
    """

    word: str
    known: str
    tokens: tuple[Token, ...]
    place: int
    role: str | None
    nodes: list[ast.AST]
    followed: str = ""

    @property
    def before(self) -> str:
        return self.tokens[self.place - 1].lower if self.place else ""

    @property
    def behind(self) -> str:
        return self.tokens[self.place + 1].lower if self.place + 1 < len(self.tokens) else ""


NEVER = -1  # of a judge: the word is wrong here, however else it may be explained


def judge_quality(quality: Quality, evidence: Evidence) -> int | None:
    """Returns 1 if the word ties the phrase to the operation, 0 if it may stand, else None."""
    judge = _JUDGES.get(quality.known)
    if judge is not None:
        found = judge(quality, evidence)
        if found is not None:
            return None if found == NEVER else found
    if quality.role in ("to", "as", "with"):  # what comes of it, not what a test showed before
        return 1 if evidence.makes(quality.known, quality.nodes) else None
    return 1 if evidence.explains(quality.known, quality.nodes) else None


def _total(quality: Quality, evidence: Evidence) -> int | None:
    return 0 if evidence.is_total else None


def _guarded(quality: Quality, evidence: Evidence) -> int | None:
    return 0 if evidence.guarded else None


def _kept(quality: Quality, evidence: Evidence) -> int | None:
    """ "The original string": a parameter that nothing has changed so far."""
    names = [node for node in quality.nodes[:1] if isinstance(node, ast.Name)]
    if names and names[0].id in evidence.code.parameters:
        return None if is_rebound(evidence.code, names[0]) else 1
    inside = [
        part for node in quality.nodes for part in ast.walk(node)
        if isinstance(part, ast.Name) and part.id in evidence.code.parameters
    ]  # fmt: skip
    if not names and inside and quality.word == "original":
        return None if any(is_rebound(evidence.code, part) for part in inside) else 0
    return None


def _changed(quality: Quality, evidence: Evidence) -> int | None:
    nodes = quality.nodes[:1]
    if quality.role not in evidence.roles and not isinstance(nodes[0], ast.Name):
        return None
    return 1 if nodes and all(is_changed(evidence.code, node) for node in nodes) else None


def _literal(quality: Quality, evidence: Evidence) -> int | None:
    """ "The letter 'e'", "the word `w`": the noun says what the code shows behind it."""
    behind = quality.tokens[quality.place + 1 : quality.place + 2]
    return 0 if behind and behind[0].kind in ("code", "text") else None


def _sequence(quality: Quality, evidence: Evidence) -> int | None:
    """ "It first checks" says no more than "it checks"; "the first item" does."""
    return 0 if quality.before not in ("the", "its", "a", "every") and not quality.place else None


def _named(*names: str) -> Callable[[Quality, Evidence], int | None]:
    """Returns a judge for a noun that a variable's name may stand for."""
    known = stems(set(names))

    def judge(quality: Quality, evidence: Evidence) -> int | None:
        if evidence.name_stems & known or evidence.explains(quality.known, evidence.whole):
            return 0
        return None

    return judge


def _accumulated(*, by_one: bool) -> Callable[[Quality, Evidence], int | None]:
    """Returns a judge for "the total `s`": a variable to which the code adds, or adds one."""
    others = _named("count", "cnt", "counter", "total") if by_one else _named("sum", "total")

    def judge(quality: Quality, evidence: Evidence) -> int | None:
        names = {node.id for node in quality.nodes[:1] if isinstance(node, ast.Name)}
        for node in ast.walk(evidence.code.tree):
            match node:
                case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
                    if name in names and (not by_one or ast.unparse(value) == "1"):
                        return 0
        return others(quality, evidence)

    return judge


def _number(quality: Quality, evidence: Evidence) -> int | None:
    """ "The number of words" is a count; "a number" is any value."""
    if quality.place + 1 < len(quality.tokens) or quality.followed != "of":
        return 0
    known = stems({"count", "length", "sum"})
    return 0 if any(evidence.explains(word, quality.nodes) for word in known) else None


def _alone(quality: Quality, evidence: Evidence) -> int | None:
    """ "Into a single string": one value, which every operation gives."""
    return 0 if quality.behind in ("string", "list", "value", "number") else None


def _several(count: int) -> Callable[[Quality, Evidence], int | None]:
    """Returns a judge for "both lists", "two parts": a tuple of as many values."""

    def judge(quality: Quality, evidence: Evidence) -> int | None:
        nodes = [*quality.nodes[:1], *getattr(evidence.action.statement, "targets", ())]
        parts = [part for node in nodes for part in ast.walk(node)]
        return 1 if any(isinstance(p, ast.Tuple) and len(p.elts) == count for p in parts) else None

    return judge


def _occurring(quality: Quality, evidence: Evidence) -> int | None:
    """ "Occurrences" are of what a method looks for."""
    known = stems({"count", "replace", "replaced", "find", "index", "occurrences", "split"})
    return 0 if any(evidence.explains(word, evidence.whole) for word in known) else None


def _placed(quality: Quality, evidence: Evidence) -> int | None:
    """ "First" and "last" are of an element or a part that the code takes, not of an end."""
    if quality.word == "first" and _sequence(quality, evidence) == 0:
        return 0
    if told := str(evidence.action.roles.get("only words", "")):
        return 1 if quality.word in told.split() else NEVER
    taken = [
        part for node in [*quality.nodes, evidence.action.node]
        for part in ([node] if node in evidence.behind else ast.walk(node))
        if isinstance(part, ast.Subscript) or (
            isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute)
            and part.func.attr in _TAKING
        )
    ]  # fmt: skip
    return 1 if any(quality.word in own_tags(part) for part in taken) else NEVER


def _following(quality: Quality, evidence: Evidence) -> int | None:
    """ "Skips to the next item" is what `continue` does; "skips the next item" is not."""
    if not isinstance(evidence.action.node, ast.Continue):
        return None
    return 0 if quality.role in ("to", "with") else NEVER


def _cased(quality: Quality, evidence: Evidence) -> int | None:
    """ "Converts the lowercase letter": it is so before, not by what the operation makes of it."""
    if quality.role != "object" or quality.behind not in _LETTERS:
        return None
    return 1 if evidence.explains_operands(quality.known, quality.nodes) else NEVER


_LETTERS = word_set("letter letters character characters word words string strings")
_TAKING = word_set("pop popitem find rfind index rindex partition rpartition insert removeprefix")
_JUDGES: dict[str, Callable[[Quality, Evidence], int | None]] = {
    **dict.fromkeys(stems(set(["all", "every", "each", "any", "everything"])), _total),
    **dict.fromkeys(stems({"only"}), _guarded),
    **dict.fromkeys(stems({"original", "unchanged"}), _kept),
    **dict.fromkeys(
        stems(set(["modified", "updated", "changed", "altered", "transformed"])), _changed
    ),
    **dict.fromkeys(stems({"first", "last"}), _placed),
    **dict.fromkeys(stems({"index", "position"}), _named("idx", "index", "pos", "ind", "indices")),
    **dict.fromkeys(stems({"total", "sum"}), _accumulated(by_one=False)),
    "count": _accumulated(by_one=True),
    **dict.fromkeys(stems({"key", "keys"}), _named("key", "k")),
    **dict.fromkeys(stems({"word", "words"}), _named("word", "w")),
    **dict.fromkeys(stems({"line", "lines"}), _named("line", "l")),
    **dict.fromkeys(stems({"pair", "pairs"}), _named("pair")),
    **{stem(word): _named(word) for word in ("length", "maximum", "minimum")},
    **dict.fromkeys(stems({"occurrence", "occurrences"}), _occurring),
    **dict.fromkeys(stems({"both", "two"}), _several(2)),
    "three": _several(3),
    **dict.fromkeys(stems({"letter", "digit", "space", "dot", "comma"}), _literal),
    "next": _following,
    **dict.fromkeys(stems({"uppercase", "lowercase"}), _cased),
    "singl": _alone,
    "number": _number,
}  # fmt: skip
