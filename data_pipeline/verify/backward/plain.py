"""Brings statements of backward monologues into one plain form, in which they are read."""

import functools
import re

from data_pipeline.verify.backward.nouns import ATOM
from data_pipeline.verify.backward.wording import mark_code

_LEAD = re.compile(
    rf"^(?:for (?:the (?:output|function|result|condition)|this)[^,`]*(?:{ATOM})?[^,`]*, "
    rf"|(?:from|given|based on|after) (?:this|that|these|the deductions?|the above|processing|all"
    rf" operations)[^,`]*, |to (?:achieve|get|satisfy|obtain|produce)[^,`]*(?:{ATOM})?[^,`]*, "
    r"|we (?:can|may|could|need to) (?:also )?(?:deduce|conclude|infer|see|ensure|know) that "
    r"|for (?:example|instance),? |in this case,? |(?:so|thus|hence|therefore|then|since|also"
    r"|specifically|note that|it follows that|this means that|only),? )+"
)
_TAIL = re.compile(
    r"(?: \((?:with )?(?:value|index|key) `[^`]*`\)| (?:to avoid|in order to|for the"
    r" function to|to ensure)\b[^`]*| at all| provided in the assertion| \(index `?\d+`?\)"
    r"| as well| respectively| in total| exactly| too)+$"
)
_ADVERBS = re.compile(
    r"\b(is|are|be|must|has|have|contains?) (?:also|again|already|therefore|now) "
)


@functools.lru_cache(maxsize=1024)  # a condition is tried on many inputs
def plain_statement(piece: str) -> str:
    """Returns a statement in lower case outside code, without what leads in and out of it."""
    text = lowered(mark_code(piece)).strip(" .,:;")
    text = _TAIL.sub("", _LEAD.sub("", text)).strip(" ,")
    text = re.sub(r"\b(an empty \w+) `(?:''|\"\"|\[\]|\{\})`", r"\1", text)
    text = re.sub(r"^whatever (`\w+`) is, it ", r"\1 ", text)
    text = re.sub(rf"^({ATOM}) appearing\b", r"\1 appears", text)
    return _ADVERBS.sub(r"\1 ", text).replace("have been ", "be ").replace("have had ", "have ")


def lowered(text: str) -> str:
    """Returns the text in lower case outside code."""
    parts = text.split("`")
    parts[::2] = [part.lower() for part in parts[::2]]
    return "`".join(parts)
