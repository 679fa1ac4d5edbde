"""Parses the fields of a request that decide how its tokens are chosen.

Sources: the API reference of OpenAI; vLLM's extra parameters of its OpenAI-compatible server, which
clients send with `extra_body`.
"""

import json
import secrets
from collections.abc import Mapping

from semcoder_jax.errors import UserError
from semcoder_jax.inference.params import (
    MAX_TOP_LOGPROBS,
    Grammar,
    SamplingError,
    SamplingParams,
)

COMPLETION_TOKENS = 16  # OpenAI's default for completions
MAX_STOP_STRINGS = 16
MAX_STOP_TOKENS = 256
MAX_TEMPERATURE = 2.0  # OpenAI's range is 0 to 2
MAX_CHOICES = 10_000

# Fields of this module, with those of Grammar below.
FIELDS = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "stop",
    "stop_token_ids",
    "ignore_eos",
    "skip_special_tokens",
    "include_stop_str_in_output",
    "seed",
    "logprobs",
    "response_format",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "structured_outputs",
)
_NAMES = {"max_new_tokens": "max_tokens"}  # of the parameters, where fields have others
_QUOTED = 60  # characters of a value that an error quotes


class BadRequestError(UserError):
    """Raised for a request that cannot be served; `param` is the field at fault."""

    def __init__(self, message: str, param: str | None = None):
        super().__init__(f"{param}: {message}" if param else message)
        self.param = param


def sampling_params(kind: str, body: Mapping, room: int, ends: tuple[int, ...]) -> SamplingParams:
    """Returns the parameters in a body of `kind` ("completions" or "chat").

    `room` is the number of tokens that fit after the prompt, `ends` are ids that end the row beside
    the asked ones. Raises BadRequestError.
    """
    temperature = read_number(body, "temperature", float, 1.0)
    if not 0 <= temperature <= MAX_TEMPERATURE:
        raise BadRequestError(
            f"{temperature!r}, expected 0 (greedy) to {MAX_TEMPERATURE:g}", "temperature"
        )
    seed = body.get("seed")
    seed = secrets.randbits(32) if seed is None else read_number(body, "seed", int, 0)
    logprobs = _logprobs(kind, body)
    echo = read_flag(body, "echo")
    try:
        return SamplingParams(
            # A prompt alone is read as for one more token, which the answer leaves out.
            max_new_tokens=max_tokens(kind, body, room) or int(echo),
            temperature=temperature,
            top_p=read_number(body, "top_p", float, 1.0),
            top_k=max(read_number(body, "top_k", int, 0), 0),  # -1: all, as elsewhere
            min_p=read_number(body, "min_p", float, 0.0),
            repetition_penalty=read_number(body, "repetition_penalty", float, 1.0),
            stop=_stop(body.get("stop")),
            stop_token_ids=_stop_token_ids(body.get("stop_token_ids")) + ends,
            ignore_eos=read_flag(body, "ignore_eos"),
            skip_special_tokens=read_flag(body, "skip_special_tokens", True),
            include_stop=read_flag(body, "include_stop_str_in_output"),
            seed=seed,
            logprobs=logprobs,
            prompt_logprobs=echo and logprobs is not None,
            grammar=_grammar(body),
        )
    except SamplingError as error:
        field, _, rest = str(error).partition("=")
        raise BadRequestError(rest, _NAMES.get(field, field)) from None


def max_tokens(kind: str, body: Mapping, room: int) -> int:
    """Returns the most tokens that an answer may have; a chat that says none takes what fits."""
    default = COMPLETION_TOKENS if kind == "completions" else max(room, 1)
    asked = read_number(body, "max_tokens", int, default)
    return read_number(body, "max_completion_tokens", int, asked)


def read_number(body: Mapping, name: str, kind: type, default):
    value = body.get(name)
    if value is None:
        return default
    allowed = (int, float) if kind is float else (int,)
    if not isinstance(value, allowed) or isinstance(value, bool):
        expected = "a number" if kind is float else "an integer"
        raise BadRequestError(f"{quote(value)}, expected {expected}", name)
    try:
        return kind(value)
    except OverflowError:
        raise BadRequestError("too large a number", name) from None


def read_flag(body: Mapping, name: str, default: bool = False) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BadRequestError(f"{quote(value)}, expected true or false", name)
    return value


def quote(value) -> str:
    """Returns the beginning of a value of a request, or its size."""
    if isinstance(value, list | dict) and value:
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = repr(value[:_QUOTED] if isinstance(value, str) else value)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"


def _logprobs(kind: str, body: Mapping) -> int | None:
    if kind == "completions":
        asked = body.get("logprobs")
        # `false` and `true` come from clients that mean the chat API's flag.
        asked_none = asked is None or asked is False
        count = None if asked_none else read_number(body, "logprobs", int, 0)
        name = "logprobs"
    else:
        name = "top_logprobs"
        count = read_number(body, name, int, 0)
        if not read_flag(body, "logprobs"):
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


def _stop_token_ids(tokens) -> tuple[int, ...]:
    if tokens is None:
        return ()
    if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
        raise BadRequestError("expected a list of token ids", "stop_token_ids")
    if len(tokens) > MAX_STOP_TOKENS:
        raise BadRequestError(f"expected at most {MAX_STOP_TOKENS} token ids", "stop_token_ids")
    return tuple(tokens)


def _grammar(body: Mapping) -> Grammar | None:
    """Returns the grammar that a request asks for, in one of the spellings in use."""
    asked = {
        name: grammar
        for name, value in _spellings(body).items()
        if (grammar := _grammar_of(name, value)) is not None
    }
    if len(asked) > 1:
        raise BadRequestError(f"expected one of {', '.join(asked)}", [*asked][1])
    return next(iter(asked.values()), None)


def _spellings(body: Mapping) -> dict[str, object]:
    """Returns value by field; those of vLLM's `structured_outputs` are fields of their own."""
    structured = body.get("structured_outputs") or {}
    if not isinstance(structured, dict) or not structured.keys() <= {"json", "regex", "choice"}:
        raise BadRequestError("expected an object with json, regex or choice", "structured_outputs")
    fields = ("response_format", "guided_json", "guided_regex", "guided_choice")
    found = {name: body[name] for name in fields if body.get(name) is not None}
    return found | {f"structured_outputs.{name}": each for name, each in structured.items()}


def _grammar_of(name: str, value) -> Grammar | None:
    if name == "response_format":
        return _response_format(value)
    if name.endswith("regex"):
        if not isinstance(value, str):
            raise BadRequestError("expected a regular expression", name)
        return Grammar("regex", value)
    if name.endswith("choice"):
        texts = isinstance(value, list) and all(isinstance(text, str) for text in value)
        if not texts or not 1 <= len(value) <= MAX_CHOICES:
            raise BadRequestError(f"expected 1 to {MAX_CHOICES} strings", name)
        return Grammar("choice", json.dumps(value))
    return _json_schema(value, name)


def _response_format(value) -> Grammar | None:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return Grammar("json_schema", '{"type": "object"}')
    if kind != "json_schema":
        expected = "expected type text, json_object or json_schema"
        raise BadRequestError(f"{quote(kind or value)}, {expected}", "response_format")
    named = value.get("json_schema")
    if not isinstance(named, dict) or "schema" not in named:
        raise BadRequestError("expected an object with a schema", "response_format.json_schema")
    return _json_schema(named["schema"], "response_format.json_schema.schema")


def _json_schema(schema, name: str) -> Grammar:
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except (ValueError, RecursionError):
            raise BadRequestError("not JSON", name) from None
    if not isinstance(schema, dict | bool):
        raise BadRequestError("expected a JSON schema", name)
    return Grammar("json_schema", json.dumps(schema))
