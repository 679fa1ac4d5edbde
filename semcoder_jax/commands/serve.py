"""Serves a model over HTTP with OpenAI's API.

    python -m semcoder_jax.serve --checkpoint=DIR

DIR is an HF directory or a training workdir. The API's address is http://127.0.0.1:8000/v1.
Requests need an API key if the variable SEMCODER_API_KEY or the file --api_key_file contains one.
After SIGTERM the server rejects new requests and gives running ones --grace seconds to finish.
After Ctrl-C it ends them at once, with an error; a second Ctrl-C does not wait for that either.
"""

import argparse
import os
from collections.abc import Sequence

from data_pipeline.files import as_path, named_path, path_text
from data_pipeline.terminal.command_line import CommandLineError, CommandParser, run_command
from semcoder_jax.server.host_names import host_name

API_KEY_VARIABLE = "SEMCODER_API_KEY"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 clean shutdown, 1 the engine failed, 2 user error."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    flags = _flags(arguments)
    from semcoder_jax.server.run import serve  # JAX starts here, after the flags

    sound = serve(
        flags.checkpoint,
        host=flags.host,
        port=flags.port,
        api_key=_api_key(flags.api_key_file),
        model_name=flags.model_name,
        dtype=flags.dtype,
        quantize=flags.weights == "int8",
        cache_dtype=flags.cache_dtype,
        tensor_parallel=flags.tensor_parallel,
        num_slots=flags.num_slots,
        cache_tokens=flags.cache_tokens,
        speculation=flags.speculation,
        max_waiting=flags.max_waiting,
        max_samples=flags.max_n,
        max_prompt_tokens=flags.max_prompt_tokens,
        grace_seconds=flags.grace,
        allowed_hosts=flags.allowed_host,
        chat_template=flags.chat_template,
        adapters=_adapters(flags.adapter),
    )
    return 0 if sound else 1


def _flags(arguments: Sequence[str]) -> argparse.Namespace:
    parser = CommandParser(prog="python -m semcoder_jax.serve", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", required=True, type=path_text, help="HF directory or training workdir")
    add("--model_name", help="what clients call it (default: the directory's name)")
    add(
        "--adapter",
        action="append",
        default=[],
        metavar="NAME=DIR",
        type=named_path,
        help="adapters in peft's format over the model, under a name of their own; may be repeated",
    )
    add("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    add(
        "--allowed_host",
        action="append",
        default=[],
        type=host_name,
        help="another name of this server",
    )
    add(
        "--chat_template",
        metavar="FILE|semcoder",
        type=path_text,
        help="Jinja template of chats (default: the tokenizer's); semcoder: the release's prompt",
    )
    add("--port", type=int, default=8000, help="0: any free one (default 8000)")
    add(
        "--api_key_file",
        type=path_text,
        help=f"file with the API key (else the variable {API_KEY_VARIABLE})",
    )
    add("--dtype", choices=["float32", "bfloat16"], help="default: float32 on CPU, else bfloat16")
    add("--weights", default="as_computed", choices=["as_computed", "int8"])
    add("--cache_dtype", choices=["float32", "bfloat16", "int8"], help="default: --dtype")
    add("--tensor_parallel", type=int, default=1, help="devices the model is split over")
    add("--num_slots", type=int, help="samples decoded together (16 on CPU, 64 elsewhere)")
    add("--cache_tokens", type=int, help="positions that the cache holds in all")
    add("--speculation", default="auto", choices=["auto", "always", "off"])
    add("--max_waiting", type=int, default=256, help="samples in line beyond the slots, then 429")
    add("--max_n", type=int, default=256, help="most samples of one request")
    add("--max_prompt_tokens", type=int, help="default: the context")
    add("--grace", type=int, default=30, help="seconds for answers under way after SIGTERM")
    flags = parser.parse_args(arguments)
    for name, least in (
        ("num_slots", 1),
        ("cache_tokens", 1),
        ("max_waiting", 0),
        ("max_n", 1),
        ("max_prompt_tokens", 1),
        ("tensor_parallel", 1),
        ("grace", 0),
        ("port", 0),
    ):
        value = getattr(flags, name)
        if value is not None and value < least:
            raise CommandLineError(f"--{name}={value}: expected at least {least}")
    if flags.port > 65_535:
        raise CommandLineError(f"--port={flags.port}: expected at most 65535")
    return flags


def _adapters(given: Sequence[str]) -> dict[str, str]:
    """Returns directories by name."""
    found: dict[str, str] = {}
    for each in given:
        name, _, directory = each.partition("=")
        if not name or not directory:
            raise CommandLineError(f"--adapter={each}: expected NAME=DIR")
        if name in found:
            raise CommandLineError(f"--adapter={each}: {name!r} names {found[name]} already")
        found[name] = directory
    return found


def _api_key(path: str | None) -> str | None:
    if path is None:
        return os.environ.get(API_KEY_VARIABLE, "").strip() or None
    try:
        key = as_path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "not UTF-8"
        raise CommandLineError(f"--api_key_file={path}: {said}") from None
    if not key:
        raise CommandLineError(f"--api_key_file={path}: empty, expected a key")
    return key
