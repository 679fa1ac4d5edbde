"""Brings wordings of one meaning to one wording, and drops purposes, which claim nothing."""

import re

from data_pipeline.verify.screening import screened

_NO_VALUE = r"(?:(?!\bif\b)[^.;,\"'`]|`\w+`)*"
_PURPOSE = re.compile(
    rf",? (?:which|that) (?:will be|is|are) (?:later )?used (?:later )?(?:to|for) {_NO_VALUE}"
    r"(?=[.;,]|$)"
    r"|(?<=`|\)) to (?:keep track of|store|hold|track|collect|accumulate|save|record|represent"
    rf"|serve|help) {_NO_VALUE}(?=[.;,]|$)"
    rf"|\(to (?:search|look|keep|store|avoid|allow|make sure) {_NO_VALUE}\)", re.I,
)  # fmt: skip
_MAKES = screened(
    r"\b(?:initiali[sz]es?|creates?|sets?|defines?|uses?|updates?|declares?|calculates?|starts?"
    r"|computes?|stores?|initiali[sz]ed|created|used|updating|starting)\b",
    re.I,
)
_ATTEMPTS = screened(r"\b(?:tries|attempts) to (?P<verb>[a-z]+)\b", re.I)
_CALLED = screened(
    r"\b(?P<verb>calculates|computes|determines|finds|gets|obtains) (?P<x>`\w+`), which is"
    r" (?=the |an? )",
    re.I,
)
_SYNONYM = re.compile(r" \((?:removes?|deletes?|returns?|pops?|adds?|i\.e\.)(?: and \w+)?\)")
_ITERATES = {"iterating": "iterates", "looping": "loops", "processing": "processes",
             "checking": "checks"}  # fmt: skip
_BEGINS = screened(rf"\b(?:begins|starts),? (?:by |to be )?(?P<verb>{'|'.join(_ITERATES)})\b", re.I)
_FURTHER = screened(r"(?<=\bit )(?:further|successfully|additionally|recursively) ", re.I)
_CURRENT = screened(r"(?<=\bthe )(?:current )?value of (?:the )?(?=`)", re.I)
_USED_FOR = re.compile(
    r",? (?:which|that) (?:will be|is|are) used (?:to|for) perform(?:ing)? (?:operations|the"
    rf" operation)s? {_NO_VALUE}(?=[.;]|$)", re.I,
)  # fmt: skip
_SHOWS = re.compile(
    r",? (?:(?:which|that) (?:represents|is|will be|corresponds to|gives|indicates)|representing"
    r"|indicating|being) (?=the |whether )", re.I,
)  # fmt: skip
_RETURNS = screened(r"\b(?:returns?|output is)\b", re.I)
_ANYHOW = screened(r",? (?:regardless of|no matter) [^`.;,]*(?=[.;,]|$)", re.I)
_IN_PLACE = screened(r"\bin[ -]place\b", re.I)
_THEN_CHANGED = re.compile(  # what "in place" means
    r",? (?:meaning|which means|so)(?: that)? (?:it (?:will )?(?:changes?|modif(?:y|ies)|affects?|"
    r"alters?) the (?:original|input) \w+|the (?:original|input) \w+ (?:will be|is|itself is) "
    r"(?:changed|modified|altered|affected))(?: (?:after|by) the (?:operations?|function))?"
    r"(?: directly)?(?=[.;]|$)", re.I,
)  # fmt: skip
_BASED = screened(
    r",? (?:based on|depending on|according to) (?:the )?(?:(?!whether|if|how|which)[a-z]+ ){0,6}?"
    r"(?:[a-z]+|`\w+`)(?=[.,;]|$)", re.I,
)  # fmt: skip
_AFTERWARDS = screened(
    r"(?:^|(?<=[.;] ))(?:after|once|upon) (?:\w+ing (?:all|each|every|the|these|those|this|that|it|"
    r"through)\b[^,`\"'.;]*|(?:all|the) [^,`\"'.;]*(?:processed|completed|finished|done)|"
    r"(?:sorting|reversing|splitting|stripping|joining|replacing|converting|processing)), ",
    re.I,
)


def simplify(text: str) -> str:
    """Returns the sentence in the wording that the grammar knows, without its purposes."""
    text = _BASED.sub("", _AFTERWARDS.sub("", text))
    if _IN_PLACE.search(text):
        text = _THEN_CHANGED.sub("", text)
    text = _SYNONYM.sub("", text)
    text = _ATTEMPTS.sub(lambda m: _third_person(m["verb"]), text)
    text = _CALLED.sub(r"\g<verb> \g<x> as ", text)
    text = _BEGINS.sub(lambda m: _ITERATES[m["verb"].lower()], text)
    text = _FURTHER.sub("", _CURRENT.sub("", text))
    text = _ANYHOW.sub("", _USED_FOR.sub("", text))
    if _RETURNS.search(text):
        text = _SHOWS.sub(", and it returns ", text)
    return _PURPOSE.sub("", text) if _MAKES.search(text) else text


def _third_person(verb: str) -> str:
    if re.search(r"(?:s|sh|ch|x|z|o)$", verb):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"
