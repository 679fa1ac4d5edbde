"""Tests in a browser that every page fits its window, with long paths and wide tables."""

import json

import pytest

from data_pipeline.builder.page import page as build_page
from data_pipeline.builder.tally import Tally
from semcoder_jax.evaluation.page import page as evaluation_page
from semcoder_jax.evaluation.results import Reference, scores
from tests.builder.test_build_records import report_of
from tests.support.answers import BAD, GOOD, make_answer, make_run
from tests.support.browser import run_in_page

PATH = "/home/somebody/experiments/" + "a_rather_long_name_of_a_run/" * 6 + "result.json"
PROGRAM = "def f(x):\n" + "".join(f"    x = x + {n}\n" for n in range(30)) + "    return x"
WIDTHS = (1265, 500)  # a laptop's window; the narrowest that Chromium opens, a phone's


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    asked = [("compat", n) for n in range(7)] + [("fixed", n) for n in range(6)]
    answers = tuple(
        make_answer(
            f"{PATH}_{n}", mode=mode, outcome="right" if n % 3 else "wrong", question=PROGRAM,
            text="[L6] x becomes 1.\n" * 40, claims=GOOD if n % 2 else BAD, detail=PATH,
        )
        for mode, n in asked
    )  # fmt: skip
    runs = [
        make_run(
            name=PATH, model=f"{PATH}/{number}", answers=answers, scores=scores(answers, (1, 10)),
            references={"CRUXEval-O": (Reference("SemCoder-S, as published", 0.639, PATH),)},
        )
        for number in range(2)
    ]  # fmt: skip
    tally = Tally()
    tally.count("functions", "found", 4)
    tally.count("runs refused", f"raised {PATH}", 7)
    row = {"id": "nl_1", "nl": PROGRAM, "response": PATH, "origin": f"{PATH}:1"}
    tally.record("nl", "train", 12, "00", row)
    paths = {"evaluation": folder / "evaluation.html", "build": folder / "build.html"}
    paths["evaluation"].write_text(evaluation_page(runs, title=f"Evaluation of {PATH}"))
    built = build_page(report_of(tally)).replace("PyX from", f"PyX from {PATH}")
    # The page allows no script; ours measures it.
    paths["build"].write_text(built.replace("script-src 'none'", "script-src 'unsafe-inline'"))
    return paths


def measure(path, width: int) -> dict:
    return json.loads(
        run_in_page(
            path,
            """
            const root = document.documentElement;
            const box = (node) => node?.getBoundingClientRect();
            const [words, program] = document.querySelectorAll('#detail .pair.wide > section');
            const count = () => document.getElementById('count')?.textContent;
            const counts = [count()];
            for (const name of ['mode/compat', 'outcome/wrong', 'mode/fixed']) {
              [...document.querySelectorAll('.chip')]
                .find((chip) => chip.dataset.chip === name)?.click();
              counts.push(count());
            }
            return JSON.stringify({
              window: root.clientWidth, page: root.scrollWidth,
              tables: [...document.querySelectorAll('.scroll')]
                .map((table) => table.scrollWidth - table.clientWidth),
              beside: words && box(words).right <= box(program).left
                && box(program).top < box(words).bottom,
              counts,
            });
            """,
            f"--window-size={width},1000",
        )
    )


@pytest.mark.browser
@pytest.mark.parametrize("name", ["evaluation", "build"])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_window(pages, name, width):
    found = measure(pages[name], width)
    assert found["page"] <= found["window"] <= width
    if width == WIDTHS[0]:
        assert max(found["tables"]) <= 0  # no column is cut off
    if name == "evaluation":
        assert found["beside"] is (width == WIDTHS[0])
        # Two runs of seven compat and six fixed answers, a third of them wrong.
        assert found["counts"] == [
            "12 generations, fixed",
            "14 generations, compat",
            "6 of 14 generations, compat",
            "4 of 12 generations, fixed",
        ]
