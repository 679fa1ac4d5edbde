"""Shows runs beside the words about them, in the browser.

    python -m semcoder_jax.demo [--checkpoint=DIR]

Open the address that it prints. Write a function and a call: the monologue comes beside the real
run, each line marked by the verifier. Two more tabs write code, and repair code that fails a test.
Programs run in the sandbox only. Without --checkpoint the quickstart's model writes where
runs/quickstart is here, else the narrator, which needs no model.
"""

import argparse
from collections.abc import Sequence

from data_pipeline.files import path_text
from data_pipeline.terminal.command_line import CommandLineError, CommandParser, run_command
from semcoder_jax.server.host_names import host_name


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 clean shutdown, 1 the engine failed, 2 user error."""
    return run_command(_run, argv)


def _run(arguments: Sequence[str]) -> int:
    flags = _flags(arguments)
    from semcoder_jax.demo.run import serve_demo  # Starlette is loaded here, after the flags

    sound = serve_demo(
        flags.checkpoint,
        no_model=flags.no_model,
        host=flags.host,
        port=flags.port,
        allowed_hosts=flags.allowed_host,
        dtype=flags.dtype,
        quantize=flags.weights == "int8",
    )
    return 0 if sound else 1


def _flags(arguments: Sequence[str]) -> argparse.Namespace:
    parser = CommandParser(prog="python -m semcoder_jax.demo", description=__doc__)
    add = parser.add_argument
    add(
        "--checkpoint",
        type=path_text,
        help="HF directory or training workdir (default: the quickstart's)",
    )
    add("--no_model", action="store_true", help="let the narrator write, whatever there is")
    add("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    add("--port", type=int, default=7860, help="0: any free one (default 7860)")
    add(
        "--allowed_host",
        action="append",
        default=[],
        type=host_name,
        help="another name of this server",
    )
    add("--dtype", choices=["float32", "bfloat16"], help="default: float32 on CPU, else bfloat16")
    add("--weights", default="as_computed", choices=["as_computed", "int8"])
    flags = parser.parse_args(arguments)
    if flags.no_model and flags.checkpoint is not None:
        raise CommandLineError("--no_model and --checkpoint: expected one or the other")
    if not 0 <= flags.port <= 65_535:
        raise CommandLineError(f"--port={flags.port}: expected 0 to 65535")
    return flags
