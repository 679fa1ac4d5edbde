"""Tests prepared tokens: batches equal those of the records bit for bit; damage, interruption."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from data_pipeline.commands.prepare import main
from data_pipeline.pyx.dataset import prepare as prepare_pyx
from data_pipeline.pyx.instructions import read_instructions
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import make_record, read_jsonl, write_jsonl
from data_pipeline.tokens import tokenize as prepare_module
from data_pipeline.tokens.batches import InputConfig, TrainInput, tokenize_records
from data_pipeline.tokens.store import PreparedError, open_tokens
from data_pipeline.tokens.tokenize import prepare
from data_pipeline.tokens.tokenizer_identity import tokenizer_digest

REPOSITORY = Path(__file__).parents[2]
LENGTH = 512


def byte_tokenizer(first_id: int = 0) -> PreTrainedTokenizerFast:
    """One token a byte."""
    names = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<s>", "</s>"]
    vocabulary = {name: first_id + index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """pyx.jsonl, pyx_r.jsonl, instructions.jsonl and tokenizer/."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)

    def text(most: int) -> str:
        return "".join(rng.choice(list("abc \nç"), rng.integers(1, most))).strip() or "x"

    kinds = ("nl", "fwd_mnl", "bwd_mnl")
    pyx = [make_record(f"r{n}", kinds[n % 3], text(80), text(300)) for n in range(110)]
    faults = [make_record(f"f{n}", "fault", text(80), text(300)) for n in range(30)]
    write_jsonl(folder / "pyx.jsonl", pyx)
    write_jsonl(folder / "eval.jsonl", pyx[:20])
    write_jsonl(folder / "pyx_r.jsonl", faults)
    rows = [{"instruction": text(50), "response": text(200), "lang": "python"} for _ in range(40)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "instructions.jsonl").write_text(lines)
    byte_tokenizer().save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def folders(data):
    """Three prepared datasets, in several shards each."""
    made = {}
    for name in ("pyx", "pyx_r", "instructions"):
        made[name] = data / "prepared" / name
        held_out = [data / "eval.jsonl"] if name == "pyx" else []
        prepare(
            [data / f"{name}.jsonl"],
            data / "tokenizer",
            made[name],
            held_out=held_out,
            shard_records=16,
        )
    return made


@pytest.fixture(scope="module")
def records(data):
    """The records of all three, in the order of the datasets' names."""
    instructions = list(read_instructions(data / "instructions.jsonl"))
    parts = [list(read_jsonl(data / f"{name}.jsonl")) for name in ("pyx", "pyx_r")]
    return instructions + parts[0] + parts[1]


def options(**changes) -> dict:
    return {"sequence_length": LENGTH, "global_batch_size": 8, "seed": 3} | changes


def assert_equal_batches(ours, expected):
    for batch, other in zip(ours, expected, strict=True):
        assert batch.keys() == other.keys()
        for name in batch:
            assert np.array_equal(batch[name], other[name]) and batch[name].dtype == np.dtype(
                other[name].dtype
            )


MIXTURE = {"forward": 2, "instruction": 0.5, "backward": 0}


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("mixture", [{}, MIXTURE])
def test_batches_are_those_of_the_records_for_any_number_of_processes(
    folders, records, processes, mixture
):
    in_memory = TrainInput(
        tokenize_records(records, byte_tokenizer()), InputConfig(**options(mixture=mixture))
    )
    shares = [
        TrainInput(
            open_tokens(folders, "train"),
            InputConfig(**options(mixture=mixture, process_index=process, process_count=processes)),
        )
        for process in range(processes)
    ]
    for step in (0, 1, 5, 17):
        parts = [share.batch(step) for share in shares]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        assert_equal_batches([joined], [in_memory.batch(step)])
    numbers = shares[0].records(3)
    assert open_tokens(folders, "train").ids(numbers) == [records[n].id for n in numbers]


@pytest.mark.parametrize("stop", [1, 6])
def test_a_run_goes_on_with_another_number_of_processes(folders, stop, tmp_path):
    def inputs(processes: int) -> list[TrainInput]:
        return [
            TrainInput(
                open_tokens(folders, "train"),
                InputConfig(
                    plan_directory=tmp_path,
                    **options(mixture=MIXTURE, process_index=process, process_count=processes),
                ),
            )
            for process in range(processes)
        ]

    unbroken = inputs(1)[0].iterator()
    batches = [next(unbroken) for _ in range(stop + 4)]
    halves = [half.iterator() for half in inputs(2)]
    for _ in range(stop):
        for half in halves:
            next(half)
    states = [json.loads(json.dumps(half.get_state())) for half in halves]
    assert states[0] == states[1] and len(json.dumps(states[0])) < 1000
    quarters = [quarter.iterator() for quarter in inputs(4)]
    for quarter in quarters:
        quarter.set_state(states[0])
    for expected in batches[stop:]:
        parts = [next(quarter) for quarter in quarters]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        assert_equal_batches([joined], [expected])


def test_a_state_of_another_mixture_is_refused(folders):
    tokens = open_tokens(folders, "train")
    state = TrainInput(tokens, InputConfig(**options())).iterator().get_state()
    with pytest.raises(ValueError, match="saved position: expected packs "):
        TrainInput(tokens, InputConfig(**options(mixture=MIXTURE))).iterator().set_state(state)


def test_each_split_and_kind_is_there(folders, data):
    manifest = json.loads((folders["pyx"] / "manifest.json").read_text())
    train = manifest["splits"]["train"]
    assert train["kinds"] == {"nl": 37, "forward": 37, "backward": 36}
    assert [shard["records"] for shard in train["shards"]] == [16] * 6 + [14]
    tokens = open_tokens(folders, "eval")
    assert tokens.dataset_names == ("pyx",) and len(tokens) == 20
    with pytest.raises(PreparedError, match="split 'dev': expected one of eval, train"):
        open_tokens(folders, "dev")
    everything = open_tokens(folders, "train")
    assert everything.dataset_names == ("instructions", "pyx", "pyx_r")
    assert np.bincount(everything.kinds_R).tolist() == [0, 37, 37, 36, 30, 40]
    assert np.bincount(everything.datasets_R).tolist() == [40, 110, 30]


def test_instructions_are_asked_in_the_releases_form(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [
        {"instruction": "Add.", "response": "a + b"},
        {"lang": "python", "index": 3, "problem": "Sum it.", "solution": "sum(x)"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_instructions(path)
    around = (
        "You are an exceptionally intelligent coding assistant that consistently delivers accurate "
        "and reliable <Code> according to <NL_Description>\n\n<NL_Description>\n{}\n\n<Code>\n"
    )
    assert (training_prompt(first), first.response) == (around.format("Add."), "a + b")
    problem = "Write a solution to the following coding problem:\nSum it."
    assert (training_prompt(second), second.response) == (around.format(problem), "sum(x)")


def test_a_built_dataset_is_prepared_with_its_splits(data, tmp_path):
    prepare_pyx({"train": data / "pyx.jsonl", "eval": data / "eval.jsonl"}, tmp_path / "built")
    manifest = prepare([tmp_path / "built"], data / "tokenizer", tmp_path / "tokens")
    assert {name: split["records"] for name, split in manifest["splits"].items()} == {
        "train": 110,
        "eval": 20,
    }
    ids = open_tokens({"x": tmp_path / "tokens"}, "eval").ids(np.arange(20))
    assert ids == [f"r{n}" for n in range(20)]


def test_ids_beyond_16_bits_are_kept(tmp_path, data):
    tokenizer = byte_tokenizer(first_id=2**16 - 100)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    prepare([data / "pyx.jsonl"], tmp_path / "tokenizer", tmp_path / "tokens")
    table = tokenize_records(list(read_jsonl(data / "pyx.jsonl")), tokenizer)
    assert table.tokens_N.max() >= 2**16
    tokens = open_tokens({"x": tmp_path / "tokens"}, "train").tokens(np.arange(110))
    assert np.array_equal(np.concatenate(tokens), table.tokens_N)


def test_another_tokenizer_is_refused_and_a_copy_is_not(folders, tmp_path):
    copy = byte_tokenizer()
    copy.backend_tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A", special_tokens=[("<s>", copy.bos_token_id)]
    )
    assert copy("a")["input_ids"][0] == copy.bos_token_id
    open_tokens(folders, "train", copy)
    with pytest.raises(PreparedError, match="instructions: expected tokens of the model's token"):
        open_tokens(folders, "train", byte_tokenizer(first_id=1))
    merging = byte_tokenizer()
    with_merge = Tokenizer(models.BPE(vocab=merging.get_vocab() | {"de": 258}, merges=[("d", "e")]))
    with_merge.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    other = PreTrainedTokenizerFast(tokenizer_object=with_merge, bos_token="<s>", eos_token="</s>")
    assert tokenizer_digest(other) != tokenizer_digest(merging)


def test_deepseekcoders_tokenizer_and_its_copy_are_one(shared_data):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizer")
    digest = tokenizer_digest(tokenizer)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        "$A", special_tokens=[]
    )
    assert tokenizer_digest(tokenizer) == digest
    assert prepare_module.token_dtype(tokenizer) == np.uint16


# --- damage ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(data, tmp_path):
    prepare([data / "pyx.jsonl"], data / "tokenizer", tmp_path / "tokens", shard_records=64)
    return tmp_path / "tokens"


def refusal(folder: Path) -> str:
    with pytest.raises(PreparedError) as caught:
        open_tokens({"x": folder}, "train").tokens(np.arange(110))
    message = str(caught.value)
    assert "\n" not in message and str(folder) in message
    return message


def test_a_damaged_folder_is_named_in_one_line(folder):
    shard = next(folder.glob("train-00001*"))
    whole = shard.read_bytes()
    flipped = bytearray(whole)
    flipped[100] ^= 0xFF
    shard.write_bytes(flipped)
    assert f"{shard.name}: damaged" in refusal(folder)
    damaged = TrainInput(
        open_tokens({"x": folder}, "train"), InputConfig(**options(num_epochs=1))
    ).iterator()
    with pytest.raises(PreparedError, match=f"{shard.name}: damaged"):  # out of the other thread
        list(damaged)
    # What lies in other shards is read as ever: only what is asked for is touched.
    assert len(open_tokens({"x": folder}, "train").tokens(np.arange(64))) == 64
    shard.write_bytes(whole[:-1000])
    assert f"{shard.name}: expected {len(whole):,} bytes" in refusal(folder)
    shard.unlink()
    assert "no such file" in refusal(folder)
    shard.write_bytes(whole)

    index = folder / "train.index.npz"
    content = index.read_bytes()
    index.write_bytes(content[:-1])
    assert "index.npz: cannot be read" in refusal(folder)
    index.write_bytes(content)
    assert len(open_tokens({"x": folder}, "train").tokens(np.arange(110))) == 110

    manifest = folder / "manifest.json"
    text = manifest.read_text()
    for damage, said in {
        text[:100]: "manifest.json: cannot be read",
        "[]": "expected format 1; got None",
        text.replace('"format": 1', '"format": 7'): "expected format 1; got 7",
        '{"format": 1, "splits": {}}': "token_dtype, tokenizer: missing",
    }.items():
        manifest.write_text(damage)
        assert said in refusal(folder)
    manifest.unlink()
    assert "make them: python -m data_pipeline.prepare" in refusal(folder)


# --- interruption ---------------------------------------------------------------------------------


def test_finished_shards_are_used_again(data, tmp_path, monkeypatch):
    arguments = ([data / "pyx.jsonl"], data / "tokenizer", tmp_path / "tokens")
    written = []
    write = prepare_module._write_shard

    def stopping(path, records, tokenizer, *, after):
        if len(written) == after:
            path.write_bytes(b"half a shard")
            raise KeyboardInterrupt
        written.append(path.name)
        return write(path, records, tokenizer)

    for after in (2, 5):
        monkeypatch.setattr(
            prepare_module, "_write_shard", lambda *a, after=after: stopping(*a, after=after)
        )
        with pytest.raises(KeyboardInterrupt):
            prepare(*arguments, shard_records=16)
        assert not (tmp_path / "tokens").exists()
    monkeypatch.setattr(prepare_module, "_write_shard", lambda *a: stopping(*a, after=-1))
    manifest = prepare(*arguments, shard_records=16)
    assert written == [f"train-{number:05d}-of-00007.array_record" for number in range(7)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tokens.lock", "tokens"]

    assert prepare(*arguments, shard_records=16) == manifest and len(written) == 7  # up to date
    monkeypatch.setattr(prepare_module, "_write_shard", write)
    unbroken = prepare(*arguments[:2], tmp_path / "unbroken", shard_records=16)
    assert unbroken == manifest


def test_other_sources_are_prepared_anew(data, tmp_path):
    output = tmp_path / "tokens"
    first = prepare([data / "pyx.jsonl"], data / "tokenizer", output)
    second = prepare([data / "pyx_r.jsonl"], data / "tokenizer", output)
    assert (first["splits"]["train"]["records"], second["splits"]["train"]["records"]) == (110, 30)
    assert len(open_tokens({"x": output}, "train")) == 30


@pytest.mark.slow
def test_killed_at_any_moment_it_comes_to_the_same(data, tmp_path):
    rows = "".join((data / "pyx.jsonl").read_text() for _ in range(40))
    (tmp_path / "rows.jsonl").write_text(rows)
    output = tmp_path / "tokens"
    command = [sys.executable, "-m", "data_pipeline.prepare", f"--data={tmp_path / 'rows.jsonl'}"]
    command += [f"--tokenizer={data / 'tokenizer'}", "--shard_records=16"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    staging = tmp_path / ".tokens.preparing"
    kept = 0
    for shards in (1, 40, 150):
        process = subprocess.Popen([*command, f"--output={output}"], env=environment)
        while process.poll() is None and len(list(staging.glob("*.npz"))) < shards:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not output.exists()
        assert len(list(staging.glob("*.npz"))) >= max(kept, shards)
        kept = len(list(staging.glob("*.npz")))
    subprocess.run([*command, f"--output={output}"], env=environment, check=True)
    subprocess.run([*command, f"--output={tmp_path / 'unbroken'}"], env=environment, check=True)
    ours, unbroken = (
        json.loads((folder / "manifest.json").read_text())
        for folder in (output, tmp_path / "unbroken")
    )
    assert ours == unbroken
    tokens, expected = (
        open_tokens({"x": folder}, "train").tokens(np.arange(4400))
        for folder in (output, tmp_path / "unbroken")
    )
    assert all(np.array_equal(a, b) for a, b in zip(tokens, expected, strict=True))


# --- bad input ------------------------------------------------------------------------------------


def test_mistakes_end_in_one_line_and_nothing_is_written(data, tmp_path, capsys):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"instruction": "a", "response": "b"}\n{"instruction": "a"}\n')
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    good, tokenizer = f"--data={data / 'pyx.jsonl'}", f"--tokenizer={data / 'tokenizer'}"
    output = f"--output={tmp_path / 'tokens'}"
    cases = {
        f"{tmp_path}/none.jsonl: no such file": [
            f"--data={tmp_path}/none.jsonl",
            tokenizer,
            output,
        ],
        "bad.jsonl:2: fields response, solution: expected exactly one": [
            f"--data={bad}",
            tokenizer,
            output,
        ],
        "empty.jsonl: expected at least one record": [
            f"--data={tmp_path / 'empty.jsonl'}",
            tokenizer,
            output,
        ],
        "--tokenizer: nowhere: no such folder": [good, "--tokenizer=nowhere", output],
        f"--tokenizer: {tmp_path}/other: cannot be read": [
            good,
            f"--tokenizer={tmp_path}/other",
            output,
        ],
        "shard_records: expected at least 1": [good, tokenizer, output, "--shard_records=0"],
        "other: expected a new folder or prepared": [
            good,
            tokenizer,
            f"--output={tmp_path}/other",
        ],
        f"{tmp_path}/other: expected the --output of a build": [
            f"--data={tmp_path}/other",
            tokenizer,
            output,
        ],
    }
    for said, arguments in cases.items():
        assert main(arguments) == 2
        captured = capsys.readouterr()
        lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1 and said in lines[0], captured.err
    assert main([good]) == 2
    assert not (tmp_path / "tokens").exists() and not list(tmp_path.glob(".tokens.prep*"))
