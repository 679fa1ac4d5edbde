import json

import pytest

from semcoder_jax.evaluation.store import GenerationStore, StoreError

RUN = {"checkpoint": "a", "sampling": {"stop": ("x",)}}
ROWS = [{"id": f"r{i}", "text": "é\n" * i} for i in range(3)]


def test_what_was_appended_is_there_after_a_kill_at_any_byte(tmp_path):
    whole = tmp_path / "whole.jsonl"
    with GenerationStore(whole, RUN, fields={}) as store:
        for row in ROWS:
            store.append(row)
    content = whole.read_bytes()
    rows = content.splitlines()[1:]
    for size in range(len(content) + 1):
        path = tmp_path / "killed.jsonl"
        path.write_bytes(content[:size])
        complete = sum(line in rows for line in content[:size].splitlines())
        with GenerationStore(path, RUN, fields={}) as store:
            assert list(store.rows.values()) == ROWS[:complete]
            for row in ROWS:
                if row["id"] not in store.rows:
                    store.append(row)
        assert path.read_bytes() == content


def test_rows_of_another_run_are_refused(tmp_path):
    path = tmp_path / "store.jsonl"
    GenerationStore(path, RUN, fields={}).close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"another run \(checkpoint differ\)"):
        GenerationStore(path, RUN | {"checkpoint": "b"})
    assert path.read_bytes() == before


def test_mistakes_are_named(tmp_path):
    path = tmp_path / "store.jsonl"
    with GenerationStore(path, RUN, fields={}) as store:
        store.append(ROWS[0])
        with pytest.raises(StoreError, match="id 'r0' is there already"):
            store.append(ROWS[0])
        with pytest.raises(StoreError, match="in use"):
            GenerationStore(path, RUN, fields={})
    path.write_text(json.dumps({"run": RUN}) + "\n[]\n")
    with pytest.raises(StoreError, match=r"store.jsonl:2: expected a JSON object"):
        GenerationStore(path, json.loads(json.dumps(RUN)))
    with pytest.raises(StoreError, match="Is a directory"):
        GenerationStore(tmp_path, RUN)


def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    for content in (b"one line without an end", b'{"mine": 1}', b"two\nlines", b'{"id": '):
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"notes\.txt:1: "):
            GenerationStore(path, RUN, fields={})
        assert path.read_bytes() == content
