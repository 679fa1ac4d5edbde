"""Tests the report of the study of rewards on files made by hand, whose numbers are known."""

import json

import pytest

from semcoder_jax.config import RewardsStudy, parse_run
from semcoder_jax.errors import UserError
from semcoder_jax.studies.rewards_report import asked_steps, last_rate, report

ARMS = ("base", "supervised", "answers", "answers_and_steps")
RIGHT = {"base": (1, 2), "supervised": (4, 4), "answers": (2, 2), "answers_and_steps": (3, 4)}

STUDY = RewardsStudy(
    "rewards", seeds=2, problems=4, curve_problems=2, points=2, base_steps=4, updates=4
)


def recipe():
    return parse_run(
        {
            "model": {"hidden_size": 8},
            "data": {"source": "synthetic", "sequence_length": 32, "global_batch_size": 8},
            "train": {"num_steps": 100},
            "optimizer": {"peak_learning_rate": 0.5},
        }
    )


@pytest.fixture
def workdir(tmp_path):
    """Two seeds and four functions: RIGHT of each seed's answers are right, and sound one less."""
    (tmp_path / "answers").mkdir()
    (tmp_path / "stages").mkdir()
    (tmp_path / "data").mkdir()
    ids = [json.dumps({"id": f"f{number}"}) for number in range(4)]
    (tmp_path / "data" / "problems.jsonl").write_text("\n".join(ids))
    (tmp_path / "data.json").write_text('{"base": 20, "new": 6, "problems": 4, "shared": 0}')
    for name in ARMS:
        for seed, right in enumerate(RIGHT[name]):
            run = tmp_path / "runs" / f"{name}-{seed}"
            run.mkdir(parents=True)
            (run / "config.json").write_text(
                '{"data": {"global_batch_size": 8}, "train": {"num_steps": 4}}'
            )
            rewarded = {"answer_tokens": 10.0} if name.startswith("answers") else {}
            rows = [{"step": step, "loss": 1.0, "tokens": 100} | rewarded for step in range(1, 5)]
            (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            spent = {"wall_seconds": 20.0, "cpu_seconds": 30.0 + 10 * seed, "done": True}
            (tmp_path / "stages" / f"{name}-{seed}.json").write_text(json.dumps(spent))
            for step, count in ((2, 2), (4, 4)):
                if step == 4 or name != "base":
                    answers = [answer(number, right) for number in range(count)]
                    path = tmp_path / "answers" / f"{name}-{seed}-{step}.jsonl"
                    path.write_text("".join(json.dumps(row) + "\n" for row in answers))
    return tmp_path


def answer(number, right):
    return {
        "id": f"f{number}",
        "right": number < right,
        "sound": number < right - 1,
        "tokens": 5 + number,
        "ended": True,
        "confirmed": 3,
        "text": "",
    }


def rows_of(page, heading):
    section = page.split(f"## {heading}\n\n")[1].split("\n\n")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines()]
    return {row[0]: row[1:] for row in cells[2:]}


def test_tables_state_the_means_of_the_files(workdir):
    pytest.importorskip("matplotlib", reason="needs the study extra: matplotlib")
    found = report(STUDY, recipe(), workdir)
    results = rows_of(found.body, "Held-out functions after learning")
    assert {name: (row[0], row[2]) for name, row in results.items()} == {
        "base": ("37.5%", "12.5%"),
        "supervised": ("100.0%", "75.0%"),
        "rewards: answers": ("50.0%", "25.0%"),
        "rewards: answers and steps": ("87.5%", "62.5%"),
    }
    assert results["base"][4:] == ["6.5", "3.00", "0.0%"]
    differences = rows_of(found.body, "Difference to more supervised steps")
    assert differences["rewards: answers − supervised"][0] == "-50.0 points"
    assert differences["rewards: answers and steps − rewards: answers"][0] == "+37.5 points"
    seeds = rows_of(found.body, "By seed")
    assert seeds["rewards: answers and steps"] == ["75.0%", "100.0%", "50.0%", "75.0%"]
    compute = rows_of(found.body, "Equal compute")
    assert compute["rewards: answers"] == ["35", "20", "4", "400", "320"]
    assert compute["supervised"] == ["35", "20", "4", "400", "0"]
    svg = found.figures["rewards_curves"]
    assert "rewards: answers and steps" in svg and "CPU seconds" in svg


def test_the_text_compares_the_times_of_the_run(workdir):
    """Supervised stages take 46 and 56 CPU seconds, the others 30 and 40: 51 is 46 % above 35."""
    pytest.importorskip("matplotlib", reason="needs the study extra: matplotlib")
    for seed, seconds in enumerate((46.0, 56.0)):
        spent = {"wall_seconds": 20.0, "cpu_seconds": seconds, "done": True}
        (workdir / "stages" / f"supervised-{seed}.json").write_text(json.dumps(spent))
    body = report(STUDY, recipe(), workdir).body
    assert "it took 51, they 35 (+46%)" in body and "configs/" not in body


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("answers/answers-0-4.jsonl", "", "holds 0 of 4 answers"),
        ("answers/answers-0-2.jsonl", '{"id": "f0"}', "expected right"),
        ("answers/base-1-4.jsonl", '{"id": "f', "delete base-1-4.jsonl"),
        ("data.json", "{}", "expected base"),
        ("data/problems.jsonl", "", "problems.jsonl: holds no row"),
        ("stages/answers-0.json", "{}", "expected the seconds of a stage"),
        ("runs/answers-0/config.json", "", "expected JSON"),
        ("runs/answers-0/metrics.jsonl", "", "ends before step 4"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(workdir, file, text, message):
    (workdir / file).write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        report(STUDY, recipe(), workdir)
    assert file.rpartition("/")[2] in str(raised.value) and "delete" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_base_answers_at_its_end_and_arms_also_before():
    assert asked_steps(STUDY, "base", 4) == [4]
    assert asked_steps(STUDY, "answers", 4) == [2, 4]
    three = RewardsStudy("rewards", points=3)
    assert asked_steps(three, "answers", 50) == [16, 32, 50]
    assert asked_steps(three, "answers", 2) == [1, 2]


def test_supervised_steps_go_on_with_the_rate_of_the_base():
    """A cosine without warm-up is at half its peak in the middle."""
    assert last_rate(RewardsStudy("rewards", base_steps=50), recipe()) == pytest.approx(0.25)
