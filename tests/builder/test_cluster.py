"""Tests builds on a cluster: equal bytes, lost workers, an object store, graphs of one size."""

import dataclasses
import json
import os
import random
import signal
import threading
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("apache_beam", reason="needs the extra 'beam'")
pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from data_pipeline.builder import BuildError, BuildOptions, build
from data_pipeline.builder.cluster import dataset, rows, seeds, sources
from data_pipeline.builder.cluster.components import FindClusters
from data_pipeline.builder.cluster.split import HoldOut
from data_pipeline.builder.cluster.stage_files import ReadLines, WriteLines, WriteSortedFile
from data_pipeline.builder.groups import GROUPS, count_groups
from data_pipeline.builder.held_out import function_digests, held_out_seeds
from data_pipeline.builder.marked_errors import WorkerError, marked_errors, marked_line
from data_pipeline.builder.row_maker import RowWork
from data_pipeline.builder.runners import user_errors
from data_pipeline.builder.source_patterns import expand_source
from data_pipeline.builder.workers import Worker, check_same_runtime, describe_workers, runtime
from data_pipeline.errors import UserError
from data_pipeline.files import write_text
from data_pipeline.pyx import folders as pyx
from data_pipeline.seeds import Seed, SeedError
from tests.support.object_stores import BUCKET
from tests.support.portable_cluster import portable_cluster, worker_processes
from tests.support.tiny_sources import FILES

IN_MEMORY = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def in_memory() -> beam.Pipeline:
    return beam.Pipeline(runner=IN_MEMORY)


# ---- parts, each against plain Python


def components(pairs) -> dict[str, str]:
    """Name -> smallest name that a walk along the pairs reaches."""
    near: dict[str, set[str]] = {}
    for one, other in pairs:
        near.setdefault(one, set()).add(other)
        near.setdefault(other, set()).add(one)
    found = {}
    for name in near:
        reached, waiting = {name}, [name]
        while waiting:
            new = near[waiting.pop()] - reached
            reached |= new
            waiting += new
        found[name] = min(reached)
    return found


def test_clusters_are_the_connected_components():
    draw = random.Random(7)
    names = [f"n{number:03d}" for number in range(60)]
    pairs = [(draw.choice(names), draw.choice(names)) for _ in range(24)]
    expected = components(pairs)
    assert len(set(expected.values())) > 3
    with in_memory() as root:
        found = root | beam.Create(pairs, reshuffle=True) | FindClusters()
        assert_that(found, equal_to(list(expected.items())))


def seed_of(number: int, body: str) -> Seed:
    code = f"def f(x):\n    return {body}\n"
    return Seed(f"{number:012d}", "f", code, "", (), (), f"s.py:{number}")


@pytest.mark.parametrize("share", [0.3, 0.0])
def test_the_split_is_that_of_one_machine(share):
    given = [seed_of(number, f"x + {number % 14}") for number in range(20)]
    alike = [("000000000001", "000000000002"), ("000000000003", "unknown")]
    functions = {seed.id: function_digests(seed.code) for seed in given}
    expected = held_out_seeds(functions, alike, share)
    assert bool(expected) == (share > 0)
    with in_memory() as root:
        split = (root | "S" >> beam.Create(given), root | "A" >> beam.Create(alike)) | HoldOut(
            share
        )
        assert_that(
            split | beam.Map(lambda pair: (pair[0].id, pair[1])),
            equal_to([(seed.id, seed.id in expected) for seed in given]),
        )


def test_stage_files_hold_the_lines_whatever_their_number(tmp_path, monkeypatch):
    monkeypatch.setattr("data_pipeline.builder.cluster.stage_files.LINES", 10)
    lines = [json.dumps({"n": number % 70}) for number in range(95)]
    for kind, given in (("many", lines), ("none", [])):
        with in_memory() as root:
            texts = root | beam.Create(given)
            texts | "Parts" >> WriteLines(tmp_path / kind, "rows")
            texts | "Sorted" >> WriteSortedFile(tmp_path / f"{kind}.jsonl", tmp_path / "p" / kind)
        with in_memory() as root:
            assert_that(root | ReadLines(tmp_path / kind, "rows"), equal_to(given))
        written = (tmp_path / f"{kind}.jsonl").read_text()
        assert written == "".join(f"{line}\n" for line in sorted(given))
    parts = [path.read_text().count("\n") for path in (tmp_path / "many").iterdir()]
    assert len(parts) > 5 and max(parts) < 40
    assert len(list((tmp_path / "p" / "many").iterdir())) > 5


def test_groups_hold_a_minute_of_work_and_small_builds_are_shared_out():
    assert count_groups(1, 8) == count_groups(10_000, 8) == GROUPS
    many = count_groups(10_000_000, 8)
    assert many & (many - 1) == 0
    assert 30 <= 10_000_000 * 8 * 0.1 / many <= 60  # seconds
    assert count_groups(10_000_000, 16) == 2 * many


def test_a_pattern_stands_for_what_it_matches(tmp_path):
    for name in ("b.jsonl", "a.jsonl", "c.txt", "deep/d.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    assert expand_source(f"{tmp_path}/*.jsonl") == found
    assert expand_source(f"{tmp_path}/*/*.jsonl") == [str(tmp_path / "deep" / "d.jsonl")]
    assert expand_source(found[0]) == found[:1]
    assert expand_source("toolz") == ["toolz"]
    with pytest.raises(SeedError, match="none matches the pattern"):
        expand_source(f"{tmp_path}/*.py")


# ---- the graph


def graph_size(add) -> int:
    root = beam.Pipeline(runner=IN_MEMORY)
    add(root)
    return len(root.to_runner_api().SerializeToString())


def test_the_size_of_a_job_does_not_grow_with_the_sources(tmp_path):
    """Paths are of one length, so that the sizes can be compared."""
    sizes = []
    for name, files in (("few", 1), ("lot", 60)):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(files):
            (folder / f"m{number}.py").write_text(f"def f{number}(x):\n    return x + {number}\n")
        options = BuildOptions(sources=(str(folder),))
        work = seeds.SeedWork(options, folder, folder, folder / "b", folder / "s")
        examined = graph_size(lambda root, o=options, f=folder: sources.examine(root, o, f / "e"))
        sizes.append((examined, graph_size(lambda root, w=work: seeds.find_seeds(root, w))))
    for few, lot in zip(*sizes, strict=True):
        assert abs(few - lot) < 200  # pickled functions differ by a few bytes
    row_work = RowWork(options, "recipe", folder, folder, folder, None)
    groups = rows.GroupWork(row_work, folder, 1024, folder, folder / "s")
    data = dataset.DatasetWork(*([folder] * 3), ("train",), *([folder] * 4))
    later = (
        graph_size(lambda root: rows.make_rows(root, groups)),
        graph_size(lambda root: dataset.write_dataset(root, data)),
    )
    assert max(*sizes[1], *later) < 1 << 20


# ---- workers


def test_a_worker_tells_its_error_in_one_line():
    with pytest.raises(WorkerError) as raised, marked_errors():
        raise UserError("no sandbox\nof tier A")
    text = f"Traceback ...\nRuntimeError: {raised.value} [while running 'Rows']\n at worker.py:3"
    assert marked_line(text).endswith(": no sandbox of tier A")
    options = BuildOptions(sources=("s",), runner="FlinkRunner")
    with (
        pytest.raises(BuildError, match=r"^--runner=FlinkRunner: worker .*: no sandbox of tier A;"),
        user_errors(options),
    ):
        raise RuntimeError(text)
    assert marked_line("RuntimeError: other") is None


def test_a_worker_without_the_demanded_tier_ends_the_build(tmp_path, monkeypatch):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.py").write_text("def f(x):\n    return x + 1\n")
    monkeypatch.setattr(
        "data_pipeline.execution.tiers._try_tier", lambda tier, setup: "no bwrap in this image"
    )
    options = BuildOptions(sources=(str(tmp_path / "s"),), runner=IN_MEMORY, tier="A")
    with pytest.raises(BuildError) as raised:
        build(options, tmp_path / "out", progress=False)
    line = str(raised.value)
    assert "\n" not in line
    assert "worker " in line and "tier A: no bwrap in this image" in line


def test_workers_that_differ_are_named():
    strong = [Worker(f"host{number}", "A") for number in range(7)]
    weak = Worker("old", "B", "no tier A: no bwrap")
    assert describe_workers(strong) == "tier A on 7 workers"
    told = describe_workers([*strong, weak])
    five = "host0, host1, host2, host3, host4"
    assert told == f"tier A on {five} and 2 more; tier B on old (no tier A: no bwrap)"
    assert describe_workers([weak]) == "tier B (no tier A: no bwrap)"
    check_same_runtime([("host1", runtime())])
    with pytest.raises(BuildError, match=r"worker host2 has Python 2\.7 and code ab"):
        check_same_runtime([("host1", runtime()), ("host2", "Python 2.7 and code ab")])


def test_the_tier_is_part_of_the_recipe():
    options = BuildOptions(sources=("s",))
    assert options.rows_recipe("A") != options.rows_recipe("B")
    assert options.seeds_recipe("digest", "A") != options.seeds_recipe("digest", "A+B")
    other_place = dataclasses.replace(options, runner="FlinkRunner", workers=9)
    assert options.rows_recipe("A") == other_place.rows_recipe("A")


@pytest.mark.slow
def test_a_build_on_this_machine_reads_and_writes_a_store(tmp_path, object_store):
    source = "def twice(x: int) -> int:\n    y = x * 2\n    return y\n"
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.py").write_text(source)
    write_text(object_store.path("source", "a.py"), source)
    options = BuildOptions(sources=(str(tmp_path / "source"),), inputs=2, workers=1)
    build(options, tmp_path / "local", progress=False)
    remote = dataclasses.replace(options, sources=(object_store.path("source"),))
    report = build(remote, object_store.path("built"), progress=False)
    again = build(remote, object_store.path("built"), progress=False)
    assert again.to_json() == report.to_json()  # it was complete
    (array,) = (tmp_path / "local" / "pyx" / pyx.VERSION).glob("*train*")
    for path in (tmp_path / "local" / "train.jsonl", array):
        name = path.relative_to(tmp_path / "local")
        assert object_store.content("built", *name.parts) == path.read_bytes()


# ---- a cluster of two worker processes


@pytest.mark.slow
def test_two_worker_processes_one_killed_write_the_local_bytes_to_a_store(tmp_path, object_store):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "numbers_.py").write_text(FILES["numbers_.py"].lstrip())
    (folder / "broken.py").write_text(FILES["broken.py"])
    options = BuildOptions(sources=(str(folder),), inputs=2, faults=1, heldout_share=0.4)
    build(dataclasses.replace(options, workers=1), tmp_path / "local", progress=False)
    output = object_store.path("pyx")
    most: list[int] = []

    def kill_one_when_a_group_is_written() -> None:
        listing = f"{object_store.url}/storage/v1/b/{BUCKET}/o?prefix=pyx/.work/rows/"
        while not stop.wait(0.1):
            workers = worker_processes()
            most.append(len(workers))
            with urllib.request.urlopen(listing) as answer:
                written = json.load(answer).get("items", [])
            if written and workers:
                os.kill(workers[0], signal.SIGKILL)
                return

    with portable_cluster({}) as pipeline:
        on_cluster = dataclasses.replace(options, runner="PortableRunner", pipeline=pipeline)
        stop = threading.Event()
        killer = threading.Thread(target=kill_one_when_a_group_is_written)
        killer.start()
        started = time.monotonic()
        try:
            with pytest.raises(BuildError, match="run the same command again") as raised:
                build(on_cluster, output, progress=False)
        finally:
            stop.set()
            killer.join()
        assert "\n" not in str(raised.value)
        assert time.monotonic() - started < 900  # it does not wait for ever
        assert max(most) >= 2  # three while one of them starts a program
    with portable_cluster({}) as pipeline:
        report = build(dataclasses.replace(on_cluster, pipeline=pipeline), output, progress=False)
    assert report.reused >= 1
    assert [worker["tier"] for worker in report.workers] == ["A"]
    local = tmp_path / "local"
    names = [path.relative_to(local) for path in (local / "pyx" / pyx.VERSION).iterdir()]
    others = ("dead_letters", "removed", "refused", "train", "problems")
    for name in (*names, *(Path(f"{other}.jsonl") for other in others)):
        assert object_store.content("pyx", *name.parts) == (local / name).read_bytes(), name
