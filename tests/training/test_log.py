"""Tests the log of training: the progress line, the files, W&B, and the profiler trace."""

import functools
import json
import re
import sys
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest
from flax import nnx

from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import make_record, read_jsonl, write_jsonl
from semcoder_jax.config import DecoderConfig
from semcoder_jax.loading import load_model
from semcoder_jax.model.flops import training_flops
from semcoder_jax.training import loop as training
from semcoder_jax.training import throughput as speed
from semcoder_jax.training.goodput import WallTime
from semcoder_jax.training.log import LoggedRun, RunLog
from semcoder_jax.training.metrics import read_metrics
from semcoder_jax.training.throughput import Machine, describe_rates, measure_speed, peak_memory
from tests.support.config_file import write_config_file
from tests.support.tiny_run import tiny_config, write_data
from tests.support.training_command import run_command

pytestmark = pytest.mark.usefixtures("compiled_once")
LENGTH = 320
ROWS = 2  # several records each, of both kinds
CONFIG = DecoderConfig(
    vocab_size=10, hidden_size=4, intermediate_size=6, num_layers=3, num_heads=2, num_kv_heads=1,
    head_dim=2, max_positions=8,
)  # fmt: skip


def test_numbers_of_an_interval_by_hand():
    """4 steps in 10 s, of which 2 s waited for input; 1.5 s of a save are not training."""
    seconds = {"input": 2.0, "checkpoint": 1.5, "steps": 8.0}
    found = measure_speed({"tokens": 5000.0, "target_tokens": 2000.0}, 4, seconds, flops=3e9)
    machine = Machine("TPU v9", 2, peak=1e9)
    assert found.scalars(machine) == {
        "tokens_per_second": 500.0,
        "targets_per_second": 200.0,
        "seconds_per_step": 2.5,
        "model_flops_per_second": 3e8,
        "input_wait": 0.2,
        "mfu": 0.3,
    }
    assert "mfu" not in found.scalars(Machine("cpu", 1, None))
    assert (
        measure_speed({"tokens": 1.0, "target_tokens": 1.0}, 1, seconds | {"compile": 3.0}, 1)
        is None
    )


def test_the_formula_is_said_once_with_its_numbers():
    line = describe_rates(CONFIG, Machine("TPU v5 lite", 16, 16 * 197e12))
    assert line.startswith("MFU = model FLOP/s / 3,152 TFLOP/s (bfloat16 peak of 16 x TPU v5 lite)")
    assert "3 x (2 x 400 matrix parameters x tokens + 4 x 3 layers x 2 heads x 2 x pairs" in line
    assert "no peak is known of 'cpu', so no MFU" in describe_rates(
        CONFIG, Machine.of(jax.devices())
    )


def test_peak_memory(monkeypatch):
    where, peak = peak_memory()
    assert where == "host" and 1.1 * peak >= psutil.Process().memory_info().rss
    counting = [
        SimpleNamespace(memory_stats=functools.partial(dict, peak_bytes_in_use=n)) for n in (5, 7)
    ]
    monkeypatch.setattr(speed.jax, "local_devices", lambda: counting)
    assert peak_memory() == ("device", 7)


def test_lines_and_skipped_steps_with_their_records(tmp_path, capsys):
    wall = WallTime(tmp_path, 0, time.monotonic())
    run = LoggedRun(
        first=0,
        num_steps=10,
        every=1,
        record_ids=lambda step: [f"record_{step}_{n}" for n in range(6)],
        flops=lambda tokens, pairs: training_flops(CONFIG, tokens, pairs),
        machine=Machine("TPU v9", 1, 1e12),
    )
    log = RunLog(tmp_path, run, wall)
    metrics = {
        "loss": 1.5,
        "gradient_norm": 2.0,
        "tokens": 100,
        "target_tokens": 10.0,
        "attention_pairs": 5000.0,
        "loss_by_kind": np.float32([6, 0, 9, 0, 0]),
        "targets_by_kind": np.float32([6, 0, 4, 0, 0]),
    }
    for step, changes in ((1, {}), (2, {}), (3, {"loss": np.nan, "skipped": 1})):
        with log.time_compilation() if step == 1 else wall.phase("input"):
            time.sleep(0.001)
        step_metrics = metrics | {"skipped": 0} | changes
        log.record_step(step, {name: jnp.asarray(value) for name, value in step_metrics.items()})
    log.flush()
    assert log.skipped == 1
    log.close()
    wall.close()
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"step 1/10  loss 1.5000 \(nl 1.0000, backward 2.2500\)  compiled in 0.0 s  "
        r"host memory \d+\.\d GiB",
        lines[0],
    )
    assert re.fullmatch(
        r"step 2/10  loss 1.5000 \(nl 1.0000, backward 2.2500\)  [\d,]+ tokens/s  [\d,]+ targets/s"
        r"  MFU \d+\.\d%  input wait \d+\.\d%  host memory \d+\.\d GiB  remaining \d\d:\d\d",
        lines[1],
    )
    assert lines[3].startswith("step 3/10  loss –  ")  # none is left to average
    assert lines[2] == (
        "step 3: loss nan, gradient norm 2: not used (number 1); its 6 records: record_3_0, "
        "record_3_1, record_3_2, record_3_3, … (all in skipped.jsonl)"
    )
    (row,) = read_metrics(tmp_path / "skipped.jsonl")
    assert row["step"] == 3 and row["records"] == [f"record_3_{n}" for n in range(6)]
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3]
    assert rows[0]["loss/backward"] == 2.25 and rows[0]["target_tokens/nl"] == 6
    (fast,) = (row for row in rows if "mfu" in row and row["step"] == 2)
    flops = training_flops(CONFIG, 100, 5000)
    assert fast["mfu"] == pytest.approx(flops / fast["seconds_per_step"] / 1e12)
    assert fast["tokens_per_second"] == pytest.approx(100 / fast["seconds_per_step"])


def test_the_device_is_never_more_than_a_step_behind(tmp_path):
    """Or a request to stop would wait for all the steps that the host has already given it."""

    @jax.jit
    def slow(x):
        return jax.lax.fori_loop(0, 300, lambda _, y: jnp.tanh(y @ y), x)

    x = jnp.ones((256, 256))
    jax.block_until_ready(slow(x))
    wall = WallTime(tmp_path, 0, time.monotonic())
    run = LoggedRun(0, 10, 100, lambda step: [], lambda tokens, pairs: 0.0, Machine("cpu", 1, None))
    log = RunLog(tmp_path, run, wall)
    names = ("gradient_norm", "tokens", "target_tokens", "attention_pairs", "skipped")
    behind = []
    for step in range(1, 6):
        metrics = dict.fromkeys(names, jnp.int32(1)) | {"loss": slow(x)[0, 0]}
        metrics |= {"loss_by_kind": jnp.zeros(5), "targets_by_kind": jnp.zeros(5)}
        behind.append(metrics["loss"])
        log.record_step(step, metrics)
        assert all(loss.is_ready() for loss in behind[:-1])
    log.close()
    wall.close()


# ==== Runs


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """tiny_run's data with kinds mixed, four to one."""
    directory = write_data(tmp_path_factory.mktemp("data"))
    for name in ("train", "eval"):
        records = list(read_jsonl(directory / f"{name}.jsonl"))
        for number in range(0, len(records), 5):
            old = records[number]
            records[number] = make_record(old.id, "fwd_mnl", old.nl, old.response)
        write_jsonl(directory / f"{name}.jsonl", records)
    return directory


WANDB = """
import json, pathlib

class Run:
    def __init__(self, options):
        self.path = pathlib.Path(options["dir"]) / "told.jsonl"
        self.tell("init", options)
    def tell(self, what, content):
        with open(self.path, "a") as file:
            file.write(json.dumps([what, content]) + "\\n")
    def define_metric(self, name, step_metric):
        self.tell("define_metric", [name, step_metric])
    def log(self, values):
        self.tell("log", values)
    def finish(self):
        self.tell("finish", None)

def init(**options):
    if options["project"] == "refused":
        raise RuntimeError("api_key not configured\\nmore of that")
    return Run(options)
"""


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """The workdir of a run in two sessions that told a stand-in for W&B, traced in the second."""
    package = tmp_path_factory.mktemp("package")
    (package / "wandb.py").write_text(WANDB)
    workdir = tmp_path_factory.mktemp("workdir") / "run"
    config = tiny_config(
        data,
        data__sequence_length=LENGTH,
        data__global_batch_size=ROWS,
        train__log_every=1,
        train__wandb_project="project",
        train__num_steps=8,
    )
    sys.path.insert(0, str(package))
    try:
        begun = config | {"train": config["train"] | {"stop_after_step": 2}}
        training.train(begun, workdir)
        training.train(config, workdir, profile_steps=2)
        yield workdir
    finally:
        sys.path.remove(str(package))
        sys.modules.pop("wandb", None)


def test_loss_by_kind_is_that_of_the_records(run, data):
    """The held-out loss of each kind against every record alone, summed in numpy."""
    (row,) = (row for row in read_metrics(run / "metrics.jsonl") if "eval_loss" in row)
    model = load_model(run)
    logits_of = jax.jit(lambda params, *inputs: nnx.merge(model.graphdef, params)(*inputs))
    sums, counts = {}, {}
    for record in read_jsonl(data / "eval.jsonl"):
        ids = model.tokenizer.encode(training_prompt(record), add_special_tokens=False)
        prompt = [model.tokenizer.bos_token_id, *ids]
        ids = model.tokenizer.encode(record.response, add_special_tokens=False)
        tokens = np.zeros(LENGTH, np.int32)
        whole = [*prompt, *ids, model.tokenizer.eos_token_id]
        tokens[: len(whole)] = whole
        place = np.arange(LENGTH)
        inputs = (tokens, place, np.ones(LENGTH, np.int32))
        logits = np.asarray(logits_of(model.params, *(x[None] for x in inputs))[0], np.float64)
        scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        losses = [-scores[t - 1, tokens[t]] for t in range(len(prompt), len(whole))]
        sums[record.kind] = sums.get(record.kind, 0.0) + sum(losses)
        counts[record.kind] = counts.get(record.kind, 0) + len(losses)
    assert row["eval_loss/nl"] == pytest.approx(sums["nl"] / counts["nl"], rel=1e-4)
    assert row["eval_loss/forward"] == pytest.approx(sums["fwd_mnl"] / counts["fwd_mnl"], rel=1e-4)
    everything = sum(sums.values()) / sum(counts.values())
    assert row["eval_loss"] == pytest.approx(everything, rel=1e-4)


def test_kinds_make_up_the_loss_of_a_step(run):
    rows = [row for row in read_metrics(run / "metrics.jsonl") if "loss" in row]
    assert len(rows) == 8
    told = set()
    for row in rows:
        kinds = [name.split("/")[1] for name in row if name.startswith("loss/")]
        told.add(frozenset(kinds))
        assert sum(row[f"target_tokens/{kind}"] for kind in kinds) == row["target_tokens"]
        total = sum(row[f"target_tokens/{kind}"] * row[f"loss/{kind}"] for kind in kinds)
        assert total == pytest.approx(row["loss"] * row["target_tokens"], rel=1e-5)
    assert set().union(*told) == max(told, key=len) == {"nl", "forward"}  # both in one step


def test_a_session_that_starts_again_reads_what_was_compiled(run, data, tmp_path, capsys):
    """The same step in a new jitted function, which would be compiled again without the cache."""
    size = {"data__sequence_length": LENGTH, "data__global_batch_size": ROWS}
    config = tiny_config(data, train__num_steps=8, **size)
    training.train(config, tmp_path)
    assert "read from the compilation cache in" in capsys.readouterr().err


def test_wandb_is_told_what_the_files_are(run):
    said = [json.loads(line) for line in (run / "told.jsonl").read_text().splitlines()]
    inits = [content for what, content in said if what == "init"]
    assert len(inits) == 2 and inits[0] == inits[1] | {"config": inits[0]["config"]}
    assert (inits[0]["project"], inits[0]["resume"]) == ("project", "allow")
    assert inits[0]["name"] == "run" and inits[0]["id"]
    assert inits[0]["config"]["model"]["num_layers"] == 2
    assert said[1] == ["define_metric", ["*", "step"]] and said[-1] == ["finish", None]
    logged = [content for what, content in said if what == "log"]
    assert logged == read_metrics(run / "metrics.jsonl")


def test_goodput_closes_a_session(run):
    last = read_metrics(run / "metrics.jsonl")[-1]
    seconds = {name: value for name, value in last.items() if name.startswith("seconds/")}
    assert last["goodput"] == pytest.approx(last["seconds/steps"] / sum(seconds.values()))
    assert last["seconds/repeated"] == 0 and last["seconds/compile"] > 0
    sessions = [row for row in read_metrics(run / "goodput.jsonl") if "session" in row]
    assert [row["session"] for row in sessions] == [0, 2]


def test_a_trace_holds_the_steps_after_warm_up(run):
    (path,) = (run / "profile").rglob("*.xplane.pb")
    trace = jax.profiler.ProfileData.from_file(str(path))
    steps = [
        dict(event.stats).get("step_num")
        for plane in trace.planes
        for line in plane.lines
        for event in line.events
        if event.name == "train"
    ]
    assert sorted(steps) == [5, 6]  # the session began with step 3


def test_wandb_that_is_missing_or_refuses_is_told_in_one_line(
    run, data, tmp_path, capsys, monkeypatch
):
    path = write_config_file(tmp_path, tiny_config(data, train__wandb_project="refused"))
    code, output = run_command(capsys, f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert code == 2
    assert "wandb_project 'refused': wandb: api_key not configured\n" in output.err
    monkeypatch.setitem(sys.modules, "wandb", None)
    code, output = run_command(capsys, f"--config={path}", f"--workdir={tmp_path / 'other'}")
    assert code == 2 and output.err.count("\n") == 1
    assert "train.wandb_project is 'refused', but the package wandb is not installed" in output.err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("argument", ["--profile=0", "--profile=many"])
def test_mistakes_of_profile(argument, capsys):
    code, output = run_command(capsys, argument, "--config=c.py", "--workdir=w")
    assert code == 2 and "expected --profile or --profile=STEPS" in output.err
