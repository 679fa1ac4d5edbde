"""Tests the release's prompt as a chat template, rendered by transformers."""

import jinja2
import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from data_pipeline.pyx.chat_template import chat_template
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import make_record

INSTRUCTION = (
    "You are an exceptionally intelligent coding assistant that consistently delivers accurate "
    "and reliable <Code> according to <NL_Description>"
)


def render(*turns, opened=True):
    messages = [{"role": role, "content": content} for role, content in turns]
    texts, _ = render_jinja_template(
        [messages],
        chat_template=chat_template(),
        add_generation_prompt=opened,
        bos_token="<B>",
        eos_token="<E>",
    )
    return texts[0]


@pytest.mark.parametrize(
    "text",
    [
        "Add two numbers.",
        " ends in blanks \n\n",
        "{{ bos_token }}{% if x %}'\"\\n <b>&amp;</b>",
        "\tÜber\r\nlines\n```python\nassert f(1) == 2\n```",
        "<Code>\n\n<NL_Description>",
    ],
)
def test_one_message_is_the_prompt_of_a_record(text):
    assert render(("user", text)) == "<B>" + training_prompt(make_record("a", "nl", text, "x"))
    assert render(("user", text)) == f"<B>{INSTRUCTION}\n\n<NL_Description>\n{text}\n\n<Code>\n"


def test_several_turns_continue_the_headings():
    turns = [("user", "one"), ("assistant", " 1\n"), ("user", "two")]
    first = f"<B>{INSTRUCTION}\n\n<NL_Description>\none\n\n<Code>\n 1\n<E>"
    assert render(*turns[:2], opened=False) == first  # prompt, answer and end, as trained
    second = f"{first}\n\n<NL_Description>\ntwo"
    assert render(*turns, opened=False) == second
    assert render(*turns) == f"{second}\n\n<Code>\n"


def test_messages_before_an_answer_are_one_question():
    joined = render(("user", "Be short.\n\nAdd.\n\nNow."))
    assert render(("system", "Be short."), ("user", "Add."), ("developer", "Now.")) == joined
    later = render(("user", "a"), ("assistant", None), ("system", "b"), ("user", "c"))
    assert later.endswith("a\n\n<Code>\n<E>\n\n<NL_Description>\nb\n\nc\n\n<Code>\n")


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([("assistant", "hello"), ("user", "a")], "answers none of the user"),
        ([("user", "a"), ("assistant", "b"), ("assistant", "c")], "answers none of the user"),
        ([("user", "a"), ("assistant", "b")], "the last message is the assistant's"),
        ([("user", "a"), ("tool", "b")], "role tool: expected user, assistant or system"),
        ([("user", [{"type": "text", "text": "a"}])], "content: expected a string"),
        ([], "the last message is"),
    ],
)
def test_what_no_prompt_can_be_made_of_is_refused(turns, words):
    with pytest.raises(jinja2.TemplateError, match=words):
        render(*turns)


def test_without_marks_of_begin_and_end():
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    texts, _ = render_jinja_template([messages], chat_template=chat_template())
    assert texts[0] == f"{INSTRUCTION}\n\n<NL_Description>\na\n\n<Code>\nb"
