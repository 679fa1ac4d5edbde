"""Tests that templates escape any text, and that a page needs no other file."""

from html.parser import HTMLParser

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.pages.rendering import render_page

TEMPLATE = """{% extends "base.html.j2" %}
{% block body %}<style>{{ inline("own.css") }}</style><p title="{{ text }}">{{ text }}</p>
<script>{{ [text] | tojson }}</script>{% endblock %}
"""
ELEMENTS = [
    "html", "head", *["meta"] * 4, "title", "style", "body", "main", "style", "p", "script"
]  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "own.css").write_text("a::before { content: '<{{x}}>'; }")
    (folder / "page.html.j2").write_text(TEMPLATE)
    return folder / "page.html.j2"


class _Page(HTMLParser):
    """What stands in the paragraph and its title; the elements of the page."""

    def __init__(self, page: str):
        super().__init__()
        self.elements, self.title, self.text, self.closed = [], "", "", False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        if tag == "p":
            self.title = dict(attrs)["title"]

    def handle_data(self, data):
        if self.lasttag == "p" and not self.closed:
            self.text += data

    def handle_endtag(self, tag):
        self.closed |= tag == "p"


@given(st.text() | st.text(alphabet="<>&'\"/!-[]p{}% "))
def test_any_text_comes_out_as_text(template, text):
    seen = _Page(render_page(template, title=text, text=text))
    assert seen.text == seen.title == text
    assert seen.elements == ELEMENTS


def test_styles_are_inside_as_they_are_written(template):
    page = render_page(template, title="", text="")
    assert "content: '<{{x}}>'" in page and "--paper" in page


def test_half_of_a_surrogate_pair_is_shown(template):
    page = render_page(template, title="", text="\ud83d!")
    assert _Page(page).text == "\\ud83d!"
    page.encode()


def test_a_value_that_is_missing_is_an_error(template):
    with pytest.raises(jinja2.UndefinedError, match="'text' is undefined"):
        render_page(template, title="")
