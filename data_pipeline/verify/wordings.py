"""Puts masked sentences into the words that the grammar knows: "we hand back" into "returns".

Authors differ in words more than in what they say. Each row of a table is one way of saying
something, and the way in which the grammar reads it; a row never drops a word that states a fact.
"""

import re
from collections.abc import Sequence

from data_pipeline.verify.masking import ATOM_NUMBER, Atom
from data_pipeline.verify.predicates import read_predicate
from data_pipeline.verify.screening import screened

_ATOM = r"⟦\d+⟧"
_WHO = r"(?:we|it|this|the (?:code|program|function|execution|interpreter|control|flow)|execution)"
_ANSWER = (
    r"(?:(?:final|expected|correct|overall) )*(?:output|answer|return(?:ed)? value|"
    r"(?<=final )result)"
)
_TABLE: tuple[tuple[str, str], ...] = (
    # ---- short forms
    (r"\bcan't\b|\bcannot\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"\b(is|are|was|were|does|do|did|has|have|had|could|would|should)n't\b", r"\1 not"),
    (r"\b(it|that|there|he|here|what)'s (?=(?:not|now|still|also|already|equal|the|an?|in|true|"
     rf"false|empty|even|odd|greater|less|{_ATOM}))", r"\1 is "),
    (r"\bwe're\b", "we are"),
    # ---- what is returned
    (r"\b(?:(?:hand|pass|send|give)(s)?|(?:spit)(s)? out) back\b", r"return\1\2"),
    (rf"^((?:so|therefore|thus|hence|then|finally|and),? )?({_ATOM}) is (?:then |finally )?what "
     rf"(?:the function|it|we|{_ATOM}) (?:finally )?returns?$", r"\1the function returns \2"),
    (rf"\bthe {_ANSWER}(?: (?:of|from|for|to) (?:the (?:function|program|code|call)(?: call)?|"
     rf"this(?: call| function| program)?|{_ATOM}|the (?:call|function) {_ATOM}))? "
     rf"(?:is|will be|would be|should be|must be|becomes|:) (?={_ATOM}\W*$)",
     "the function returns "),
    (rf"^(?:so,? |therefore,? |thus,? )?(?:the )?(?:final )?(?:output|answer|return(?:ed)? value|"
     rf"(?:final )result): (?={_ATOM})", "the function returns "),
    (rf"^the final (?:answer|output|result) (?=is {_ATOM})", "the returned value "),
    (rf"\b(?:we|it) (?:gets?|haves?|has|obtains?|ends? up with|(?:is|are) left with) ({_ATOM}) as "
     r"(?:the|our|its) (?:final )?(?:result|output|answer|return value)\b",
     r"the function returns \1"),
    (r"\b(?:proceeds|goes on|moves on|continues|is able|is allowed) to return\b", "returns"),
    (rf"^the returned ({_ATOM}) (?:is|are|was) (?={_ATOM}\W*$)", r"the final value of \1 is "),
    (rf",? i\.e\.,? (?={_ATOM}\W*$)", ", which is "),
    (rf"\bstarting (?:from|at|with) {_ATOM},? (?=[a-z])", ""),
    # ---- how a variable changes
    (rf"({_ATOM}) (?:then |now |therefore |thus |also |again )*(?:rises|drops|jumps|climbs|falls|"
     r"moves(?: up| down| on)?|goes (?:up|down|back)|comes (?:up|down)|grows|shrinks|advances|"
     rf"resets|turns) (?:from {_ATOM} )?(?:in)?to (?={_ATOM})", r"\1 becomes "),
    # ---- what something holds
    (rf"\bthe (?:remaining|other) (?:items|elements|entries|pairs|key-value pairs|keys) (?:in|of) "
     rf"((?:the |this )?(?:dictionary|dict)(?: {_ATOM})?) are (?:now )?(?={_ATOM}\W*$)",
     r"\1 is now "),
    (rf"\bthe sorted (?:items|elements|values|numbers|keys|characters|words|pairs|tuples) are "
     rf"(?={_ATOM}\W*$)", "the sorted list is "),
    (rf",? (?:which|that) (?:is|means)(?: from)? ({_ATOM}) (?:to|through) (?={_ATOM})",
     r", from \1 to "),
    (rf"((?:the \w+ )?{_ATOM}) (?:now |then |finally )?contains ((?:only |all |the |just )?"
     rf"[a-z][a-z -]+): (?={_ATOM}\W*$)", r"\1 contains \2, and \1 is "),
    # ---- loops
    (rf"\b{_WHO} (?:then |therefore |thus |again )?(?:go(?:es)?|steps?|drops?|gets?|moves?|comes?) "
     r"(?:in|into|inside)(?: to)? (?:the|this) (while |for |inner |outer )?(?:loop|loop's body|"
     r"loop body|body of the (?:\w+ )?loop)\b", r"the \1loop is entered"),
    (rf"\b{_WHO} (?:then )?(?:keeps? (?:going|looping|on looping)|continues?(?= ?[.,;]|$)|"
     r"go(?:es)? (?:around|round|through)(?: again| once more)|"
     r"loops? (?:again|once more|back))(?: to the (?:top|start|beginning)(?: of the loop)?)?"
     r"(?=\W*$|[.,;])", "the loop continues"),
    (r"(?:^|(?<=, )|(?<=so ))(?:loop again|one more (?:time|round|turn|iteration)"
     r"(?: through the (?:body|loop))?|the loop runs again|the loop repeats)(?=\W*$|[.,;])",
     "the loop continues"),
    (rf"\b{_WHO} (?:now |then |therefore |thus )?(?:leaves?|(?:is|are) (?:out of|done with)|"
     r"breaks? (?:out of|from)|falls? out of|jumps? out of|gets? out of|quits?|stops?) "
     r"(?:the|this) (while |for |inner |outer )?loop\b", r"the \1loop ends"),
    (r"\bthe (while |for |inner |outer )?loop (?:is|has) (?:now )?(?:over|done|finished|ended)\b",
     r"the \1loop ends"),
    (r"\b(there are|there is) no ((?:more|remaining|further|other)) (\w+)(?: left)?(?=\W*$|[.,;])",
     r"no more elements"),
    # ---- comparisons
    (rf"\b((?:is|are|was|not|still) )(?:above|over|beyond) (?={_ATOM})", r"\1greater than "),
    (rf"\b((?:is|are|was|not|still) )(?:below|under|beneath) (?={_ATOM})", r"\1less than "),
    (rf"\bexceeds (?={_ATOM})", "is greater than "),
    (rf"\bdoes not exceed (?={_ATOM})", "is not greater than "),
    (r"\bstill (?:is )?not (?=(?:greater|less|larger|smaller|equal|more|higher|lower)\b)", "not "),
    (r"\bthis one is\b", "it is"),
    (rf"({_ATOM}) (is (?:not )?{_ATOM}) either\b", r"\1 \2"),
    # ---- what is done
    (r"\bnothing (?:happens|changes|is done|else happens)\b", "no changes are made"),
    (r"^(?:it|we) starts? (?:out |off )?with (?=⟦)", "initially "),
    (r"\bremoves and returns\b", "pops"),
    (r"\bstarts? (?:out|off) (?:as|with|at|being)\b", "is initially"),
    (rf"({_ATOM}) (?:starts|begins) (?:as|at|with) ({_ATOM}),? and ({_ATOM}) (?:as|at|with) "
     rf"(?={_ATOM})", r"\1 is initially \2, and \3 is initially "),
    (rf"({_ATOM}) (?:starts|begins) (?:as|at|with) ({_ATOM}),? and ({_ATOM}) (?:as|at) (?=an? )",
     r"\1 is initially \2, and \3 is initially "),
    (rf"^({_ATOM}) (?:starts|begins) (?:as|at)\b", r"\1 is initially"),
    (rf"({_ATOM}) (?:collects|gains|picks up) (?:the \w+ )?({_ATOM}) and then ({_ATOM})(?=\W*$)",
     r"\2 is appended to \1, and \3 is appended to \1"),
    (rf"({_ATOM}) (?:collects|gains|picks up) (?:the \w+ )?({_ATOM})(?=\W*$)",
     r"\2 is appended to \1"),
    (r"\b(take|get|knock|strip|throw)s (?:away|rid of|off|out)\b", "removes"),
    (r"\b(?:taking|getting|throwing) (?:away|rid of|out)\b", "removing"),
    (r"\b(?:glued|stuck|put|chained|strung|added) together\b", "joined"),
    (r"\b(?:gluing|sticking|putting|chaining|stringing) (\w+|⟦\d+⟧) together\b", r"joining \1"),
    (r"\bget tacked on(?:to)?\b|\bgets tacked on(?:to)?\b|\bis tacked on(?:to)?\b", "is appended"),
    (rf"\b{_WHO} (?:hits?|runs? into|reaches|reach) (?:the |a )?(?={_ATOM})", "we execute "),
    (rf"\b((?:is|are|was|were) (?:set|initialized|initialised|assigned|updated)) to ({_ATOM}),? "
     rf"and ({_ATOM}) to (?={_ATOM})", r"\1 to \2, and \3 is set to "),
)  # fmt: skip
_REWRITES = tuple((screened(pattern, re.I), words) for pattern, words in _TABLE)
_MARKS = re.compile(r"n't|'s |'re\b|cannot")
_FIRST_WORDS = re.compile(r"\b[a-z]{2,}")
_ARROW = re.compile(r"\s*(?:→|⇒|->|=>|-->)\s*")
_ALONE = re.compile(rf"\W*{_ATOM}\W*")
_WORDS_ALONE = re.compile(r"(?:not )?[a-z]+(?: [a-z]+)?", re.I)


def reword(text: str, atoms: Sequence[Atom]) -> str:
    """Returns a masked line in the words of the grammar."""
    if _ARROW.search(text):
        text = _cut_arrows(text, atoms)
    for pattern, words in _REWRITES:
        text = pattern.sub(words, text)
    return text


def _cut_arrows(text: str, atoms: Sequence[Atom]) -> str:
    """Cuts a chain of steps at its arrows: "x = 2 → even → append 2" into three sentences.

    An arrow between two pieces of code alone stays: it gives one the value of the other.
    """
    parts = _ARROW.split(text)
    arrows = _ARROW.findall(text)
    if all(_ALONE.fullmatch(part) for part in parts):
        return text
    if len(arrows) == 1 and _ALONE.fullmatch(parts[0]):
        return text  # "'b' → not in `text`" has a reader of its own
    whole = parts[0]
    for arrow, before, part in zip(arrows, parts, parts[1:], strict=False):
        if not part or not before:
            return text
        ends = re.search(rf"{_ATOM}$", before) and re.match(_ATOM, part)
        states = "=" in part or _equation(part, atoms) or re.search(r"[a-z]{2}", part)
        if ends and not states:
            whole += arrow + part
        elif _WORDS_ALONE.fullmatch(part) and read_predicate(part, atoms) is not None:
            whole += f", it is {part}"
        else:
            whole += f"; {part}"
    return whole


def _equation(part: str, atoms: Sequence[Atom]) -> bool:
    number = ATOM_NUMBER.match(part)
    return number is not None and "=" in atoms[int(number[1])].text
