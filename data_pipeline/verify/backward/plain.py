"""Brings statements of backward monologues into one plain form, in which they are read."""

import functools
import re

from data_pipeline.verify.backward.nouns import ATOM
from data_pipeline.verify.backward.wording import mark_code
from data_pipeline.verify.screening import screened

_LEAD = re.compile(
    rf"^(?:for (?:the (?:output|function|result|condition)|this)[^,`]*(?:{ATOM})?[^,`]*, "
    rf"|(?:from|given|based on|after) (?:this|that|these|the deductions?|the above|processing|all"
    rf" operations)[^,`]*, |to (?:achieve|get|satisfy|obtain|produce)[^,`]*(?:{ATOM})?[^,`]*, "
    r"|we (?:can|may|could|need to) (?:also )?(?:deduce|conclude|infer|see|ensure|know) that "
    r"|for (?:example|instance),? |in this case,? |(?:so|thus|hence|therefore|then|since|also"
    r"|specifically|note that|it follows that|this means that|only),? )+"
)
_TAIL = re.compile(
    r"(?: (?:at the time of|before) (?:the |any )?[a-z ]*(?:call|processing|execution|operations?)"
    r"| \((?:with )?(?:value|index|key) `[^`]*`\)| (?:to avoid|in order to|for the"
    r" function to|to ensure)\b[^`]*| at all| provided in the assertion| \(index `?\d+`?\)"
    r"| as well| respectively| in total| exactly| too)+$"
)
_ELIDED = re.compile(  # "the first item must be 1 and the second must be 2"
    r"(\bthe (?:first|second|last) )([a-z]+)(.*\b(?:must be|is|should be) .* and the)( second|"
    r" third"
    r"| last)( (?:must be|is|should be))\b"
)
_ADVERBS = re.compile(
    r"\b(is|are|be|must|has|have|contains?) (?:also|again|already|therefore|now) "
)


_GLOSS = screened(
    r" ?\((?:(?:i\.e\.|e\.g\.|like|such as|for example|meaning|including|which|a|an|where|to be|to"
    r" remain|case-insensitive|index|inclusive)\b(?:[^()`]|`[^`]*`)*"
    r"|(?!not\b)[a-z-]+(?:,? (?!(?:not|only|if|no)\b)[a-z-]+){0,5}(?:, etc\.?)?)\)"
)


def without_glosses(marked: str) -> str:
    """Returns a statement without what only explains a word: "(i.e., …)", "(letters, spaces)"."""
    return _GLOSS.sub("", marked)


@functools.lru_cache(maxsize=1024)  # a condition is tried on many inputs
def plain_statement(piece: str) -> str:
    """Returns a statement in lower case outside code, without what leads in and out of it."""
    text = without_glosses(lowered(mark_code(piece))).strip(" .,:;")
    text = _TAIL.sub("", _LEAD.sub("", text)).strip(" ,")
    text = re.sub(r"\b(an empty \w+) `(?:''|\"\"|\[\]|\{\})`", r"\1", text)
    text = re.sub(r"^whatever (`\w+`) is, it ", r"\1 ", text)
    text = re.sub(rf"^({ATOM}) appearing\b", r"\1 appears", text)
    text = _ELIDED.sub(r"\1\2\3\4 \2\5", text)
    return _ADVERBS.sub(r"\1 ", text).replace("have been ", "be ").replace("have had ", "have ")


def lowered(text: str) -> str:
    """Returns the text in lower case outside code."""
    parts = text.split("`")
    parts[::2] = [part.lower() for part in parts[::2]]
    return "`".join(parts)
