"""Tests the report page in a real browser: content, filters, and that generations never run."""

import json
import re
from html.parser import HTMLParser

import pytest

from data_pipeline.monologue.inline import inline_monologue
from data_pipeline.verify import verify_trace
from semcoder_jax.evaluation.page import main, page
from semcoder_jax.evaluation.results import EvaluationRun, Reference, scores, write_runs
from tests.support.answers import make_answer, make_run
from tests.support.browser import chromium, run_in_page
from tests.support.random_runs import random_runs

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<!-- <script> & \u2028 ${alert(1)} ]]>"
)


@pytest.fixture(scope="module")
def run() -> EvaluationRun:
    """Twelve forward monologues, every fourth with a wrong value in its first step, every third
    wrong in its answer; then one that tries to break out, everywhere it can."""
    answers = []
    for i, trace in enumerate(random_runs(12, seed=5)):
        text = inline_monologue(trace)
        if i % 4 == 0:
            text = re.sub(r"(gives \w+=).*?\.$", r"\1'never'.", text, count=1, flags=re.M)
        wrong = i % 3 == 0
        answers.append(
            make_answer(
                f"sample_{i}",
                outcome="wrong" if wrong else "right",
                answer="0" if wrong else trace.result,
                question=trace.program,
                expected=trace.result,
                detail=f"assert {trace.call} == {trace.result}\ngives 0" if wrong else "",
                text=text,
                claims=tuple(verify_trace(trace, text)),
            )
        )
    answers.append(
        make_answer(
            HOSTILE, outcome="no answer", answer=HOSTILE, question=HOSTILE, expected=HOSTILE,
            detail=HOSTILE, text=HOSTILE, variant="direct",
        )
    )  # fmt: skip
    return make_run(
        model=HOSTILE,
        answers=tuple(answers),
        scores=scores(answers),
        notes=(HOSTILE,),
        references={"CRUXEval-O": (Reference(HOSTILE, 0.639, HOSTILE),)},
    )


@pytest.fixture(scope="module")
def path(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page([run], title="Evaluation"), encoding="utf-8")
    return path


class _Loads(HTMLParser):
    def __init__(self):
        super().__init__()
        self.elements, self.outside = [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.outside += [(tag, n, v) for n, v in attrs if n in ("src", "href", "action", "srcset")]


def test_the_page_needs_nothing_else(path):
    parser = _Loads()
    content = path.read_text()
    parser.feed(content)
    assert parser.outside == []
    assert not {"link", "img", "iframe", "object", "embed"} & set(parser.elements)
    assert parser.elements.count("script") == 3  # index, one block, the page's own
    assert (
        "@import" not in content
        and "url(" not in content
        and "http" not in content.replace("http-equiv", "")
    )
    assert "default-src 'none'" in content


@pytest.mark.browser
def test_what_a_model_wrote_is_shown_and_never_run(path):
    told = run_in_page(
        path,
        """
        document.getElementById('query').value = 'owned';
        document.getElementById('query').oninput();
        await new Promise((r) => setTimeout(r, 300));
        const detail = document.getElementById('detail');
        return JSON.stringify({
          title: document.title, images: document.images.length,
          scripts: document.querySelectorAll('#detail script, #scores script').length,
          text: detail.querySelector('.told span').textContent,
          heading: detail.querySelector('h3').textContent,
          lead: document.querySelector('.lead').textContent,
        });
        """,
    )
    found = json.loads(told.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert found["title"] == "Evaluation" and found["images"] == found["scripts"] == 0
    assert found["text"] == found["heading"] == HOSTILE
    assert HOSTILE in found["lead"]


@pytest.mark.browser
def test_a_monologue_is_coloured_by_the_verifier(run, path):
    told = run_in_page(
        path,
        """
        const out = [];
        for (const name of ['sample_0', 'sample_1']) {
          document.getElementById('query').value = name + '#';
          document.getElementById('query').oninput();
          await new Promise((r) => setTimeout(r, 300));
          out.push(Array.from(document.querySelectorAll('#detail .told > div'),
            (line) => [line.className, line.textContent]));
          out.push(document.querySelector('#detail pre').textContent);
        }
        return JSON.stringify(out).replaceAll('<', '\\\\u003c').replaceAll('&', '\\\\u0026')
          .replaceAll('>', '\\\\u003e');
        """,
    )
    wrong, detail, right, _ = json.loads(told)
    for lines, judged in ((wrong, run.answers[0]), (right, run.answers[1])):
        expected = [c.line for c in judged.claims if c.verdict == "contradicted"]
        assert len([style for style, _ in lines if style == "contradicted"]) == len(set(expected))
        assert [text[1:] if style else text for style, text in lines if style != "truth"] == (
            judged.text.split("\n")
        )
    assert any(style == "truth" and "in the run:" in text for style, text in wrong)
    assert {style for style, _ in right} == {"", "confirmed"}
    assert detail == run.answers[0].detail  # the failing test stands first


@pytest.mark.browser
def test_filters_narrow_the_list_and_count(run, path):
    told = run_in_page(
        path,
        """
        const count = () => document.getElementById('count').textContent;
        const press = (name) => [...document.querySelectorAll('.chip')]
          .find((chip) => chip.dataset.chip === name).click();
        const out = [count()];
        press('outcome/wrong'); out.push(count());
        press('outcome/no answer'); out.push(count());
        press('outcome/no answer'); press('step/wrong step'); out.push(count());
        press('outcome/wrong'); out.push(count());
        press('kind/value'); out.push(count());
        return out.join('|');
        """,
    )
    answers = run.answers
    unsound = [a for a in answers if a.first_wrong_step]
    by_value = [a for a in unsound if a.first_wrong_step.kind == "value"]
    counts = [
        len(answers),
        sum(a.outcome == "wrong" for a in answers),
        sum(a.outcome != "right" for a in answers),
        sum(a.outcome == "wrong" for a in unsound),
        len(unsound),
        len(by_value),
    ]
    assert counts[0] == 13 and counts[3] > 0 and counts[5] > 0
    shown = [f"{n} of 13 generations" for n in counts[1:]]
    assert told.split("|") == ["13 generations", *shown]


@pytest.mark.browser
def test_the_list_is_lazy_with_twenty_thousand_generations(tmp_path):
    path = tmp_path / "large.html"
    text = "[MONOLOGUE]\n" + "1. [L5] x=1 gives y=2.\n" * 20
    answers = tuple(make_answer(f"sample_{i}", text=f"{text}{i}") for i in range(20_000))
    path.write_text(page([make_run(answers=answers, scores=scores(answers))]), encoding="utf-8")
    assert path.stat().st_size < 8e6
    told = run_in_page(
        path,
        """
        const list = document.getElementById('list');
        const rows = () => list.querySelectorAll('.row').length;
        const out = [rows()];
        list.scrollTop = list.scrollHeight;
        list.dispatchEvent(new Event('scroll'));  // no frames are drawn for a dump, so none comes
        await new Promise((r) => setTimeout(r, 300));
        out.push(rows(), list.querySelector('.row:last-child b').textContent);
        list.querySelector('.row:last-child').click();
        await new Promise((r) => setTimeout(r, 300));
        out.push(document.querySelector('#detail .told > div:last-child').textContent);
        out.push(location.hash);
        return out.join('|');
        """,
    )
    first, last, name, line, link = told.split("|")
    assert 0 < int(first) < 60 and 0 < int(last) < 60
    assert (name, line, link) == ("sample_19999", "19999", "#19999")


@pytest.mark.browser
def test_the_scores_stand_in_the_page_without_its_script(path):
    document = chromium(path, "--dump-dom")
    table = document.partition('<table id="scores">')[2].partition("</table>")[0]
    for cell in ("CRUXEval-O", "monologue", "63.9 %", "95 % interval", "No wrong step"):
        assert cell in table


@pytest.mark.browser
def test_a_picture_of_it_is_no_empty_page(path, tmp_path):
    """In light and dark: many colours, and another ground."""
    image = pytest.importorskip("PIL.Image")
    grounds = []
    for scheme in (1, 0):  # light, dark
        shot = tmp_path / f"{scheme}.png"
        chromium(path, f"--screenshot={shot}", f"--blink-settings=preferredColorScheme={scheme}")
        picture = image.open(shot).convert("RGB")
        assert picture.size == (1500, 1400)
        assert len(picture.getcolors(1 << 24)) > 200
        grounds.append(sum(picture.getpixel((3, 3))))
    assert grounds[0] > 600 and grounds[1] < 150


def test_the_command_makes_the_page_from_results(run, tmp_path, capsys):
    write_runs(tmp_path / "r.json", [run])
    out = tmp_path / "out.html"
    assert main([str(tmp_path / "r.json"), f"--output={out}", "--title=A & B"]) == 0
    assert out.read_text().rstrip("\n") == page([run], title="A & B")
    assert main([str(tmp_path / "absent.json"), f"--output={out}"]) == 2
    assert main([f"--output={out}"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2 and "absent.json: No such file" in errors[0]
