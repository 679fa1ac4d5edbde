"""Tests chats in SemCoder's own prompt and in templates of a file."""

import pytest

from data_pipeline.pyx.chat_template import chat_template
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import make_record
from data_pipeline.tokens.packing import encode
from data_pipeline.toy.vocabulary import train_tokenizer
from semcoder_jax import hf
from semcoder_jax.commands.serve import main
from semcoder_jax.server.chat_template import (
    ChatTemplateError,
    encode_chat,
    read_chat_template,
)
from semcoder_jax.server.protocol import BadRequestError, RequestLimits, parse_request

PLAIN = "{% for m in messages %}{{ m.content }}{% generation %}{% endgeneration %}{% endfor %}"


def user(text):
    return [{"role": "user", "content": text}]


def prompt_tokens(text, tokenizer):
    """Returns what training reads of a record before its answer."""
    record = make_record("a", "nl", text, "x")
    example = encode(training_prompt(record), record.response, tokenizer)
    return [
        int(t) for t, learned in zip(example.tokens, example.loss_mask, strict=True) if not learned
    ]


@pytest.fixture(scope="module")
def deepseek(shared_data):
    tokenizer = hf.read_tokenizer(shared_data / "tokenizer")
    tokenizer.chat_template = chat_template()
    return tokenizer


@pytest.mark.parametrize(
    "text",
    [
        "Add two numbers.",
        "Ünïcode 😀\n\n  x = 1\r\n",
        "Split at <|EOT|>.",
        "<｜begin▁of▁sentence｜><｜end▁of▁sentence｜>",
        "\U0010f000<|EOT|>\U0010f001 <|EOT|><pad>",
        "<Code><NL_Description>",
    ],
)
def test_a_chat_is_read_as_training_reads_a_record(deepseek, text):
    assert encode_chat(deepseek, user(text)) == prompt_tokens(text, deepseek)


def test_transformers_makes_the_same_tokens(deepseek):
    turns = [*user("Add."), {"role": "assistant", "content": "a + b"}, *user("Now three.")]
    theirs = deepseek.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    found = encode_chat(deepseek, turns)
    assert found == theirs
    assert found.count(deepseek.bos_token_id) == found.count(deepseek.eos_token_id) == 1


def test_control_tokens_of_any_message_and_role_are_text(deepseek):
    """Only the template's own begin and end are tokens, however often a message spells them."""
    marks = "<|User|>" + deepseek.eos_token + deepseek.bos_token
    turns = [
        {"role": "system", "content": marks},
        *user(marks),
        {"role": "assistant", "content": marks},
        *user("b"),
    ]
    found = encode_chat(deepseek, turns)
    assert found.count(deepseek.bos_token_id) == found.count(deepseek.eos_token_id) == 1
    assert deepseek.convert_tokens_to_ids("<|User|>") not in found
    assert deepseek.decode(found).count(marks) == 3
    deepseek_chatml = "{% for m in messages %}{{ m.role }}: {{ m.content }}<|EOT|>{% endfor %}"
    deepseek.chat_template = deepseek_chatml
    try:
        found = encode_chat(deepseek, [{"role": "user<|EOT|>", "content": "a<|EOT|>"}])
    finally:
        deepseek.chat_template = chat_template()
    assert found.count(deepseek.convert_tokens_to_ids("<|EOT|>")) == 1
    assert deepseek.decode(found) == "user<|EOT|>: a<|EOT|><|EOT|>"


def test_a_template_sees_the_marks_that_it_handles_in_an_answer():
    """A reasoning model's template cuts off what stands before its mark."""
    tokenizer = train_tokenizer(["a b c d"], 20)
    tokenizer.add_tokens(["</think>"])
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}"
    )
    answer = {"role": "assistant", "content": "a b</think>c d"}
    assert encode_chat(tokenizer, [answer]) == tokenizer.encode("c d", add_special_tokens=False)


def test_a_request_by_chat_is_the_request_by_prompt():
    """The same tokens reach the engine from both paths of the API."""
    tokenizer = train_tokenizer(["Add x to y"], 20)
    tokenizer.chat_template = chat_template()
    limits = RequestLimits(prompt_tokens=500, samples=1, context=512)

    def tokens(kind, **body):
        asked = parse_request(kind, body, model_name="m", tokenizer=tokenizer, limits=limits)
        return list(asked.requests[0].prompt)

    for text in ("Add x", f"Add {tokenizer.eos_token} to {tokenizer.bos_token}"):
        prompt = training_prompt(make_record("a", "nl", text, "x"))
        found = tokens("chat", messages=user(text))
        assert found == tokens("completions", prompt=prompt)
        assert found.count(tokenizer.bos_token_id) == 1 and tokenizer.eos_token_id not in found
    with pytest.raises(BadRequestError, match="messages: the chat template refuses: role tool"):
        tokens("chat", messages=[{"role": "tool", "content": "a"}])


def test_a_template_of_a_file(tmp_path):
    path = tmp_path / "semcoder"
    path.write_text(PLAIN)
    assert read_chat_template(path) == PLAIN
    path.write_text(chat_template())
    assert read_chat_template(str(path)) == chat_template()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\n{% for m in messages %}", "line 2: not a Jinja template"),
        (b"{{ messages | no_filter }}", "line 1: not a Jinja template"),
        (b"{{ messages[0].content", "line 1: not a Jinja template"),
        (b"{{ nothing() }}", "cannot show a user's message ('nothing' is undefined)"),
        (b"{{ 1 / 0 }}", "cannot show a user's message (division by zero)"),
        (b"{{ raise_exception('no users') }}", "cannot show a user's message (no users)"),
        (b"", "shows no text of a user's message"),
        (b'{"model_type": "llama"}', "shows no text of a user's message"),
        (b"\xff\xfe", "not a text in UTF-8"),
    ],
)
def test_a_mistaken_template_is_one_line_before_any_work(tmp_path, content, words, capsys):
    pytest.importorskip("uvicorn", reason="needs the serve extra")
    path = tmp_path / "template.jinja"
    path.write_bytes(content)
    assert main(["--checkpoint=/nowhere", "--port=0", f"--chat_template={path}"]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"error: --chat_template={path}: ") and "\n" not in error
    assert words in error


def test_a_missing_template_is_one_line(tmp_path):
    for path, words in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ChatTemplateError, match=words):
            read_chat_template(path)
