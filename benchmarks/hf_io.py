"""Measures import and export of a full-size checkpoint: time, peak memory, and the disk's rate.

    python benchmarks/hf_io.py --size=1.3b --directory=DIR

Creates DIR/source once: random weights of the DeepSeekCoder family in bfloat16, 5 GB shards. Each
row runs in a fresh process, with the files removed from the page cache first, so that all read from
the disk. Peak memory is the process's largest resident set, including libraries. Measure on a quiet
machine.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.models import open_directory
from data_pipeline.files import partial_folder, replace_folder

CHUNK = 1 << 24
PHASES = {
    "cat": "cat of the files",
    "jax_import": "semcoder_jax import",
    "import_command": "python -m semcoder_jax.hf import",
    "transformers_load": "transformers from_pretrained",
    "copy": "copy of the files, synced",
    "jax_export": "semcoder_jax export",
    "export_command": "python -m semcoder_jax.hf export",
    "transformers_save": "transformers save_pretrained",
}


def main() -> None:
    flags = _flags()
    directory = Path(flags.directory)
    source = directory / "source"
    if flags.phase:
        print(json.dumps(run_phase(flags.phase, source, directory / "export")))
        return
    open_directory(directory)
    if not (source / "config.json").exists():
        make_source(source, flags.size, flags.tokenizer)
    rows = measure(directory, flags.phases.split(","))
    if flags.json:
        print(json.dumps(rows))
    else:
        print_table(rows)


def measure(directory: Path, phases: list[str]) -> dict[str, dict]:
    """Runs each phase in its own process, and compares JAX's export with its source by bytes."""
    rows = {}
    for phase in phases:
        shutil.rmtree(directory / "export", ignore_errors=True)
        os.sync()
        for path in (directory / "source").iterdir():
            _forget(path)
        command = [sys.executable, __file__, f"--directory={directory}", f"--phase={phase}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows[phase] = json.loads(done.stdout.splitlines()[-1])
        if phase in ("jax_export", "export_command"):
            rows[phase]["identical"] = identical(directory / "source", directory / "export")
    shutil.rmtree(directory / "export", ignore_errors=True)
    return rows


def run_phase(phase: str, source: Path, output: Path) -> dict:
    """Runs one phase in this process; returns its seconds, bytes moved and peak memory."""
    weights = sorted(source.glob("*.safetensors"))
    result = {"bytes": sum(path.stat().st_size for path in weights)}
    if phase == "cat":
        seconds = _measure_seconds(lambda: [_read_through(path) for path in weights])
    elif phase == "copy":
        output.mkdir()
        seconds = _measure_seconds(lambda: [_copy(path, output / path.name) for path in weights])
    elif phase.endswith("_command"):
        seconds = _command_phase(phase, source, output)
    elif phase.startswith("jax"):
        seconds = _jax_phase(phase, source, output, result)
    else:
        seconds = _transformers_phase(phase, source, output)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result | {"seconds": seconds, "peak": peak}


def _jax_phase(phase: str, source: Path, output: Path, result: dict) -> float:
    import jax

    from semcoder_jax import hf

    jax.devices()
    result["before"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    loaded = {}

    def load():
        loaded["config"], loaded["params"] = hf.load(source, dtype="bfloat16", progress=True)
        jax.block_until_ready(loaded["params"])

    seconds = _measure_seconds(load)
    if phase == "jax_export":
        tokenizer = hf.read_tokenizer(source)
        seconds = _measure_seconds(
            lambda: hf.export(
                output, loaded["config"], loaded["params"], tokenizer, dtype="bfloat16"
            )
        )
    return seconds


def _command_phase(phase: str, source: Path, output: Path) -> float:
    """Runs a command: import writes an Orbax checkpoint, from which export starts."""
    from semcoder_jax.commands.hf import main as hf_command

    workdir = source.with_name("workdir")
    arguments = ["export", f"--checkpoint={workdir}", f"--output={output}"]
    if phase == "import_command":
        shutil.rmtree(workdir, ignore_errors=True)
        arguments = ["import", f"--source={source}", f"--output={workdir}"]
    return _measure_seconds(lambda: hf_command(arguments))


def _transformers_phase(phase: str, source: Path, output: Path) -> float:
    import torch
    from transformers import LlamaForCausalLM

    loaded = {}

    def load():
        model = LlamaForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
        # Loading maps the files, so a parameter is read when first used.
        loaded["sum"] = sum(
            parameter.view(torch.int16)[..., ::1024].sum() for parameter in model.parameters()
        )
        loaded["model"] = model

    seconds = _measure_seconds(load)
    if phase == "transformers_save":
        seconds = _measure_seconds(lambda: (loaded["model"].save_pretrained(output), os.sync()))
    return seconds


def make_source(source: Path, size: str, tokenizer: str | None) -> None:
    """Writes random weights of realistic size, cut from one block of normal numbers."""
    from semcoder_jax.config import MODELS
    from semcoder_jax.hf.config import config_fields, write_json
    from semcoder_jax.hf.layout import tensor_shapes
    from semcoder_jax.hf.shards import ShardWriter

    partial = partial_folder(source)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    config = MODELS[size]
    rng = np.random.default_rng(0)
    block = (0.02 * rng.standard_normal(CHUNK, np.float32)).astype(ml_dtypes.bfloat16)
    shapes = tensor_shapes(config)
    writer = ShardWriter(partial, shapes, "bfloat16")
    for name, shape in shapes.items():
        length = int(np.prod(shape))
        repeated = np.tile(block, -(-length // CHUNK) + 1)
        start = int(rng.integers(CHUNK))
        writer.write(name, repeated[start : start + length].reshape(shape))
    writer.close()
    if tokenizer is None:
        _write_byte_tokenizer(partial)
    else:
        for path in Path(tokenizer).glob("tokenizer*.json"):
            shutil.copy(path, partial)
    ids = {"bos_token_id": 0, "eos_token_id": 1}
    write_json(partial / "config.json", config_fields(config, dtype="bfloat16", token_ids=ids))
    replace_folder(partial, source)


def _write_byte_tokenizer(directory: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {token: index for index, token in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(directory)


def identical(directory: Path, other: Path) -> bool:
    """Returns whether every tensor has the same bytes in both."""
    from semcoder_jax.hf.shards import ShardReader

    ours, theirs = ShardReader(directory), ShardReader(other)
    return ours.shapes == theirs.shapes and all(
        np.array_equal(ours.read(name).view(np.uint16), theirs.read(name).view(np.uint16))
        for name in ours.shapes
    )


def print_table(rows: dict[str, dict]) -> None:
    print(f"{'':<36}{'seconds':>9}{'GB/s':>8}{'to disk':>9}{'peak GB':>9}{'weights GB':>12}")
    for phase, row in rows.items():
        reference = rows.get(
            "cat" if phase in ("cat", "jax_import", "transformers_load") else "copy"
        )
        ratio = f"{row['seconds'] / reference['seconds']:.2f}×" if reference else ""
        print(
            f"{PHASES[phase]:<36}{row['seconds']:>9.2f}{row['bytes'] / row['seconds'] / 1e9:>8.2f}"
            f"{ratio:>9}{row['peak'] / 1e9:>9.2f}{row['bytes'] / 1e9:>12.2f}"
        )
    for phase in rows.keys() & {"jax_export", "export_command"}:
        print(f"{PHASES[phase]}: tensors identical to the source: {rows[phase]['identical']}")


def _measure_seconds(work) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _read_through(path: Path) -> None:
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(CHUNK)
        while file.readinto(buffer):
            pass


def _copy(path: Path, to: Path) -> None:
    with open(path, "rb", buffering=0) as source, open(to, "wb", buffering=0) as target:
        while data := source.read(CHUNK):
            target.write(data)
        os.fsync(target.fileno())


def _forget(path: Path) -> None:
    """Removes the file from the page cache."""
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--size", default="1.3b", choices=["1.3b", "6.7b", "33b"])
    parser.add_argument(
        "--directory", required=True, help="scratch space, four models large; made if missing"
    )
    parser.add_argument("--tokenizer", help="directory of tokenizer files; default: bytes")
    parser.add_argument("--phases", default=",".join(PHASES))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--phase", choices=PHASES, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
