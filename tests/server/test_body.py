"""Tests what a server does with bodies that hold much: they stop nobody, errors stay short."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("starlette", reason="needs the serve extra")

from semcoder_jax.server import body
from semcoder_jax.server.body import MOST_VALUES, count_values

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet=st.sampled_from('",:[]{}\\\né'), max_size=20),
    lambda inner: (
        st.lists(inner, min_size=1)
        | st.dictionaries(st.text('",\\:', max_size=3), inner, min_size=1)
    ),
    max_leaves=20,
)


def count_leaves(value) -> int:
    """Counts leaves and keys; brackets are no values."""
    if isinstance(value, dict):
        return sum(1 + count_leaves(each) for each in value.values())
    if isinstance(value, list):
        return sum(map(count_leaves, value))
    return 1


@pytest.mark.parametrize("ascii_only", [True, False])
@given(value=VALUES, piece=st.integers(1, 7))
def test_values_are_counted_as_they_are_parsed(ascii_only, value, piece):
    content = json.dumps(value, ensure_ascii=ascii_only).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "_PIECE", piece)
        assert count_values(content) == count_leaves(value)


@pytest.mark.parametrize(
    "content",
    [
        b'{"prompt": [' + b"1," * MOST_VALUES + b"1]}",
        b'{"prompt": "a", "logit_bias": {' + b'"1":0,' * MOST_VALUES + b'"1":0}}',
        b'{"prompt": [' + b'"",' * MOST_VALUES + b'""]}',
        b'{"prompt": [' + b"[1]," * MOST_VALUES + b"[1]]}",
    ],
    ids=["ids", "entries", "texts", "lists"],
)
def test_millions_of_values_are_refused_before_they_are_parsed(post, content, monkeypatch):
    monkeypatch.setattr(body.json, "loads", None)
    answer = post(content=content)
    assert answer.status_code == 413
    assert "values: send fewer prompts at a time" in answer.text


LONG = "x" * 100_000
MANY = {str(i): i for i in range(100_000)}


@pytest.mark.parametrize(
    "changes",
    [
        {"logit_bias": MANY},
        {"model": LONG},
        {"model": MANY},
        {LONG: 1},
        {"a\n\ud800" + LONG: 1},
        {"temperature": LONG},
        {"temperature": [*MANY]},
        {"n": 10**4000},
        {"seed": 10**4000},
        {"stream": LONG},
        {"stop_token_ids": [10**4000]},
        {"tools": [MANY]},
        {"response_format": {"type": LONG}},
        {"response_format": MANY},
        {"guided_regex": "(" + LONG},
        {"prompt": [10**4000]},
        {"suffix": LONG},
    ],
    ids=lambda changes: next(iter(changes))[:12],
)
def test_an_error_quotes_a_line_at_most(post, changes):
    answer = post(**({"prompt": "a", "max_tokens": 1} | changes))
    assert answer.status_code in (400, 404)
    assert len(answer.content) < 1000
    assert "\n" not in answer.json()["error"]["message"]
    assert 0 < len(answer.json()["error"]["message"]) <= 400
