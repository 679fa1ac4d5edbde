"""Describes one request to an OpenAI-compatible server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Messages = tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class CompletionRequest:
    """Describes one request. Fields that are None take the server's default.

    Args:
      prompt: text for /completions, or messages {"role", "content"} for /chat/completions.
      extra: further fields of the body (top_k, ...).
      fallback: the same question in the other form, for servers that lack the form of `prompt`.
    """

    prompt: str | Messages
    max_new_tokens: int = 1024
    temperature: float | None = 0.0
    top_p: float | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    seed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    fallback: "CompletionRequest | None" = None

    @property
    def path(self) -> str:
        return "completions" if isinstance(self.prompt, str) else "chat/completions"

    def body(self, model: str) -> dict[str, Any]:
        """Returns the JSON body of the request."""
        body: dict[str, Any] = {"model": model, "max_tokens": self.max_new_tokens}
        if isinstance(self.prompt, str):
            body["prompt"] = self.prompt
        else:
            body["messages"] = [dict(message) for message in self.prompt]
        for name in ("temperature", "top_p", "seed"):
            if getattr(self, name) is not None:
                body[name] = getattr(self, name)
        if self.n != 1:
            body["n"] = self.n
        if self.stop:
            body["stop"] = list(self.stop)
        return body | dict(self.extra)
