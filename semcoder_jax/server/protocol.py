"""Parses requests of OpenAI's completions and chat API into engine requests.

Source: the API reference of OpenAI (completions, chat completions); extensions are those of other
servers (see sampling_fields). An unsupported parameter that would change the answer is an error.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence

from semcoder_jax.inference.detokenize import encode_prompt
from semcoder_jax.inference.engine import Request
from semcoder_jax.server import sampling_fields
from semcoder_jax.server.chat_template import ChatTemplateError, encode_chat
from semcoder_jax.server.fill_in_middle import middle_ends, middle_format, middle_prompt
from semcoder_jax.server.sampling_fields import (
    BadRequestError,
    max_tokens,
    quote,
    read_flag,
    read_number,
    sampling_params,
)

# Ignored fields, and fields supported only with these values.
WITHOUT_EFFECT = (
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "guided_decoding_backend",
    "prompt_cache_key",
)
ONLY = {
    "frequency_penalty": (0, None),
    "presence_penalty": (0, None),
    "length_penalty": (1, None),
    "min_tokens": (0, None),
    "use_beam_search": (False, None),
    "early_stopping": (False, None),
    "spaces_between_special_tokens": (True, None),
    "logit_bias": ({}, None),
    "guided_grammar": (None,),
    "tools": ([], None),
    "tool_choice": ("none", "auto", None),
    "functions": ([], None),
    "parallel_tool_calls": (True, False, None),
    "modalities": (["text"], None),
    "chat_template_kwargs": ({}, None),
    "add_generation_prompt": (True, None),
    "continue_final_message": (False, None),
}
ONLY_IN_CHAT = {"echo": (False, None), "suffix": ("", None)}
COMMON = (
    "model",
    "n",
    "stream",
    "stream_options",
    *sampling_fields.FIELDS,
    *WITHOUT_EFFECT,
    *ONLY,
)
FIELDS = {
    "completions": frozenset({*COMMON, "prompt", "best_of", "echo", "suffix"}),
    "chat": frozenset(
        {*COMMON, *ONLY_IN_CHAT, "messages", "top_logprobs", "max_completion_tokens"}
    ),
}


class UnknownModelError(BadRequestError):
    """Raised for a request to a model that is not served here."""


@dataclasses.dataclass(frozen=True)
class RequestLimits:
    """Limits of a request.

    Attributes:
      prompt_tokens: maximum number of tokens of a prompt.
      samples: maximum number of samples of a request, n times its prompts.
      context: positions of the model; cache_tokens: those of the cache.
      prompt_bytes: maximum size of a prompt's text; longer ones are refused before they are
        tokenized.
    """

    prompt_tokens: int
    samples: int
    context: int
    cache_tokens: int = sys.maxsize
    prompt_bytes: int = sys.maxsize

    def room(self, prompt_tokens: int) -> int:
        """Returns the number of tokens that fit after a prompt."""
        return min(self.context, self.cache_tokens) - prompt_tokens


def most_prompt_bytes(tokenizer, tokens: int) -> int:
    """Returns the size in UTF-8 that no prompt of this many tokens exceeds."""
    vocabulary = tokenizer.get_vocab() if tokenizer is not None else {}
    # A byte-level vocabulary writes every byte as a character, so this is no underestimate.
    longest = max((len(token.encode(errors="replace")) for token in vocabulary), default=1)
    return tokens * longest


@dataclasses.dataclass(frozen=True)
class CompletionRequest:
    """A parsed request.

    Attributes:
      kind: "completions" or "chat".
      requests: one per prompt, prompts as token ids, n samples each.
      model: name of the model that is asked.
      stream, include_usage: values of the fields in the body.
      echo: the prompts as they were given, if answers begin with them, else none.
      prompt_only: whether answers have no generated token.
    """

    kind: str
    requests: tuple[Request, ...]
    model: str
    stream: bool
    include_usage: bool
    echo: tuple[str | list[int], ...] = ()
    prompt_only: bool = False

    @property
    def n(self) -> int:
        return self.requests[0].n

    @property
    def prompt_tokens(self) -> int:
        return sum(len(request.prompt) for request in self.requests)


def parse_request(
    kind: str,
    body,
    *,
    model_name: str,
    tokenizer,
    limits: RequestLimits,
    adapters: Sequence[str] = (),
) -> CompletionRequest:
    """Parses a body into engine requests. Raises BadRequestError with one line."""
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    _check_fields(kind, body)
    model = model_name if body.get("model") is None else body["model"]
    if not isinstance(model, str) or model not in (model_name, *adapters):
        served = ", ".join(map(repr, (model_name, *adapters)))
        raise UnknownModelError(f"{quote(model)} is not served here, {served} is", "model")
    n = read_number(body, "n", int, 1)
    echo: tuple[str | list[int], ...] = ()
    ends: tuple[int, ...] = ()
    if kind == "chat":
        _check_count(n, 1, limits)
        prompts = [_chat_tokens(tokenizer, body.get("messages"), limits)]
    else:
        texts = _prompts(body.get("prompt"))
        _check_count(n, len(texts), limits)
        _check_lengths([text for text in texts if isinstance(text, list)], limits)
        prompts, ends = _completion_prompts(tokenizer, texts, body, limits)
        if read_flag(body, "echo"):
            echo = tuple(texts)
    if body.get("best_of") not in (None, n):
        raise BadRequestError("only the value of n is supported", "best_of")
    _check_lengths(prompts, limits, "messages" if kind == "chat" else "prompt")
    room = limits.room(len(prompts[0]))
    params = sampling_params(kind, body, room, ends)
    stream = read_flag(body, "stream")
    options = body.get("stream_options")
    if options is not None and not (stream and isinstance(options, dict)):
        raise BadRequestError("expected an object, and stream: true", "stream_options")
    adapter = None if model == model_name else model
    requests = tuple(
        # Equal prompts of a request get streams of their own.
        Request(tokens, params, n=n, first_sample=i * n, streaming=stream, adapter=adapter)
        for i, tokens in enumerate(prompts)
    )
    return CompletionRequest(
        kind,
        requests,
        model,
        stream,
        include_usage=bool(options and options.get("include_usage")),
        echo=echo,
        prompt_only=bool(echo) and max_tokens(kind, body, room) == 0,
    )


def _check_fields(kind: str, body: Mapping) -> None:
    for name in body:
        if name not in FIELDS[kind]:
            raise BadRequestError("unknown field", name[:100])
    for name, allowed in (ONLY | (ONLY_IN_CHAT if kind == "chat" else {})).items():
        if name in body and not any(_same(body[name], value) for value in allowed):
            raise BadRequestError(f"{quote(body[name])} is not supported", name)


def _check_count(n: int, prompts: int, limits: RequestLimits) -> None:
    most = f"this server gives at most {limits.samples} samples"
    if prompts > limits.samples:
        raise BadRequestError(f"{prompts} prompts, {most}", "prompt")
    if n < 1:
        raise BadRequestError(f"{quote(n)}, expected at least 1", "n")
    if n * prompts > limits.samples:
        many = f"{quote(n)} for each of {prompts} prompts" if prompts > 1 else quote(n)
        raise BadRequestError(f"{many}, {most}", "n")


def _check_lengths(
    prompts: Sequence[list[int]], limits: RequestLimits, name: str = "prompt"
) -> None:
    for tokens in prompts:
        if not tokens:
            raise BadRequestError("empty, expected at least one token", name)
        if len(tokens) > limits.prompt_tokens:
            raise BadRequestError(
                f"{len(tokens)} tokens, this server takes at most {limits.prompt_tokens}", name
            )


def _completion_prompts(
    tokenizer, texts: Sequence[str | list[int]], body: Mapping, limits: RequestLimits
) -> tuple[list[list[int]], tuple[int, ...]]:
    """Returns the prompts as tokens, and ids that end the rows beside the usual ones."""
    suffix = body.get("suffix") or ""
    if not isinstance(suffix, str):
        raise BadRequestError("expected a string", "suffix")
    if not suffix:
        return [_prompt_tokens(tokenizer, prompt, limits) for prompt in texts], ()
    found = middle_format(tokenizer)
    if found is None:
        message = "this model's tokenizer has no tokens for filling in the middle"
        raise BadRequestError(message, "suffix")
    if read_flag(body, "echo"):
        raise BadRequestError("not supported beside suffix", "echo")
    if not all(isinstance(text, str) for text in texts):
        raise BadRequestError("expected prompts as text beside it, not tokens", "suffix")
    _check_text(suffix, "suffix")
    for text in texts:
        _check_text(text, "prompt")
        _check_size(len(text.encode()) + len(suffix.encode()), "prompt", limits)
    prompts = [middle_prompt(tokenizer, found, text, suffix) for text in texts]
    return prompts, middle_ends(tokenizer, found)


def _prompts(prompt) -> list[str | list[int]]:
    if isinstance(prompt, str) or _is_tokens(prompt):
        return [prompt]
    if (
        isinstance(prompt, list)
        and prompt
        and (all(isinstance(text, str) for text in prompt) or all(map(_is_tokens, prompt)))
    ):
        return prompt
    raise BadRequestError("expected a string, tokens, or a list of either", "prompt")


def _is_tokens(prompt) -> bool:
    return (
        isinstance(prompt, list)
        and bool(prompt)
        and all(isinstance(token, int) and not isinstance(token, bool) for token in prompt)
    )


def _prompt_tokens(tokenizer, prompt: str | list[int], limits: RequestLimits) -> list[int]:
    if isinstance(prompt, list):
        return prompt
    if not prompt:
        raise BadRequestError("empty, expected at least one token", "prompt")
    _check_text(prompt, "prompt")
    _check_size(len(prompt.encode()), "prompt", limits)
    return encode_prompt(tokenizer, prompt)


def _chat_tokens(tokenizer, messages, limits: RequestLimits) -> list[int]:
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("expected a list of messages", "messages")
    messages = [_message(message, f"messages[{i}]") for i, message in enumerate(messages)]
    if not getattr(tokenizer, "chat_template", None):
        raise BadRequestError(
            "the tokenizer of this model has no chat template; ask /v1/completions, or serve with "
            "--chat_template"
        )
    size = sum(len(message["content"].encode()) for message in messages)
    _check_size(size, "messages", limits)
    try:
        return encode_chat(tokenizer, messages)
    except ChatTemplateError as error:
        raise BadRequestError(str(error), "messages") from error


def _message(message, where: str) -> dict:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise BadRequestError("expected an object with role and content", where)
    content = message.get("content")
    if content is None and message["role"] == "assistant":
        content = ""  # a turn that only called tools has no text
    if isinstance(content, list):
        if not all(
            isinstance(part, dict)
            and part.get("type") == "text"
            and isinstance(part.get("text"), str)
            for part in content
        ):
            raise BadRequestError("only parts of type text are supported", f"{where}.content")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise BadRequestError("expected a string or parts of type text", f"{where}.content")
    _check_text(message["role"], f"{where}.role")
    _check_text(content, f"{where}.content")
    return {"role": message["role"], "content": content}


def _check_text(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequestError("holds a lone surrogate, which is no character", name) from None


def _check_size(size: int, name: str, limits: RequestLimits) -> None:
    """Refuses a text that is too long for any tokenization, before it is tokenized."""
    if size > limits.prompt_bytes:
        raise BadRequestError(
            f"{size} bytes, more than the {limits.prompt_tokens} tokens that this server takes",
            name,
        )


def _same(value, allowed) -> bool:
    return value == allowed and isinstance(value, bool) == isinstance(allowed, bool)
