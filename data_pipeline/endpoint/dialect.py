"""Learns from a server's refusals how it wants to be asked.

OpenAI-compatible servers differ: some have only one of /completions and /chat/completions, some
want the limit on tokens as `max_completion_tokens`, some refuse a temperature or another sampling
field. A client tries what a refusal suggests, and remembers it once that is answered.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from data_pipeline.endpoint.request import CompletionRequest

LIMIT, CHAT_LIMIT = "max_tokens", "max_completion_tokens"
_DROPPABLE = ("temperature", "top_p", "seed", "stop")  # the client can cut texts at stop strings
_BAD_REQUEST = frozenset({400, 422})
_NO_SUCH_ROUTE = frozenset({404, 405, 501})
_UNSUPPORTED_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
# A value out of its range is the caller's mistake and must not match.
_UNSUPPORTED = re.compile(
    r"\bunsupported|\bnot (be )?(supported|allowed|permitted|accepted|available)|\bnot support\b"
    r"|unrecogni[sz]ed|\bunknown\b|\bunexpected\b|deprecated|only the default|\bboth\b",
    re.I,
)
_OTHER_FORM = re.compile(
    r"\bchat\b|/completions|\bcompletions (endpoint|api)|\bmissing\b.*\b(messages|prompt)\b"
    r"|\b(messages|prompt)\b.*\b(required|missing)\b",
    re.I,
)
_TOO_LONG = re.compile(r"context|too (long|large|many)|maximum", re.I)


@dataclass(frozen=True)
class Refusal:
    """Holds a refused request's status and, if the server names them, message, code and field."""

    status: int
    message: str = ""
    code: str = ""
    param: str = ""


@dataclass(frozen=True)
class Dialect:
    """Describes how a server wants to be asked.

    Attributes:
      uses_fallback: whether to send the requests' fallbacks, because the first form is refused.
      is_settled: whether a request was answered, so that the form is the right one.
      limit: name of the limit on tokens in chats.
      dropped: fields to leave out.
    """

    uses_fallback: bool = False
    is_settled: bool = False
    limit: str = LIMIT
    dropped: frozenset[str] = frozenset()

    def form(self, request: CompletionRequest) -> CompletionRequest:
        """Returns the request to send for `request`: itself or its fallback."""
        return request.fallback if self.uses_fallback and request.fallback else request

    def body(self, form: CompletionRequest, model: str) -> dict[str, Any]:
        """Returns the JSON body of a request in this dialect."""
        body = {k: v for k, v in form.body(model).items() if k not in self.dropped}
        if self._is_renamed(form):
            body = {(CHAT_LIMIT if k == LIMIT else k): v for k, v in body.items()}
        return body

    def texts(self, form: CompletionRequest, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Cuts texts at the stop strings that the server was not sent."""
        return tuple(cut(text, form.stop) for text in texts) if "stop" in self.dropped else texts

    def after(self, request: CompletionRequest, refusal: Refusal) -> "Dialect | None":
        """Returns the dialect to try after a refusal of `request`; None if none may help."""
        form = self.form(request)
        field = _refused_field(refusal, self.body(form, ""))
        if field == LIMIT:
            can_rename = form.path != "completions" and not self._is_renamed(form)
            return replace(self, limit=CHAT_LIMIT) if can_rename else None
        if field is not None:
            return replace(self, dropped=self.dropped | {field})
        if request.fallback is None or self.is_settled or self.uses_fallback:
            return None
        return replace(self, uses_fallback=True) if _wants_other_form(refusal) else None

    def joined(self, other: "Dialect") -> "Dialect":
        """Returns the dialect that knows what both know; threads learn beside each other."""
        return Dialect(
            self.uses_fallback or other.uses_fallback,
            self.is_settled or other.is_settled,
            min(self.limit, other.limit),  # CHAT_LIMIT, if one has it
            self.dropped | other.dropped,
        )

    def differences(self, before: "Dialect") -> list[str]:
        """Describes what was learnt since `before`, for people."""
        learnt = [f"without {name}, which it refuses" for name in self.dropped - before.dropped]
        if self.limit != before.limit:
            learnt.append(f"with {CHAT_LIMIT} in place of {LIMIT}")
        if self.uses_fallback != before.uses_fallback:
            learnt.append("in the other of chat and completions, the only one that it has")
        return sorted(learnt)

    def _is_renamed(self, form: CompletionRequest) -> bool:
        return self.limit == CHAT_LIMIT and form.path != "completions"


def cut(text: str, stop: tuple[str, ...]) -> str:
    """Returns `text` up to the first of the stop strings."""
    places = [place for place in map(text.find, stop) if place >= 0]
    return text[: min(places)] if places else text


def _refused_field(refusal: Refusal, body: Mapping[str, Any]) -> str | None:
    """Returns the field of `body` that the server does not accept, or None."""
    if refusal.status not in _BAD_REQUEST:
        return None
    names = [name for name in (LIMIT, *_DROPPABLE) if name in body]
    said = {name: re.search(rf"(?<!\w){name}(?!\w)", refusal.message) for name in names}
    named = [name for name in names if refusal.param == name] or sorted(
        (name for name in names if said[name]), key=lambda name: said[name].start()
    )
    if "both" in refusal.message.lower():  # "temperature and top_p cannot both be specified"
        named.reverse()
    is_unsupported = refusal.code in _UNSUPPORTED_CODES or _UNSUPPORTED.search(refusal.message)
    # Other limits on stop strings, such as their number, do not change the answer either.
    return next((name for name in named if is_unsupported or name == "stop"), None)


def _wants_other_form(refusal: Refusal) -> bool:
    if refusal.status in _NO_SUCH_ROUTE:
        return True
    is_bad = refusal.status in _BAD_REQUEST and not _TOO_LONG.search(refusal.message)
    return is_bad and _OTHER_FORM.search(refusal.message) is not None
