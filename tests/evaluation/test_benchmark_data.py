"""Tests downloads of benchmark data (checksums, cache, failures) from a local server.

Also compares the published few-shot prompts with their hashes.
"""

import gzip
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from semcoder_jax.evaluation.benchmarks import cruxeval
from semcoder_jax.evaluation.benchmarks.data import DataError, Home, fetch, read_rows
from semcoder_jax.evaluation.benchmarks.few_shot import input_prompt, output_prompt

ROWS = b'{"id": "a"}\n\n{"id": "b"}\n'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def home():
    """A server whose `files` are served; `asked` counts requests, `claims` more bytes than
    it sends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked += 1
            content = server.files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"") + server.claims))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *unused):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.asked, server.claims = {"/rows.jsonl": ROWS}, 0, 0
    server.url = f"http://127.0.0.1:{server.server_port}/rows.jsonl"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def kept(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_once(home, tmp_path):
    for _ in range(2):
        rows = read_rows(Home(home.url, sha256(ROWS)), cache=tmp_path)
        assert [row["id"] for _, row in rows.rows] == ["a", "b"]
        assert rows.sha256 == sha256(ROWS)
    assert home.asked == 1
    assert [where.rsplit(":", 1)[1] for where, _ in rows.rows] == ["1", "3"]


def test_another_version_is_refused_and_not_kept(home, tmp_path):
    with pytest.raises(DataError, match=r"expected 0000.*--config\.data=FILE"):
        fetch(Home(home.url, "0" * 64), cache=tmp_path)
    assert kept(tmp_path) == []


def test_a_home_without_checksum_is_pinned(home, tmp_path):
    path = fetch(Home(home.url), cache=tmp_path)
    path.unlink()
    home.files["/rows.jsonl"] = ROWS + b'{"id": "c"}\n'
    with pytest.raises(DataError, match="another version"):
        fetch(Home(home.url), cache=tmp_path)
    home.files["/rows.jsonl"] = ROWS
    assert fetch(Home(home.url), cache=tmp_path).read_bytes() == ROWS
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match="remove the file"):
        fetch(Home(home.url), cache=tmp_path)


def test_what_breaks_on_the_way_leaves_nothing(home, tmp_path):
    home.claims = 5
    with pytest.raises(DataError, match=r"cannot be fetched|ended after"):
        fetch(Home(home.url), cache=tmp_path)
    with pytest.raises(DataError, match=r"Not Found.*--config\.data=FILE"):
        fetch(Home(home.url + ".not"), cache=tmp_path)
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch(Home("http://127.0.0.1:1/rows.jsonl"), cache=tmp_path)
    assert kept(tmp_path) == []


def test_the_cache_is_where_it_is_asked_for(home, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path / "here"))
    assert (tmp_path / "here") in fetch(Home(home.url)).parents


def test_rows_are_read_packed_or_not(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(ROWS)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(ROWS))
    (tmp_path / "rows.json").write_text(json.dumps([{"id": "a"}, {"id": "b"}], indent=1))
    for name in ("rows.jsonl", "rows.jsonl.gz", "rows.json"):
        assert [row["id"] for _, row in read_rows(tmp_path / name).rows] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("rows.jsonl", b'{"id": 1}\n{"id": ', r"rows\.jsonl:2: not JSON"),
        ("rows.jsonl", b'{"id": 1}\n[2]\n', r"rows\.jsonl:2: expected a JSON object"),
        ("rows.jsonl", b"\n", "no rows"),
        ("rows.jsonl.gz", b"no gzip", "cannot be unpacked"),
        ("rows.jsonl.gz", gzip.compress(ROWS)[:-12], "cannot be unpacked"),
    ],
    ids=["cut off", "no object", "empty", "no gzip", "gzip cut off"],
)
def test_broken_files_are_told_in_one_line(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=told) as caught:
        read_rows(tmp_path / name)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="No such file"):
        read_rows(tmp_path / "other.jsonl")


def test_the_known_checksum_is_that_of_the_golden_data(shared_data):
    content = (shared_data / "cruxeval/data/cruxeval.jsonl").read_bytes()
    assert sha256(content) == cruxeval.HOME.sha256


# Of the prompts that the published make_*_prompt functions render (facebookresearch/cruxeval,
# prompts.py; LiveCodeBench, lcb_runner/prompts/code_execution.py) for f(3) == [3] on this program.
PROGRAM = "def f(x):\n    return [x]"
PUBLISHED = {
    (
        "cruxeval",
        "direct",
    ): "844343dba7b7b3e589d2760fe754438f3a078d9c9151756871d75bf16782f221",
    (
        "cruxeval",
        "chain of thought",
    ): "363e651228d9d061e45392ef6f17aa4d1be847fba5427a5ca453dea35b2cd822",
    (
        "livecodebench",
        "direct",
    ): "315876bf02e65c9e23d4604481317cd4fcfaab6902ce54fc430feec619afb5ee",
    (
        "livecodebench",
        "chain of thought",
    ): "8b93836f10f1bc5a793fb80addf5542bfa8eb1a0c1496b7c550f344c346ce3eb",
    ("input", "direct"): "24de8efafaa3d4632e7df2f320451ec11c785bb6d54700170ea8b54a2622af40",
    (
        "input",
        "chain of thought",
    ): "dc7c4477387a30589c3f368ac8f1b8a18b8802ca552fec92f5f0c4dc9e72fb28",
}


@pytest.mark.parametrize(("family", "variant"), PUBLISHED)
def test_few_shot_prompts_are_the_published_bytes(family, variant):
    if family == "input":
        prompt = input_prompt(PROGRAM, "[3]", "f", variant)
    else:
        prompt = output_prompt(PROGRAM, "f(3)", variant, family)
    assert sha256(prompt.encode()) == PUBLISHED[family, variant]
