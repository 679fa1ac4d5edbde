"""Builds the response bodies of OpenAI's completions and chat API, whole or as stream chunks.

Source: the API reference of OpenAI (completions, chat completions, their stream objects).
"""

import secrets
import time
from collections.abc import Sequence

from semcoder_jax.inference.params import Generation, TokenLogprobs
from semcoder_jax.server.protocol import CompletionRequest

OBJECTS = {
    ("completions", False): "text_completion",
    ("completions", True): "text_completion",
    ("chat", False): "chat.completion",
    ("chat", True): "chat.completion.chunk",
}
FINISH_REASONS = {"stop": "stop", "length": "length", "cancelled": "stop"}


class ResponseBuilder:
    """Builds the bodies of one response, which share an id and a time."""

    def __init__(self, asked: CompletionRequest, model_name: str, tokenizer):
        self._asked = asked
        self._tokenizer = tokenizer
        self._offsets: dict[int, int] = {}  # of the next token's text, by choice
        self.completion_tokens = 0
        prefix = "chatcmpl" if asked.kind == "chat" else "cmpl"
        self._frame = {
            "id": f"{prefix}-{secrets.token_hex(12)}",
            "object": OBJECTS[asked.kind, asked.stream],
            "created": int(time.time()),
            "model": model_name,
        }

    def usage(self) -> dict:
        prompt = self._asked.prompt_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": self.completion_tokens,
            "total_tokens": prompt + self.completion_tokens,
        }

    def whole(self, generations: dict[int, Generation]) -> dict:
        """Returns the body of a response without streaming; generations by index of the choice."""
        choices = []
        for index, generation in sorted(generations.items()):
            self.completion_tokens += len(generation.tokens)
            choice = {"index": index} | self._content(generation.text)
            choice["logprobs"] = self._logprobs(index, generation.tokens, generation.logprobs)
            choice["finish_reason"] = FINISH_REASONS[generation.finish_reason]
            choices.append(choice)
        return self._frame | {"choices": choices, "usage": self.usage()}

    def opening(self) -> list[dict]:
        """Returns the chunks with the role of each choice (chat only)."""
        if self._asked.kind != "chat":
            return []
        return [
            self._chunk(i, {"delta": {"role": "assistant", "content": ""}})
            for i in range(self._asked.n)
        ]

    def portion(self, index: int, text: str, tokens: Sequence[int], logprobs) -> dict:
        """Returns a chunk with new text of a choice."""
        self.completion_tokens += len(tokens)
        content = {"delta": {"content": text}} if self._asked.kind == "chat" else {"text": text}
        return self._chunk(index, content | {"logprobs": self._logprobs(index, tokens, logprobs)})

    def ending(self, index: int, finish_reason: str) -> dict:
        content = {"delta": {}} if self._asked.kind == "chat" else {"text": "", "logprobs": None}
        return self._chunk(index, content | {"finish_reason": FINISH_REASONS[finish_reason]})

    def closing(self) -> dict | None:
        """Returns the chunk with the token counts, if the request includes usage."""
        if not self._asked.include_usage:
            return None
        return self._frame | {"choices": [], "usage": self.usage()}

    def _chunk(self, index: int, content: dict) -> dict:
        choice = {"index": index, "finish_reason": None} | content
        return self._frame | {"choices": [choice]}

    def _content(self, text: str) -> dict:
        if self._asked.kind == "chat":
            return {"message": {"role": "assistant", "content": text}}
        return {"text": text}

    def _logprobs(
        self, index: int, tokens: Sequence[int], logprobs: Sequence[TokenLogprobs] | None
    ) -> dict | None:
        if logprobs is None:
            return None
        texts = [self._text(token) for token in tokens[: len(logprobs)]]  # no end token
        if self._asked.kind == "chat":
            content = []
            for text, entry in zip(texts, logprobs, strict=True):
                top = [self._chat_token(self._text(token), value) for token, value in entry.top]
                content.append(self._chat_token(text, entry.chosen) | {"top_logprobs": top})
            return {"content": content}
        offsets, at = [], self._offsets.get(index, 0)
        for text in texts:
            offsets.append(at)
            at += len(text)
        self._offsets[index] = at
        return {
            "tokens": texts,
            "token_logprobs": [entry.chosen for entry in logprobs],
            "top_logprobs": [
                # As OpenAI has it, best first; of two tokens with one text the better one.
                {self._text(token): value for token, value in reversed(entry.top)}
                for entry in logprobs
            ],
            "text_offset": offsets,
        }

    def _chat_token(self, text: str, logprob: float) -> dict:
        whole = "\N{REPLACEMENT CHARACTER}" not in text  # else part of a character
        return {
            "token": text,
            "logprob": logprob,
            "bytes": list(text.encode()) if whole else None,
        }

    def _text(self, token: int) -> str:
        return self._tokenizer.decode([token])
