"""Tests records: upstream's schema, its errors, reading and writing."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline.pyx.records import (
    PyXRecord,
    RecordError,
    RefineRecord,
    content_id,
    make_record,
    parse_record,
    read_jsonl,
    record_to_row,
    write_jsonl,
)

REPO = Path(__file__).parents[2]
NL = {"id": "nl_1", "nl": "Add two numbers.", "fwd_mnl": "", "bwd_mnl": "", "response": "a + b"}
FORWARD = NL | {"id": "fwd_mnl_108213_ipt9", "nl": "", "fwd_mnl": "[PYTHON]\nπ = '\u2028'\n"}
BACKWARD = NL | {"id": "b", "nl": "", "bwd_mnl": "PYTHON]"}
FAULT = {"fault": "### Problem", "response": "[Refined]"}
ROWS = [NL, FORWARD, BACKWARD, FAULT]


def write_rows(path: Path, rows: list) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "kind"), [(NL, "nl"), (FORWARD, "fwd_mnl"), (BACKWARD, "bwd_mnl"), (FAULT, "fault")]
)
def test_a_row_becomes_a_record_of_its_kind(row, kind):
    record = parse_record(row, "x:1")
    assert isinstance(record, RefineRecord if kind == "fault" else PyXRecord)
    assert (record.kind, record.prompt_field) == (kind, row[kind])
    assert record.response == row["response"]
    assert record_to_row(record) == row
    assert make_record(record.id, kind, record.prompt_field, record.response) == record


def test_absent_and_null_instructions_are_empty():
    row = {"id": "a", "nl": "text", "fwd_mnl": None, "response": "code"}
    assert parse_record(row, "x:1") == PyXRecord("a", "text", "", "", "code")


def test_the_id_of_a_pyx_r_row_depends_on_its_content_alone():
    first, again = (parse_record(dict(FAULT), where) for where in ("x:1", "y:9"))
    assert first.id == again.id == content_id("### Problem", "[Refined]")
    assert first.id != parse_record(FAULT | {"response": "other"}, "x:1").id
    assert content_id("ab", "c") != content_id("a", "bc")
    own = parse_record(FAULT | {"id": "own"}, "x:1")
    assert own.id == "own" and record_to_row(own)["id"] == "own"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["a list"], 'expected a JSON object; got ["a list"]'),
        (NL | {"resp\nonse": 1}, r'field "resp\nonse": unknown'),
        (NL | {"fwd_mnl": "x"}, "expected exactly one that is not empty; got nl and fwd_mnl"),
        (NL | {"fault": "x"}, "expected exactly one that is not empty; got nl and fault"),
        (NL | {"nl": ""}, "expected exactly one that is not empty; got none"),
        (NL | {"nl": " \n"}, "field 'nl': expected a non-empty string"),
        (NL | {"nl": 3}, "field 'nl': expected a string; got 3"),
        (NL | {"bwd_mnl": []}, "field 'bwd_mnl': expected a string; got []"),
        (NL | {"response": ""}, "field 'response': expected a non-empty string"),
        (NL | {"response": None}, "field 'response': expected a non-empty string; got null"),
        (NL | {"response": "\ud800"}, "field 'response': expected Unicode text"),
        (NL | {"id": 7}, "field 'id': expected a non-empty string; got 7"),
        ({k: v for k, v in NL.items() if k != "id"}, "field 'id': missing"),
        ({k: v for k, v in NL.items() if k != "response"}, "field 'response': missing"),
        (FAULT | {"response": 5}, "field 'response': expected a non-empty string; got 5"),
        (FAULT | {"id": ""}, "field 'id': expected a non-empty string"),
    ],
)
def test_a_row_outside_the_schema_is_refused_in_one_line(row, message):
    with pytest.raises(RecordError) as error:
        parse_record(row, "data.jsonl:12")
    assert str(error.value).startswith("data.jsonl:12: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_record_cannot_be_made_outside_the_schema():
    with pytest.raises(RecordError, match="exactly one"):
        PyXRecord("a", "x", "y", "", "r")
    with pytest.raises(RecordError, match="fault"):
        RefineRecord("a", "", "r")
    with pytest.raises(RecordError, match="kind: expected one of nl, fwd_mnl, bwd_mnl, fault"):
        make_record("a", "no", "x", "r")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_written_rows_are_upstreams_and_read_back_equal(tmp_path, name):
    records = [parse_record(row, "x") for row in ROWS]
    path = tmp_path / "new" / name
    assert write_jsonl(path, iter(records)) == 4
    assert list(read_jsonl(path)) == records
    raw = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    # json and bytes.split know nothing of this module; U+2028 must not split a line.
    assert [json.loads(line) for line in raw.split(b"\n")[:-1]] == ROWS
    again = tmp_path / "again" / name
    write_jsonl(again, records)
    assert again.read_bytes() == path.read_bytes()


def test_an_interrupted_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [parse_record(NL, "x")])

    def records():
        yield parse_record(FORWARD, "x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_jsonl(path, records())
    assert [record.id for record in read_jsonl(path)] == ["nl_1"]
    assert list(tmp_path.iterdir()) == [path]


def test_reading_stops_at_the_bad_line_and_names_it(tmp_path):
    path = tmp_path / "rows.jsonl"
    good = json.dumps(NL).encode()
    cases = {
        b'{"id": "a", ': "expected one JSON object",
        b'{"id": "\xff"}': "expected UTF-8",
        b"[" * 200_000: "nested too deep",
        b"\xef\xbb\xbf" + good: "expected one JSON object",
        b'{"id": "a", "nl": "x", "nl": "y", "response": "r"}': 'field "nl": given more than once',
    }
    for bad, message in cases.items():
        path.write_bytes(good + b"\n\n" + bad + b"\n")
        rows = read_jsonl(path)
        assert next(rows).id == "nl_1"
        with pytest.raises(RecordError) as error:
            next(rows)
        assert str(error.value).startswith(f"{path}:3: ") and message in str(error.value)
        assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    cut = tmp_path / "cut.jsonl.gz"
    whole = gzip.compress(json.dumps(NL).encode() * 100)
    cut.write_bytes(whole[: len(whole) // 2])
    not_gzip = write_rows(tmp_path / "plain.jsonl.gz", [NL])
    for path in (tmp_path / "absent.jsonl", tmp_path, cut, not_gzip):
        with pytest.raises(RecordError, match="cannot read the file") as error:
            list(read_jsonl(path))
        assert str(error.value).startswith(f"{path}: ")


def check(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "data_pipeline.records", *map(str, arguments)]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60)


def test_the_command_counts_a_sound_file(tmp_path):
    done = check(write_rows(tmp_path / "rows.jsonl", [*ROWS, NL]))
    assert (done.returncode, done.stderr) == (0, "")
    counts = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines()[1:]}
    assert counts == {"nl": 2, "fwd_mnl": 1, "bwd_mnl": 1, "fault": 1, "total": 5, "repeats": 1}


def test_the_command_lists_errors_one_a_line_and_fails(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", [NL, 1, FAULT, {"a": 1}, 2, 3])
    done = check("--max_errors=2", path)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines[:2]] == [f"{path}:2", f"{path}:4"]
    assert len(lines) == 3 and "2 more errors" in lines[2]
    assert "bad" in done.stdout and "Traceback" not in done.stderr

    for arguments in ([tmp_path / "absent"], [], ["--nonsense", path]):
        done = check(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    assert check(empty).returncode == 2
