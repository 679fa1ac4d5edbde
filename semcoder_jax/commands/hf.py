"""Commands of the Hugging Face port.

    python -m semcoder_jax.hf import --source=HF_DIR_OR_ID --output=ORBAX_DIR
    python -m semcoder_jax.hf export --checkpoint=DIR --output=HF_DIR
    python -m semcoder_jax.hf verify --source=HF_DIR --checkpoint=DIR
    python -m semcoder_jax.hf push   --directory=HF_DIR --repo_id=OWNER/NAME

A checkpoint DIR is a training workdir or what import wrote (the same layout), or an HF directory.
"""

import argparse
import contextlib
import ctypes
import dataclasses
import functools
import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from flax import nnx

from semcoder_jax import checkpoints, hf
from semcoder_jax.hf import card, hub, verification
from semcoder_jax.hf.adapter import export_adapter
from semcoder_jax.hf.config import CONFIG_FILE, DTYPES, read_json, stored_dtype
from semcoder_jax.hf.directory import renamed_when_complete
from semcoder_jax.hf.layout import parameter_count, tensor_shapes
from semcoder_jax.hf.shards import DEFAULT_SHARD_BYTES, Shards, check_space
from semcoder_jax.hf.weights import tensor_by_name
from semcoder_jax.model import sharding

IMPORTED_STEP = 0
FILE_BYTES = 1 << 26  # of an imported checkpoint's files and of the pieces in them
M_MMAP_THRESHOLD = -3  # glibc, malloc.h
USER_ERRORS = (hf.HFError, checkpoints.CheckpointError, sharding.MeshError)


def main(arguments: list[str] | None = None) -> int:
    flags = _parser().parse_args(arguments)
    logging.set_verbosity(logging.ERROR)  # Orbax warns about its own defaults
    _return_freed_memory()
    try:
        if getattr(flags, "distributed", False):
            jax.distributed.initialize()
        return flags.run(flags)
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted; the same command starts over or goes on", file=sys.stderr)
        return 130


def import_command(flags) -> int:
    """HF directory or id → a workdir: model/ (config, tokenizer) and checkpoints/ (Orbax)."""
    output = Path(flags.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise hf.HFError(f"{output}: already exists and is not empty")
    source = hub.find_source(flags.source, revision=flags.revision)
    config, tokenizer = hf.read_config(source), hf.read_tokenizer(source)
    dtype = flags.dtype or stored_dtype(source)
    first = jax.process_index() == 0
    with renamed_when_complete(output, overwrite=False) as partial:
        if first:
            check_space(partial, parameter_count(config) * np.dtype(dtype).itemsize)
            model = partial / checkpoints.MODEL
            origin = None if Path(flags.source).is_dir() else flags.source
            hf.write_model_directory(model, config, tokenizer, dtype=dtype, origin=origin)
        _, params = hf.load(source, mesh=_mesh(flags), dtype=dtype, progress=True)
        _save(partial, params)
    if first:
        print(f"{output}: {parameter_count(config):,} parameters in {dtype}")
    return 0


def export_command(flags) -> int:
    checkpoint = Path(flags.checkpoint)
    model_directory = _model_directory(checkpoint)
    if flags.adapter:
        return _export_adapter(flags, checkpoint, model_directory)
    dtype = flags.dtype or stored_dtype(model_directory)
    content = _card_content(flags, checkpoint, model_directory)
    model = checkpoints.load_model(checkpoint, mesh=_mesh(flags), dtype=dtype)
    hf.export(
        flags.output,
        model.config,
        model.params,
        model.tokenizer,
        dtype=dtype,
        shard_bytes=int(flags.shard_gigabytes * 1e9),
        card=card.model_card(content, model.config, parameter_count(model.config), dtype),
        overwrite=flags.overwrite,
        progress=True,
    )
    if jax.process_index() == 0:
        print(f"{flags.output}: {parameter_count(model.config):,} parameters in {dtype}")
    return 0


def _export_adapter(flags, checkpoint: Path, model_directory: Path) -> int:
    adapters = None
    if model_directory != checkpoint:
        adapters = checkpoints.load_adapters(checkpoint)
    if adapters is None:
        raise hf.HFError(f"{checkpoint}: --adapter expects the workdir of a run with lora")
    config = hf.read_config(model_directory)
    base_model = flags.base_model or _name_of_base(adapters.base)
    content = _card_content(flags, checkpoint, model_directory)
    if not content.base_model and hub.is_hub_id(base_model):
        content = dataclasses.replace(content, base_model=base_model)
    content = dataclasses.replace(content, adapter=True)
    export_adapter(
        flags.output,
        config,
        adapters.lora,
        adapters.params,
        base_model=base_model,
        license_directory=_model_directory(adapters.base),
        card=card.model_card(content, config, parameter_count(config), adapters.lora.base),
        overwrite=flags.overwrite,
    )
    if jax.process_index() == 0:
        count = sum(leaf.size for leaf in jax.tree.leaves(adapters.params))
        print(f"{flags.output}: adapters of {count:,} parameters for {base_model}")
    return 0


def _name_of_base(base: Path) -> str:
    """What ``peft`` is to load: an HF directory, or the hub id that a workdir was imported from."""
    directory = _model_directory(base)
    if directory == base:
        return str(base.absolute())
    origin = read_json(directory / CONFIG_FILE).get("_name_or_path")
    if not hub.is_hub_id(origin):
        raise hf.HFError(
            f"{base}: the adapters' base is a workdir of no known hub id; export it and name that "
            f"directory as --base_model"
        )
    return origin


def verify_command(flags) -> int:
    source = hub.find_source(flags.source, revision=flags.revision)
    checkpoint = Path(flags.checkpoint)
    config = hf.read_config(source)
    model_directory = _model_directory(checkpoint)
    if config != hf.read_config(model_directory):
        raise hf.HFError(
            f"{flags.source} and {checkpoint} are of different architecture: {config} and "
            f"{hf.read_config(model_directory)}"
        )
    if model_directory == checkpoint:
        shards = Shards(checkpoint)
        shards.check(tensor_shapes(config), ignored=("lm_head.weight",))
        tensor_of = shards.read
    else:
        dtype = stored_dtype(model_directory)
        model = checkpoints.load_model(checkpoint, mesh=_mesh(flags), dtype=dtype)
        tensor_of = functools.partial(tensor_by_name, config, model.params, dtype)
    tokenizer = hf.read_tokenizer(source)
    text = Path(verification.__file__).read_text(encoding="utf-8")
    length = min(flags.tokens, config.max_positions)
    ids = tokenizer.encode(text, add_special_tokens=False)[: flags.rows * length]
    tokens_BxT = np.resize(np.array(ids), (flags.rows, length))
    report = verification.verify(source, config, tensor_of, tokens_BxT, progress=True)
    print(report)
    return 0 if report.passed else 1


def push_command(flags) -> int:
    plan = hub.plan_push(
        flags.directory, flags.repo_id, private=not flags.public, revision=flags.revision
    )
    print(plan)
    if flags.dry_run:
        print("dry run: nothing was sent")
        return 0
    print(hub.push(flags.directory, plan))
    return 0


def _save(workdir: Path, params: nnx.State) -> None:
    """Write an Orbax checkpoint without holding the model twice: Orbax copies as many arrays at
    once as the largest one is large, and keeps one file's worth of them compressed."""
    pure = nnx.to_pure_dict(params)
    options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
    limit = checkpoints.largest_gigabytes(pure)
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    registry.add(
        "params", ocp.args.PyTreeSave, ocp.PyTreeCheckpointHandler(save_concurrent_gb=limit)
    )
    saved = ocp.args.PyTreeSave(
        pure,
        save_args=jax.tree.map(lambda _: ocp.SaveArgs(chunk_byte_size=FILE_BYTES), pure),
        ocdbt_target_data_file_size=FILE_BYTES,
    )
    with ocp.CheckpointManager(
        (workdir / checkpoints.CHECKPOINTS).absolute(), options=options, handler_registry=registry
    ) as manager:
        manager.save(IMPORTED_STEP, args=ocp.args.Composite(params=saved))


def _return_freed_memory() -> None:
    """Let glibc give blocks from 1 MiB on back to the system when they are freed: it would keep
    up to 32 MiB each for later, half a gigabyte in all where a model is read."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 20)


def _mesh(flags):
    """All devices, parameters split over them as asked."""
    return sharding.make_mesh({"fsdp": -1, "tensor": flags.tensor})


def _model_directory(checkpoint: Path) -> Path:
    """Where config.json and the tokenizer of a checkpoint lie."""
    if (checkpoint / checkpoints.CHECKPOINTS).is_dir():
        return checkpoint / checkpoints.MODEL
    if not (checkpoint / CONFIG_FILE).is_file():
        raise hf.HFError(
            f"{checkpoint}: neither a workdir ({checkpoints.CHECKPOINTS}/) nor an HF directory "
            f"({CONFIG_FILE})"
        )
    return checkpoint


def _card_content(flags, checkpoint: Path, model_directory: Path) -> card.CardContent:
    origin = flags.base_model or read_json(model_directory / CONFIG_FILE).get("_name_or_path")
    run_record = checkpoint / "config.json"
    recipe = None
    if model_directory != checkpoint and run_record.is_file():
        recipe = read_json(run_record)
    scores = read_json(Path(flags.scores)) if flags.scores else {}
    for name, value in scores.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise hf.HFError(f"{flags.scores}: {name}={value!r}, expected a number")
    return card.CardContent(
        name=flags.name or Path(flags.output).name,
        license=flags.license
        or card.default_license(
            origin, hf.read_config(model_directory), trained_here=recipe is not None
        ),
        base_model=origin if hub.is_hub_id(origin) else None,
        data=tuple(flags.data),
        recipe=recipe,
        scores=scores,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"error: {message} (see --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m semcoder_jax.hf",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    command = commands.add_parser("import", help="a HF directory or hub id into an Orbax workdir")
    command.add_argument("--source", required=True, help="directory, or hub id owner/name")
    command.add_argument("--output", required=True, help="new workdir")
    command.add_argument("--dtype", choices=DTYPES, help="default: as stored")
    command.add_argument("--revision", help="of a hub id")
    _add_device_flags(command)
    command.set_defaults(run=import_command)

    command = commands.add_parser("export", help="a checkpoint into a HF directory")
    command.add_argument("--checkpoint", required=True, help="workdir (its latest checkpoint)")
    command.add_argument("--output", required=True, help="new HF directory")
    command.add_argument("--dtype", choices=DTYPES, help="default: as in model/config.json")
    command.add_argument("--overwrite", action="store_true", help="replace an existing directory")
    command.add_argument(
        "--shard_gigabytes", type=_positive, default=DEFAULT_SHARD_BYTES / 1e9, metavar="GB"
    )
    command.add_argument(
        "--adapter", action="store_true", help="of a LoRA run: its adapters for peft, not merged"
    )
    command.add_argument("--name", help="of the model, in its card; default: the directory's")
    command.add_argument("--base_model", help="in the card, and for peft; default: as imported")
    command.add_argument("--data", action="append", default=[], help="a data source; repeatable")
    command.add_argument("--scores", help='JSON file {"HumanEval pass@1": 0.5, …}, measured')
    command.add_argument("--license", choices=sorted(card.LICENSES))
    _add_device_flags(command)
    command.set_defaults(run=export_command)

    command = commands.add_parser("verify", help="tensors and logits of two copies of a model")
    command.add_argument("--source", required=True, help="HF directory or id, by transformers")
    command.add_argument("--checkpoint", required=True, help="workdir or HF directory, by JAX")
    command.add_argument("--revision", help="of a hub id")
    command.add_argument("--rows", type=int, default=2, help="prompts, at spread positions")
    command.add_argument("--tokens", type=int, default=256, help="of each prompt")
    _add_device_flags(command)
    command.set_defaults(run=verify_command)

    command = commands.add_parser("push", help="a HF directory to the hub (token: HF_TOKEN)")
    command.add_argument("--directory", required=True, help="exported HF directory")
    command.add_argument("--repo_id", required=True, help="owner/name")
    command.add_argument("--revision", default="main", help="branch; created if missing")
    command.add_argument("--public", action="store_true", help="default: private")
    command.add_argument("--dry_run", action="store_true", help="only list files and sizes")
    command.set_defaults(run=push_command)
    return parser


def _add_device_flags(command) -> None:
    command.add_argument("--tensor", type=int, default=1, help="devices that split a layer's width")
    command.add_argument(
        "--distributed", action="store_true", help="run on all hosts of a pod (jax.distributed)"
    )


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value
