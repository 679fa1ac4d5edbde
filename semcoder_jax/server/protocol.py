"""Parses requests of OpenAI's completions and chat API into engine requests.

Source: the API reference of OpenAI (completions, chat completions). `top_k` is an extension, as in
other servers. An unsupported parameter that would change the answer is an error.
"""

import dataclasses
import secrets
import sys
from collections.abc import Mapping

from semcoder_jax.errors import UserError
from semcoder_jax.inference.detokenize import encode_prompt
from semcoder_jax.inference.engine import Request
from semcoder_jax.inference.params import MAX_TOP_LOGPROBS, SamplingError, SamplingParams
from semcoder_jax.server.chat_template import ChatTemplateError, encode_chat

COMPLETION_TOKENS = 16  # OpenAI's default for completions
MAX_STOP_STRINGS = 16
MAX_TEMPERATURE = 2.0  # OpenAI's range is 0 to 2

# Ignored fields, and fields supported only with these values.
WITHOUT_EFFECT = ("user", "metadata", "store", "service_tier", "safety_identifier")
ONLY = {
    "frequency_penalty": (0, None),
    "presence_penalty": (0, None),
    "logit_bias": ({}, None),
    "echo": (False, None),
    "suffix": ("", None),
    "tools": ([], None),
    "tool_choice": ("none", "auto", None),
    "functions": ([], None),
    "parallel_tool_calls": (True, False, None),
    "modalities": (["text"], None),
    "response_format": ({"type": "text"}, None),
}
COMMON = (
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "n",
    "stop",
    "seed",
    "stream",
    "stream_options",
    "logprobs",
    *WITHOUT_EFFECT,
    *ONLY,
)
FIELDS = {
    "completions": (*COMMON, "prompt", "best_of"),
    "chat": (*COMMON, "messages", "top_logprobs", "max_completion_tokens"),
}


class BadRequestError(UserError):
    """Raised for a request that cannot be served; `param` is the field at fault."""

    def __init__(self, message: str, param: str | None = None):
        super().__init__(f"{param}: {message}" if param else message)
        self.param = param


class UnknownModelError(BadRequestError):
    """Raised for a request to a model that is not served here."""


@dataclasses.dataclass(frozen=True)
class RequestLimits:
    """Limits of a request.

    Attributes:
      prompt_tokens: maximum number of tokens of a prompt.
      samples: maximum number of samples of a request, n times its prompts.
      context: positions of the model.
      prompt_bytes: maximum size of a prompt's text; longer ones are refused before they are
        tokenized.
    """

    prompt_tokens: int
    samples: int
    context: int
    prompt_bytes: int = sys.maxsize


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
      stream, include_usage: values of the fields in the body.
    """

    kind: str
    requests: tuple[Request, ...]
    stream: bool
    include_usage: bool

    @property
    def n(self) -> int:
        return self.requests[0].n

    @property
    def prompt_tokens(self) -> int:
        return sum(len(request.prompt) for request in self.requests)


def parse_request(
    kind: str, body, *, model_name: str, tokenizer, limits: RequestLimits
) -> CompletionRequest:
    """Parses a body into engine requests. Raises BadRequestError with one line."""
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    for name in body:
        if name not in FIELDS[kind]:
            raise BadRequestError("unknown field", name)
    for name, allowed in ONLY.items():
        if name in body and not any(_same(body[name], value) for value in allowed):
            raise BadRequestError(f"{body[name]!r} is not supported", name)
    if body.get("model") not in (None, model_name):
        raise UnknownModelError(f"{body['model']!r} is not served here, {model_name!r} is", "model")
    if kind == "chat":
        prompts = [_chat_tokens(tokenizer, body.get("messages"), limits)]
    else:
        texts = _prompts(body.get("prompt"))
        if len(texts) > limits.samples:
            raise BadRequestError(
                f"{len(texts)} prompts, this server gives at most {limits.samples} samples",
                "prompt",
            )
        prompts = [_prompt_tokens(tokenizer, prompt, limits) for prompt in texts]
    n = _number(body, "n", int, 1)
    if n < 1:
        raise BadRequestError(f"{n}, expected at least 1", "n")
    if body.get("best_of") not in (None, n):
        raise BadRequestError("only the value of n is supported", "best_of")
    if n * len(prompts) > limits.samples:
        many = f"{n} for each of {len(prompts)} prompts" if len(prompts) > 1 else f"{n}"
        raise BadRequestError(f"{many}, this server gives at most {limits.samples} samples", "n")
    what = "messages" if kind == "chat" else "prompt"
    for tokens in prompts:
        if not tokens:
            raise BadRequestError("empty, expected at least one token", what)
        if len(tokens) > limits.prompt_tokens:
            raise BadRequestError(
                f"{len(tokens)} tokens, this server takes at most {limits.prompt_tokens}", what
            )
    params = _params(kind, body, limits.context)
    stream = _flag(body, "stream")
    options = body.get("stream_options")
    if options is not None and not (stream and isinstance(options, dict)):
        raise BadRequestError("expected an object, and stream: true", "stream_options")
    requests = tuple(
        # Equal prompts of a request get streams of their own.
        Request(tokens, params, n=n, first_sample=i * n, streaming=stream)
        for i, tokens in enumerate(prompts)
    )
    return CompletionRequest(kind, requests, stream, bool(options and options.get("include_usage")))


def _params(kind: str, body: Mapping, context: int) -> SamplingParams:
    default = COMPLETION_TOKENS if kind == "completions" else context
    max_tokens = _number(body, "max_tokens", int, default)
    max_tokens = _number(body, "max_completion_tokens", int, max_tokens)
    temperature = _number(body, "temperature", float, 1.0)
    if not 0 <= temperature <= MAX_TEMPERATURE:
        raise BadRequestError(
            f"{temperature!r}, expected 0 (greedy) to {MAX_TEMPERATURE:g}", "temperature"
        )
    seed = body.get("seed")
    seed = secrets.randbits(32) if seed is None else _number(body, "seed", int, 0)
    names = {"max_new_tokens": "max_tokens"}
    try:
        return SamplingParams(
            max_new_tokens=min(max_tokens, context),
            temperature=temperature,
            top_p=_number(body, "top_p", float, 1.0),
            top_k=max(_number(body, "top_k", int, 0), 0),  # -1: all, as elsewhere
            stop=_stop(body.get("stop")),
            seed=seed,
            logprobs=_logprobs(kind, body),
        )
    except SamplingError as error:
        field, _, rest = str(error).partition("=")
        raise BadRequestError(rest, names.get(field, field)) from None


def _logprobs(kind: str, body: Mapping) -> int | None:
    if kind == "completions":
        asked = body.get("logprobs")
        # `false` and `true` come from clients that mean the chat API's flag.
        count = None if asked in (None, False) else _number(body, "logprobs", int, 0)
        name = "logprobs"
    else:
        name = "top_logprobs"
        count = _number(body, name, int, 0)
        if not _flag(body, "logprobs"):
            if count:
                raise BadRequestError("needs logprobs: true", name)
            return None
    if count is not None and not 0 <= count <= MAX_TOP_LOGPROBS:
        raise BadRequestError(f"{count}, expected 0 to {MAX_TOP_LOGPROBS}", name)
    return count


def _stop(stop) -> tuple[str, ...]:
    if stop is None:
        return ()
    strings = [stop] if isinstance(stop, str) else stop
    if not isinstance(strings, list) or not all(isinstance(text, str) for text in strings):
        raise BadRequestError("expected a string or a list of strings", "stop")
    if len(strings) > MAX_STOP_STRINGS or not all(strings):
        raise BadRequestError(f"expected at most {MAX_STOP_STRINGS} non-empty strings", "stop")
    return tuple(strings)


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


def _number(body: Mapping, name: str, kind: type, default):
    value = body.get(name)
    if value is None:
        return default
    allowed = (int, float) if kind is float else (int,)
    if not isinstance(value, allowed) or isinstance(value, bool):
        expected = "a number" if kind is float else "an integer"
        raise BadRequestError(f"{value!r}, expected {expected}", name)
    try:
        return kind(value)
    except OverflowError:
        raise BadRequestError("too large a number", name) from None


def _flag(body: Mapping, name: str) -> bool:
    value = body.get(name)
    if value not in (None, True, False):
        raise BadRequestError(f"{value!r}, expected true or false", name)
    return bool(value)


def _same(value, allowed) -> bool:
    return value == allowed and isinstance(value, bool) == isinstance(allowed, bool)
