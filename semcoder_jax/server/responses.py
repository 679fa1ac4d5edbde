"""Builds the response bodies of OpenAI's completions and chat API, whole or as stream chunks.

Source: the API reference of OpenAI (completions, chat completions, their stream objects).
"""

import secrets
import time
from collections.abc import Sequence

from semcoder_jax.inference.detokenize import bos_of
from semcoder_jax.inference.params import Generation, TokenLogprobs
from semcoder_jax.inference.request import Update
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

    def __init__(self, asked: CompletionRequest, tokenizer):
        self._asked = asked
        self._tokenizer = tokenizer
        self._offsets: dict[int, int] = {}  # of the next token's text, by choice
        self.completion_tokens = 0
        prefix = "chatcmpl" if asked.kind == "chat" else "cmpl"
        self._frame = {
            "id": f"{prefix}-{secrets.token_hex(12)}",
            "object": OBJECTS[asked.kind, asked.stream],
            "created": int(time.time()),
            "model": asked.model,
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
            text, logprobs = "", None
            if self._asked.echo:
                text, logprobs = self._echo(index, generation.prompt_logprobs)
            if not self._asked.prompt_only:
                self.completion_tokens += len(generation.tokens)
                text += generation.text
                logprobs = _join(logprobs, self._answer_logprobs(index, generation))
            choice = {"index": index} | self._content(text) | {"logprobs": logprobs}
            choices.append(choice | {"finish_reason": self._finish_reason(generation)})
        return self._frame | {"choices": choices, "usage": self.usage()}

    def _finish_reason(self, generation: Generation) -> str:
        if self._asked.prompt_only:
            return "length"
        return FINISH_REASONS[generation.finish_reason]

    def _answer_logprobs(self, index: int, generation: Generation) -> dict | None:
        """Returns the entries of the generated tokens.

        After a prompt they have the end token's, too: clients that score prompts ask for one more
        token and leave out the last entry.
        """
        tokens, entries = generation.text_tokens, generation.logprobs
        if self._asked.echo and generation.end_logprobs is not None:
            tokens, entries = generation.tokens, (*(entries or ()), generation.end_logprobs)
        return self._logprobs(index, tokens, entries)

    def echo_chunk(self, index: int, update: Update) -> dict:
        """Returns the chunk with the prompt of a choice, which comes before its text."""
        text, logprobs = self._echo(index, update.prompt_logprobs)
        return self._chunk(index, {"text": text, "logprobs": logprobs})

    def _echo(self, index: int, entries: Sequence[TokenLogprobs] | None) -> tuple[str, dict | None]:
        """Returns the text of a choice's prompt and the entries of its tokens."""
        place = index // self._asked.n
        given, tokens = self._asked.echo[place], self._asked.requests[place].prompt
        bos = len(bos_of(self._tokenizer))
        unasked = bos and list(tokens[:1]) == bos_of(self._tokenizer)
        text = given if isinstance(given, str) else self._decode(tokens[bos if unasked else 0 :])
        logprobs = self._logprobs(index, tokens[1:], entries)
        if logprobs is not None:
            first = self._text(tokens[0])
            # The first token follows nothing. The text shows no BOS.
            shift = 0 if unasked else len(first)
            logprobs = {
                "tokens": [first, *logprobs["tokens"]],
                "token_logprobs": [None, *logprobs["token_logprobs"]],
                "top_logprobs": [None, *logprobs["top_logprobs"]],
                "text_offset": [0, *(shift + at for at in logprobs["text_offset"])],
            }
            self._offsets[index] = len(text)
        return text, logprobs

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

    def ending(self, index: int, generation: Generation) -> dict:
        content = {"delta": {}} if self._asked.kind == "chat" else {"text": "", "logprobs": None}
        return self._chunk(index, content | {"finish_reason": self._finish_reason(generation)})

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

    def _decode(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(
            tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )


def _join(first: dict | None, second: dict | None) -> dict | None:
    """Returns log-probabilities of completions, one after the other."""
    if first is None or second is None:
        return second if first is None else first
    return {name: first[name] + second[name] for name in first}
