"""Tests that units of JSON lines are read from their own byte, and give the rows of the file."""

import gzip
import json

import pytest

from data_pipeline.seeds import sources
from data_pipeline.seeds.sources import read_unit, units

ROWS = [f"def f{number}(x):\n    return x + {number}  # é\n" for number in range(23)]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_every_row_is_read_once_and_has_its_line(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_ROWS", 4)
    lines = [json.dumps({"code": code}, ensure_ascii=False) for code in ROWS]
    lines[5:5] = ["", "  "]  # count as lines
    lines[11:11] = [""]
    text = "\n".join(lines).encode()  # the last line without its end
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    found = [seed for unit in units(str(tmp_path / name)) for seed in read_unit(unit)]
    numbers = [n for n, line in enumerate(lines, 1) if line.strip()]
    assert [int(seed.origin.rpartition(":")[2]) for seed in found] == numbers
    assert [seed.name for seed in found] == [f"f{number}" for number in range(23)]


def test_a_unit_reads_its_own_part_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_ROWS", 4)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"code": code}) + "\n" for code in ROWS))
    last = units(str(path))[-1]
    content = path.read_bytes()
    path.write_bytes(b"#" * last.offset + content[last.offset :])  # nobody reads what is before
    assert [seed.name for seed in read_unit(last)] == ["f20", "f21", "f22"]
