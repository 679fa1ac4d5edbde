"""Drives the page in headless Chromium against its real server, and asks the server directly."""

import json
import time

import httpx2
import pytest

from semcoder_jax.demo.authors import Narrator
from tests.demo.test_repairing import BUGGY, RIGHT, TESTS, answer
from tests.demo.test_telling import PROGRAM, VERDICTS, WORDS
from tests.support.demo_server import ScriptedAuthor, serve_demo_page

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
)


def js_text(text: str) -> str:
    """A string of JavaScript that may stand in a page's script."""
    return json.dumps(text).replace("</", "<\\/")


@pytest.fixture(scope="module")
def author():
    return ScriptedAuthor(WORDS, code=f"\n{RIGHT}", repair=answer(RIGHT))


@pytest.fixture(scope="module")
def page(author, sandbox):
    with serve_demo_page(author, sandbox) as page:
        yield page


@pytest.mark.browser
def test_a_monologue_is_marked_beside_the_run_and_in_the_program(page):
    told = page.run(
        f"""
        at('program').value = {js_text(PROGRAM)};
        at('program').dispatchEvent(new Event('input'));
        at('call').value = 'f(3)';
        at('run').click();
        await settle();
        const box = (id) => at(id).getBoundingClientRect();
        return json({{
          lines: [...at('told').querySelectorAll('section > div:first-child')]
            .map((line) => [line.className, line.querySelector('span').textContent]),
          truth: texts('#told .truth'),
          steps: texts('#steps .step'),
          outcome: at('outcome').textContent, verdict: at('verdict').textContent,
          gutter: [...document.querySelectorAll('#tell .gutter div')].map((line) => line.className),
          beside: box('steps').right <= box('told').left && box('steps').top < box('told').bottom,
        }});
        """
    )
    found = json.loads(told)
    lines = found["lines"]
    assert [text for _, text in lines] == ["[MONOLOGUE]", *WORDS.split("\n")]
    assert {n: style for n, (style, _) in enumerate(lines, 1) if style} == VERDICTS
    [truth] = found["truth"]
    assert "in the run: " in truth and "8" in truth
    assert found["gutter"][:4] == ["", "confirmed", "contradicted", "confirmed"]
    assert found["steps"] == [
        "L5▶ f(x = 3)", "L6    y = x + 1y = 4", "L7    z = y * 2z = 8", "L8    return z",
        "L8◀ return 8",
    ]  # fmt: skip
    assert found["outcome"] == "f(3) returns 8" and found["beside"]
    assert "f(3) == 8 is right" in found["verdict"] and "✗ 1" in found["verdict"]


@pytest.mark.browser
def test_a_users_mistakes_are_one_line_and_words_can_be_changed(page):
    told = page.run(
        f"""
        const out = [];
        const ask = async (program, call) => {{
          at('program').value = program;
          at('call').value = call;
          at('run').click();
          await settle();
          out.push([at('tell-status').textContent, at('tell-status').className]);
        }};
        await ask('def f(:', 'f(1)');
        await ask('def f(n):\\n    while True: n += 1', 'f(1)');
        await ask('def f():\\n    print("x" * 10**6)', 'f()');
        await ask({js_text(PROGRAM)}, 'f(3)');
        at('edit').click();
        at('words').value = {js_text("1. [L6] y becomes 5. " + HOSTILE)};
        at('check').click();
        await settle();
        out.push([document.title, document.images.length, texts('#told .contradicted span')[0]]);
        return json(out);
        """
    )
    syntax, endless, huge, fine, own = json.loads(told)
    assert "syntax" in syntax[0] and "does the program end?" in endless[0]
    assert "prints more than 64 KiB" in huge[0] and fine == ["", "status"]
    assert {entry[1] for entry in (syntax, endless, huge)} == {"status wrong"}
    assert all("\n" not in entry[0] for entry in (syntax, endless, huge))
    assert own == ["semcoder demo", 0, f"1. [L6] y becomes 5. {HOSTILE}"]


@pytest.mark.browser
def test_code_is_written_and_repaired_and_tested(page):
    told = page.run(
        f"""
        const out = {{}};
        at('code-tests').value = {js_text(TESTS)};
        at('write').click();
        await settle();
        out.written = at('written').value;
        out.tests = texts('#code-after li');
        document.getElementById('tab-repair').click();
        at('buggy').value = {js_text(BUGGY)};
        at('repair-tests').value = {js_text(TESTS)};
        at('mend').click();
        await settle();
        out.before = texts('#repair-before li');
        out.after = texts('#repair-after li');
        out.diff = [...at('diff').children].map((line) => [line.className, line.textContent]);
        out.marks = [...at('diagnosis').querySelectorAll('section > div:first-child')]
          .map((line) => line.className).filter(Boolean);
        at('take').click();
        out.taken = at('buggy').value;
        out.hash = location.hash;
        return json(out);
        """,
        section="code",
    )
    found = json.loads(told)
    assert found["written"] == found["taken"] == RIGHT
    assert found["tests"] == found["after"] == [f"✓{TESTS}"]
    assert found["before"] == [f"✗{TESTS}f(3) returns 5"]
    assert found["marks"][:2] == ["confirmed", "contradicted"]
    assert ["contradicted", "-     y = x + 2"] in found["diff"]
    assert ["confirmed", "+     y = x + 1"] in found["diff"]
    assert found["hash"] == "#repair"


# ---- the server


def post(page, kind, body, **headers):
    headers = {"Content-Type": "application/json"} | headers
    return httpx2.post(f"{page.address}/api/{kind}", content=body, headers=headers, timeout=60)


def test_events_come_one_a_line_and_a_mistake_is_the_last(page):
    body = json.dumps({"program": PROGRAM, "call": "f(3)"})
    events = [json.loads(line) for line in post(page, "tell", body).text.splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["run", "end"]
    body = json.dumps({"program": "def f(:", "call": "f(3)"})
    [event] = [json.loads(line) for line in post(page, "tell", body).text.splitlines()]
    assert event["event"] == "error" and "\n" not in event["message"]


@pytest.mark.parametrize(
    ("kind", "body", "headers", "status"),
    [
        ("tell", "{}", {"Host": "evil.example"}, 421),
        ("tell", "{}", {"Content-Type": "text/plain"}, 415),
        ("tell", "x" * (1 << 20) + "x", {}, 413),
        ("other", "{}", {}, 404),
    ],
)
def test_foreign_hosts_types_and_sizes_are_refused(page, kind, body, headers, status):
    assert post(page, kind, body, **headers).status_code == status


def test_the_page_loads_nothing_else(page):
    answer = httpx2.get(page.address + "/")
    assert answer.headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in answer.text and "connect-src 'self'" in answer.text
    assert "src=" not in answer.text and "href=" not in answer.text and "http:" not in answer.text


def test_a_client_that_leaves_ends_the_work(sandbox):
    author = ScriptedAuthor("word " * 5000, pause=0.05)
    body = json.dumps({"program": PROGRAM, "call": "f(3)"})
    headers = {"Content-Type": "application/json"}
    with serve_demo_page(author, sandbox) as page:
        with httpx2.stream(
            "POST", f"{page.address}/api/tell", content=body, headers=headers
        ) as answer:
            events = map(json.loads, answer.iter_lines())
            assert next(event for event in events if "word" in event.get("text", ""))
            assert author.closed == 0
        deadline = time.monotonic() + 10
        while not author.closed and time.monotonic() < deadline:
            time.sleep(0.02)
    assert author.closed == 1


def test_without_a_model_the_page_says_who_writes(sandbox):
    with serve_demo_page(Narrator(sandbox), sandbox) as page:
        text = httpx2.get(page.address + "/").text
    assert "Written by the narrator, no model" in text and "No model is loaded" in text
    assert 'id="write" type="button" disabled' in text
