"""Tests which texts name a local path, which an object, and which mistakes are told in one line."""

import importlib.util
from pathlib import Path

import pytest

from data_pipeline.errors import UserError
from data_pipeline.files import as_path, check_outside, check_separate, is_remote
from data_pipeline.files import paths as paths_module

LOCAL = [
    "a",
    "/a/b",
    "./gs",
    "~x",
    "./~/x",
    "C:",
    "C:\\a",
    "a:b",
    "gs",
    "deepseek-ai/coder",
    "//host/a",
]


@pytest.mark.parametrize("text", LOCAL)
def test_other_texts_are_local_paths(text):
    assert as_path(text) == Path(text) and type(as_path(text)) is type(Path(text))
    assert not is_remote(text)


def test_the_home_folder_is_found_where_a_shell_leaves_its_sign(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert as_path("~/x") == Path("/home/me/x") and as_path("~") == Path("/home/me")


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_an_object_has_the_parts_of_its_address(scheme):
    path = as_path(f"{scheme}://bucket/a/b.c")
    assert is_remote(path) and as_path(path) == path and is_remote(str(path))
    assert str(path) == f"{scheme}://bucket/a/b.c"
    assert str(path.parent / "d") == f"{scheme}://bucket/a/d"
    assert (path.name, path.stem, path.suffix) == ("b.c", "b", ".c")
    assert str(path.with_name("e")) == f"{scheme}://bucket/a/e"
    assert path.absolute() == path.resolve() == path.expanduser() == path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ftp://host/a", "no storage ftp://; expected a local path, gs:// and s3://"),
        ("hdfs://a", "no storage hdfs://"),
        ("GS://bucket/a", "no storage GS://"),
        ("https://host/a", "no storage https://"),
        ("file:///a", "no storage file://"),
        ("gs://", "expected gs://BUCKET/NAME"),
        ("s3:///a", "expected s3://BUCKET/NAME"),
        ("gs:/bucket/a", "expected gs://BUCKET/NAME"),
        ("gs:bucket/a", "expected gs://BUCKET/NAME"),
        (str(Path("s3://bucket/a")), "expected s3://BUCKET/NAME"),
        ("gs://bucket/a?x", "expected a name without '?'"),
        ("s3://bucket/a#1", "expected a name without '#'"),
    ],
)
def test_a_mistake_is_one_line(text, told):
    with pytest.raises(UserError) as raised:
        as_path(text)
    assert str(raised.value).startswith(f"{text}: ") and told in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("scheme", "package"), [("gs", "gcsfs"), ("s3", "s3fs"), ("gs", "etils")])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, scheme, package):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else found(name)
    )
    paths_module._check_installed.cache_clear()
    extra = {"gs": "gcs", "s3": "s3"}[scheme]
    with pytest.raises(UserError, match=rf"needs {package}: pip install .*\[{extra}\]"):
        as_path(f"{scheme}://bucket/a")
    paths_module._check_installed.cache_clear()


def test_two_flags_may_not_name_the_same_object():
    check_separate({"--input": "gs://bucket/a", "--output": "s3://bucket/a", "--out": "bucket/a"})
    with pytest.raises(UserError, match="--input and --output: expected two files"):
        check_separate({"--input": "gs://bucket/a", "--output": "gs://bucket//a"})


def test_an_output_may_not_lie_in_a_folder_that_is_read(object_store):
    folder = object_store.path("outside")
    as_path(f"{folder}/rows.jsonl").write_bytes(b"{}")
    with pytest.raises(UserError, match="name a folder outside"):
        check_outside("--data", [folder], "--output", f"{folder}/new.jsonl")
    check_outside("--data", [folder], "--output", object_store.path("outside-too"))
    check_outside("--data", [folder], "--output", "outside/new.jsonl")
