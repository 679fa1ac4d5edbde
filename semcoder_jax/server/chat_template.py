"""Turns the messages of a chat into tokens with a chat template.

Text of a message that is spelled as a control token is text, as in every other prompt; only the
template writes control tokens.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jinja2

from data_pipeline.files import as_path
from data_pipeline.pyx.chat_template import chat_template
from data_pipeline.pyx.control_tokens import ControlTextError, control_tokens
from semcoder_jax.errors import UserError
from semcoder_jax.inference.detokenize import ordinary_encoder_of

SEMCODER = "semcoder"  # names the release's own prompt instead of a file
_SAMPLE = "What is the sum of two numbers?"
_PRIVATE = range(0x10F000, 0x10FFFE)  # characters without a meaning to anybody


class ChatTemplateError(UserError):
    """Raised for a chat template that cannot be read, or that refuses its messages; one line."""


def read_chat_template(given: str | Path) -> str:
    """Returns the template in the file `given`, or SemCoder's own for "semcoder".

    Raises ChatTemplateError if the file cannot be read, is not Jinja, or does not show the text of
    a user's message.
    """
    if str(given) == SEMCODER:
        return chat_template()
    try:
        template = as_path(given).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "not a text in UTF-8"
        raise ChatTemplateError(f"--chat_template={given}: {said}") from None
    try:
        text = _render(template, [{"role": "user", "content": _SAMPLE}])
    except jinja2.TemplateSyntaxError as error:
        message = f"line {error.lineno}: not a Jinja template ({_first_line(error)})"
        raise ChatTemplateError(f"--chat_template={given}: {message}") from None
    except Exception as error:  # a template may divide by zero
        message = f"cannot show a user's message ({_first_line(error)})"
        raise ChatTemplateError(f"--chat_template={given}: {message}") from None
    if _SAMPLE not in text:
        message = "shows no text of a user's message; expected a Jinja template over `messages`"
        raise ChatTemplateError(f"--chat_template={given}: {message}")
    return template


def _render(template: str, messages: Sequence[Mapping]) -> str:
    """Renders as transformers does, whose templates have more than Jinja's own names."""
    from transformers.utils.chat_template_utils import render_jinja_template

    texts, _ = render_jinja_template(
        [list(messages)],
        chat_template=template,
        add_generation_prompt=True,
        bos_token="",
        eos_token="",
        unk_token="",
        pad_token="",
    )
    return texts[0]


def encode_chat(tokenizer, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Returns the tokens of messages in the tokenizer's chat template, the answer opened.

    Raises ChatTemplateError if the template refuses the messages, or the tokenizer cannot spell
    them.
    """
    spellings = _control_tokens(tokenizer)
    masked, masks = _mask(messages, spellings, str(tokenizer.chat_template))
    try:
        text = tokenizer.apply_chat_template(masked, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # the template is a program of somebody's
        raise ChatTemplateError(f"the chat template refuses: {_first_line(error)}") from error
    if not masks:
        return tokenizer.encode(text, add_special_tokens=False)  # the template has written BOS
    try:
        return list(_encode_apart(tokenizer, text, spellings, masks))
    except ControlTextError as error:
        raise ChatTemplateError(str(error)) from None


def _control_tokens(tokenizer) -> dict[str, int]:
    named = tuple(tokenizer.all_special_tokens)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return dict(zip(named, tokenizer.convert_tokens_to_ids(list(named)), strict=True))
    return control_tokens(backend, named)


def _mask(
    messages: Sequence[Mapping[str, str]], spellings: Mapping[str, int], template: str
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Puts a character that nobody uses in the place of each control token spelled in a message.

    Returns the messages and the spelling by character. A mark that the template itself handles in
    an answer (it cuts off what stands before </think>) stays there.
    """
    marks = _any_of(spellings)
    used = template + "".join(text for message in messages for text in message.values())
    free = (chr(code) for code in _PRIVATE if chr(code) not in used)
    characters: dict[str, str] = {}

    def mask(text: str, handled: bool) -> str:
        def replace(found: re.Match) -> str:
            if handled and found[0] in template:
                return found[0]
            if found[0] not in characters:
                characters[found[0]] = next(free)
            return characters[found[0]]

        return marks.sub(replace, text)

    masked = [
        {name: mask(text, message["role"] == "assistant") for name, text in message.items()}
        for message in messages
    ]
    return masked, {character: spelling for spelling, character in characters.items()}


def _encode_apart(
    tokenizer, text: str, spellings: Mapping[str, int], masks: Mapping[str, str]
) -> Iterator[int]:
    """Yields the tokens of a text: the control tokens in it, then what is behind the masks."""
    encode = ordinary_encoder_of(tokenizer)
    for piece in re.split(f"({_any_of(spellings).pattern})", text):
        if piece in spellings:
            yield spellings[piece]
        elif piece:
            yield from encode([_any_of(masks).sub(lambda found: masks[found[0]], piece)])[0]


def _any_of(texts: Mapping[str, object]) -> re.Pattern:
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
