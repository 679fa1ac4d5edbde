"""Decides whether an action of the program does what a clause of a sentence says."""

import ast

from data_pipeline.verify.actions import Action
from data_pipeline.verify.clauses import Clause
from data_pipeline.verify.concepts import STRICT, own_tags, tags_of
from data_pipeline.verify.lexicon import Phrase, Token
from data_pipeline.verify.phrases import (
    PLAIN_WORDS,
    Code,
    atom_in,
    is_of_type,
    one_phrase,
    phrase_fits,
)
from data_pipeline.verify.returned import ORDERED, in_order, promises_another
from data_pipeline.verify.wordlists import word_set

TALK_WORDS = PLAIN_WORDS | word_set(
    """
    specific various several transformations transformation formatting manipulation sequence
    manipulations replacements determined consonant content formed made obtained produced
    created constructed called where first finally next lastly afterwards otherwise specifically
    additionally here how works breakdown what purpose designed goal following operations as
    which means effectively essentially also result therefore thus once completed done finished
    involves exiting exits completing completes leaving
    after before loop case both cases series different another example how until as such way
    order based depending simple certain
    """
)
_OPPOSITES = {
    one: two
    for pair in (
        "uppercase lowercase", "leading trailing", "ascending descending",
        "left right",
        "beginning end", "start end", "maximum minimum", "largest smallest", "prefix suffix",
        "keys values", "greater less", "highest lowest", "even odd",
    )
    for one, two in (pair.split(), pair.split()[::-1])
}  # fmt: skip

_CHANGES = word_set("increment increase decrement decrease reduce")


class Matcher:
    """Compares clauses with the actions of one program."""

    def __init__(self, code: Code):
        self.code = code

    def plainly_differs(self, clause: Clause, action: Action) -> bool:
        value = action.roles["object"]
        atoms = clause.slots["object"].atoms
        return isinstance(value, ast.AST) and not any(
            atom_in(atom, part) for atom in atoms for part in self.code.expanded(value)
        )

    def matches(self, clause: Clause, action: Action) -> bool | None:
        """Tells whether an action does what a clause says."""
        if "method" in action.roles:
            return self._uses_method(clause, action)
        if clause.verb in _CHANGES and "to" in clause.slots:
            return None  # "is incremented to `3`" speaks of a value of the run
        if not self._subject_fits(clause, action) or _overstates(clause, action):
            return None
        if _shifts(clause, action):
            return None
        slots = dict(clause.slots)
        if clause.passive:
            slots["object"] = one_phrase(clause.subject, slots.get("object"))
        if "named" in action.roles:
            return self._assigns(slots, action)
        if "while" in action.roles:
            if clause.verb == "iterate" and {"over", "in"} & set(slots):
                return None  # "each word in the text" is nothing that a `while` goes over
            return phrase_fits(self.code, one_phrase(*slots.values()), action.node) or None
        if isinstance(action.statement, ast.Return) and "return" in action.verbs:
            value, said = action.roles.get("object"), slots.get("object")
            if said and isinstance(value, ast.AST) and promises_another(self.code, said, value):
                return None
            if said and ORDERED & set(said.words) and isinstance(value, ast.AST):
                told = one_phrase(said, *(slots[role] for role in slots if role != "object"))
                if not in_order(told.atoms, value):
                    return None
        slots = _without_words(slots, str(action.roles.get("words", "")).split())
        if "over" in action.roles:
            fit = self._loops(slots, action)
            return fit if fit or clause.verb in ("iterate", "loop", "traverse") else None
        verdicts = [self._role_fits(role, phrase, action) for role, phrase in slots.items()]
        if all(verdict is True for verdict in verdicts):
            return True
        sure = any(
            verdict is True and role in action.roles and slots[role].atoms
            for role, verdict in zip(slots, verdicts, strict=True)
        )
        if sure and False in verdicts and None not in verdicts:
            return False
        return self._opposite(slots, action)

    def _in_statement(self, atom: str, action: Action) -> bool:
        return any(atom_in(atom, part) for part in _shown(action))

    def _subject_fits(self, clause: Clause, action: Action) -> bool:
        if clause.passive:
            return True
        function = self.code.function.name if self.code.function else ""
        atoms = [
            atom for atom in clause.subject.atoms
            if atom.removesuffix("()") != function and not _heads(atom, action.node)
        ]  # fmt: skip
        words = [w for w in clause.subject.words if w not in TALK_WORDS]
        return all(self._in_statement(atom, action) for atom in atoms) and all(
            any(word in tags_of(part) for part in _shown(action)) for word in words
        )

    def is_anchored(self, clause: Clause, action: Action) -> bool:
        """Tells whether a clause names the very thing that an action works on."""
        slots = dict(clause.slots)
        if clause.passive:
            slots["object"] = one_phrase(clause.subject, slots.get("object"))
        for role, phrase in slots.items():
            value = action.roles.get(role)
            if "named" in action.roles and isinstance(value, ast.AST):
                if ast.unparse(value) in phrase.atoms:
                    return True
            elif isinstance(value, ast.AST) and any(atom_in(atom, value) for atom in phrase.atoms):
                return True
        return False

    def _role_fits(self, role: str, phrase: Phrase, action: Action) -> bool | None:
        value = action.roles.get(role)
        if role == "in" and value is None:
            owners = [action.roles[r] for r in ("from", "to") if r in action.roles]
            fits = [isinstance(o, ast.AST) and phrase_fits(self.code, phrase, o) for o in owners]
            return True if True in fits else self._explained(phrase, action)
        if role == "from" and value is None and self._taken_from(phrase, action):
            return True
        if value is None or value == "":
            return self._explained(phrase, action)
        if isinstance(value, str):
            phrase = _without_target(phrase, action)
        is_target = role == "object" and isinstance(action.node, ast.Assign | ast.AugAssign)
        compound = hasattr(action.node, "body") and isinstance(action.node, ast.stmt)
        swapped = isinstance(action.node, ast.Call) and {"object", "with"} <= set(action.roles)
        # Not "tabs with spaces" for " ", tab; nor "the uppercase `c`" for what `c.upper()` makes.
        other = swapped or (role == "object" and _has_case(phrase))
        extra = None if compound or other else action.node
        fit = phrase_fits(self.code, phrase, value, extra, exact=is_target)
        simple = phrase.words and not {"of", "in", "from"} & set(phrase.words)
        plain = simple and not phrase.atoms and isinstance(value, ast.AST)
        if plain and not is_of_type(self.code, phrase.words[-1], [value]):
            return None
        if fit is not True and role in ("object", "with") and not phrase.atoms and not swapped:
            return self._explained(phrase, action) or fit
        return fit

    def _taken_from(self, phrase: Phrase, action: Action) -> bool:
        """Tells whether "each number from `mos`" is the element of a loop over `mos`."""
        taken = [
            node for node in self.code.around(action.node) if isinstance(node, ast.For)
            and any(atom_in(part.id, action.node) for part in ast.walk(node.target)
                    if isinstance(part, ast.Name))
        ]  # fmt: skip
        return bool(phrase.atoms) and any(
            phrase_fits(self.code, phrase, node.iter) is True for node in taken
        )

    def _loops(self, slots: dict[str, Phrase], action: Action) -> bool | None:
        """Judges "iterates over each `x` in `xs`"."""
        target, source = action.roles["object"], action.roles["over"]
        assert isinstance(target, ast.expr) and isinstance(source, ast.expr)
        if _ends_at_the_bound(slots.get("to"), source):
            return None
        slots = dict(slots)
        turning = one_phrase(
            slots.pop("object", None), slots.get("over") if "in" in slots else None
        )
        if "in" in slots:
            slots.pop("over", None)
        over = one_phrase(*slots.values())
        if not self._is_over(over, source):
            return None
        named = all(atom_in(atom, target) or atom_in(atom, source) for atom in turning.atoms)
        if not named:
            return None
        words = Phrase(tuple(token for token in turning.tokens if token.kind == "word"))
        if words.tokens and words.words[-1] not in STRICT:  # "each vector": any name for an element
            words = Phrase(words.tokens[:-1])
        known = ast.Tuple([target, source], ast.Load())
        behind = [
            value
            for part in ast.walk(source) if isinstance(part, ast.Name)
            for value in self.code.definitions.get(part.id, ())[:2]
        ]  # fmt: skip
        in_comprehension = isinstance(action.node, ast.comprehension)
        extra = action.node if in_comprehension else ast.Tuple(behind, ast.Load())
        fit = phrase_fits(self.code, over, source, extra)
        if phrase_fits(self.code, words, known) is not True:
            return None
        return fit

    def _is_over(self, phrase: Phrase, source: ast.expr) -> bool:
        """Tells whether "the elements of the list" may be those of what a loop runs over."""
        match source:
            case ast.Call(func=ast.Name(id="range" | "enumerate" | "reversed")):
                held: list[ast.AST] = [
                    part for part in ast.walk(source)
                    if isinstance(part, ast.Name) and part.id in self.code.types
                ]  # fmt: skip
            case _:
                held = [source]
        return all(is_of_type(self.code, word, held or [source]) for word in phrase.words)

    def _explained(self, phrase: Phrase, action: Action) -> bool | None:
        """Tells whether the action's words and code explain a phrase without a role in it."""
        shown = _shown(action)
        if all(any(atom_in(atom, part) for part in shown) for atom in phrase.atoms):
            plain = Phrase(tuple(token for token in phrase.tokens if token.kind == "word"))
            return phrase_fits(self.code, plain, _header(action))
        return None

    def _uses_method(self, clause: Clause, action: Action) -> bool | None:
        """Judges "calls `rstrip` on `text`", "uses slicing"."""
        call = action.roles["method"]
        phrase = one_phrase(clause.subject if clause.passive else None, *clause.slots.values())
        assert isinstance(call, ast.Call)
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
        named = [a for a in phrase.atoms if a.split("(")[0].strip(".").rpartition(".")[2] == name]
        if not named:
            return None
        rest = [a for a in phrase.atoms if a not in named]
        if not all(self._in_statement(atom, action) for atom in rest):
            return None
        whole = any("." in a.split("(")[0] or "(" in a.removesuffix("()") for a in named)
        called = ast.unparse(call)
        if whole and any(a.removeprefix(".") in called for a in named):
            whole = False
        if whole and not any(self._in_statement(a, action) for a in named):
            return None
        words = Phrase(tuple(t for t in phrase.tokens if t.kind == "word"))
        return phrase_fits(self.code, words, call)

    def _assigns(self, slots: dict[str, Phrase], action: Action) -> bool | None:
        """Judges "initializes an empty list `r`", "`n` is set to the length of `xs`"."""
        target, value = action.roles["named"], action.roles["to"]
        assert isinstance(target, ast.expr) and isinstance(value, ast.expr)
        whole = one_phrase(*slots.values())
        if "output" in whole.words:
            return None
        name = ast.unparse(target)
        others = [atom for atom in whole.atoms if atom != name]
        about = name in whole.atoms
        given = {role: slots[role].atoms for role in ("object", "to", "as") if role in slots}
        to_another = about and given.get("object") and (given.get("to") or given.get("as"))
        if to_another and name not in given["object"]:
            return None  # "sets `y` to `x`" of `x = y`
        if "empty" in whole.words:
            kind = _after_word(whole, "empty")
            if not _is_empty(value, kind):
                plain = isinstance(value, ast.Constant | ast.List | ast.Dict)
                return False if about and plain and not others else None
        if about and "copy" in whole.words and isinstance(value, ast.Name):
            return False
        shown = [value, *self.code.expanded(value)]
        for atom in others:
            if not any(atom_in(atom, part) for part in shown) and not atom_in(
                atom, action.statement
            ):
                return self._wrong_literal(atom, value) if about and len(others) == 1 else None
        words = Phrase(tuple(
            token for token, behind in zip(whole.tokens, (*whole.tokens[1:], None), strict=False)
            if token.kind == "word" and not _names_type(token, behind, name)
        ))  # fmt: skip
        if not about and not others and not _says_enough(words):
            return None
        return phrase_fits(self.code, words, value, action.statement)

    def _wrong_literal(self, atom: str, value: ast.expr) -> bool | None:
        try:
            said = ast.literal_eval(atom)
            real = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError):
            return None
        return None if said == real else False

    def _opposite(self, slots: dict[str, Phrase], action: Action) -> bool | None:
        """Tells that an action is denied by the opposite of a word that explains it."""
        known, everywhere = own_tags(action.node), tags_of(self.code.tree)
        if any({"which", "where", "that"} & set(phrase.words) for phrase in slots.values()):
            return None
        for phrase in slots.values():
            for word in phrase.words:
                other = _OPPOSITES.get(word)
                if other in known and word not in everywhere and word not in known:
                    atoms = [atom for phrase in slots.values() for atom in phrase.atoms]
                    if all(self._in_statement(atom, action) for atom in atoms):
                        return False
        return None


def _heads(atom: str, node: ast.AST) -> bool:
    """Tells whether "the `for` loop" is what the action belongs to."""
    kinds = {"for": ast.For | ast.comprehension, "while": ast.While}
    return atom in kinds and isinstance(node, kinds[atom])


def _names_type(token: Token, behind: Token | None, target: str) -> bool:
    """Tells whether "string" in "the length of the string `text`" says what `text` is."""
    known = token.lower in ("list", "string", "dictionary", "array", "tuple", "set")
    return known and behind is not None and behind.kind == "code" and behind.text != target


def _shifts(clause: Clause, action: Action) -> bool:
    """Tells whether "the current element" is deleted by an index, which each deletion shifts."""
    words = {word for phrase in clause.slots.values() for word in phrase.words}
    return isinstance(action.node, ast.Delete) and "current" in words and "index" not in words


def _overstates(clause: Clause, action: Action) -> bool:
    """Tells whether "all occurrences" is said of what takes one away: `remove`, `pop`, a slice."""
    words = {w for phrase in (clause.subject, *clause.slots.values()) for w in phrase.words}
    if not words & {"all", "every", "any"} or not words & {
        "occurrences",
        "instances",
        "occurrence",
    }:
        return False
    match action.node:
        case ast.Call(func=ast.Attribute(attr="remove" | "pop" | "removeprefix" | "removesuffix")):
            return True
        case ast.Subscript() | ast.Delete():
            return True
    return False


def _without_target(phrase: Phrase, action: Action) -> Phrase:
    """Drops the variable that is set: "converts it to a list `ys`" of `ys = list(x)`."""
    match action.statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if (
            value is action.node and "of" not in phrase.words
        ):
            return Phrase(tuple(token for token in phrase.tokens if token.text != name))
    return phrase


def _has_case(phrase: Phrase) -> bool:
    """Tells whether letters are said to have a case: "the uppercase letters"."""
    cased = {"uppercase", "lowercase"} & set(phrase.words)
    return bool(cased and {"letter", "letters", "character", "characters"} & set(phrase.words))


def _without_words(slots: dict[str, Phrase], known: list[str]) -> dict[str, Phrase]:
    """Drops words that the action explains by itself: what is appended stands at the end."""
    left = {
        role: Phrase(tuple(token for token in phrase.tokens if token.lower not in known))
        for role, phrase in slots.items()
    }
    return {role: phrase for role, phrase in left.items() if phrase}


def _shown(action: Action) -> list[ast.AST]:
    """Returns the action's node and its statement, of a compound one the header alone."""
    match action.statement:
        case ast.For(target=target, iter=source):
            return [action.node] if action.node is not action.statement else [target, source]
        case ast.While(test=test) | ast.If(test=test):
            return [test]
        case statement if hasattr(statement, "body"):
            return []
    return [action.node, action.statement]


def _header(action: Action) -> ast.AST:
    """Returns the loop's iterable, the value of a statement, or the node itself."""
    match action.node:
        case ast.For(iter=source) | ast.comprehension(iter=source):
            return source
    return action.node


_KINDS = {"list": ast.List, "dictionary": ast.Dict, "dict": ast.Dict, "array": ast.List}


def _is_empty(value: ast.expr, kind: str) -> bool:
    match value:
        case ast.Constant(value=""):
            return kind in ("string", "text", "")
        case ast.List(elts=[]) | ast.Call(func=ast.Name(id="list"), args=[]):
            return kind in ("list", "array", "")
        case ast.Dict(keys=[]) | ast.Call(func=ast.Name(id="dict"), args=[]):
            return kind in ("dictionary", "dict", "")
        case ast.Call(func=ast.Name(id="set"), args=[]):
            return kind in ("set", "")
    return False


def _after_word(phrase: Phrase, word: str) -> str:
    words = list(phrase.words)
    return words[words.index(word) + 1] if words.index(word) + 1 < len(words) else ""


def _says_enough(words: Phrase) -> bool:
    """Tells whether words alone are enough to know an assignment by."""
    return any(word not in PLAIN_WORDS for word in words.words)


def _ends_at_the_bound(told: Phrase | None, source: ast.expr) -> bool:
    """Tells whether "to `n`" names the bound that a range leaves out as its last number."""
    if told is None or not isinstance(source, ast.Call) or ast.unparse(source.func) != "range":
        return False
    stop = source.args[:2][-1:]
    return any(atom == ast.unparse(part) for part in stop for atom in told.atoms)
