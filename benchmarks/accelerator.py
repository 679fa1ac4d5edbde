"""Measures training and decoding on one accelerator within ten minutes, without a network.

    python benchmarks/accelerator.py --fetch=WHEELS        # before, where there is a network
    python benchmarks/accelerator.py --output=DIR [--wheels=WHEELS]
    python benchmarks/accelerator.py --output=DIR --tiny   # does it run? any machine, no figures

The machine has a Python with JAX for its device; --wheels names a folder of what else the
benchmarks import, which is installed for this run alone. --fetch fills that folder for Python 3.12
on Linux with the versions of the environment in which it is called.

Stages run one after another, what matters most first: MFU of training 1.3B (train.py), the share of
memory bandwidth that decoding one row reaches in bfloat16 and int8 (sampling.py), then the same of
6.7B, and torch. Each is a process with its own time limit. A stage that fails or takes too long is
reported and the next one starts; one for which memory or time does not suffice is left out. What a
stage prints goes to DIR/STAGE.log, its figures to DIR/figures.jsonl as soon as it ends, so that a
run that is killed keeps them.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# What the benchmarks import and a Python with JAX and transformers may lack.
WHEELS = (
    "absl-py", "argcomplete", "array-record", "etils", "flax", "grain", "httpx2", "httpcore2",
    "ml-collections", "optax", "orbax-checkpoint", "portpicker", "tensorstore", "truststore",
)  # fmt: skip
SHOWN = (*WHEELS, "jax", "jaxlib", "numpy", "torch", "transformers")
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")
SHORTEST = 20.0  # seconds in which a stage can end
BYTES_A_PARAMETER = {"train": 18, "decode": 3}  # weights, moments, gradients, activations
PARAMETERS = {"tiny": 1e5, "1.3b": 1.35e9, "6.7b": 6.74e9}
DEVICE = """
import jax, json
device = jax.devices()[0]
limit = (device.memory_stats() or {}).get("bytes_limit")
print(json.dumps({"device": device.device_kind, "bytes": limit}))
"""


@dataclasses.dataclass(frozen=True)
class Stage:
    """A command with a time limit.

    Attributes:
      command: arguments of this Python.
      seconds: the limit.
      memory: bytes of device memory that it needs.
    """

    name: str
    command: tuple[str, ...]
    seconds: float
    memory: float = 0


def stages(size_names: tuple[str, ...], models: Path) -> Iterator[Stage]:
    """Yields the stages for sizes in ascending order: ours of all sizes, then torch's."""
    yield Stage("imports", ("-c", "import benchmarks.train_sides, semcoder_jax.inference.engine\n"
                            "import semcoder_jax.hf, semcoder_jax.training.step"), 60)  # fmt: skip
    for name in size_names:
        yield train_stage(name, "jax", models, 170)
        yield Stage(
            f"decode-{name}",
            ("benchmarks/sampling.py", *flags(name, models), "--kinds=bf16,int8"),
            130, PARAMETERS[name] * BYTES_A_PARAMETER["decode"],
        )  # fmt: skip
    # Torch's compiler would take longest of all where nothing else takes time.
    yield train_stage(size_names[0], "eager" if "tiny" in size_names else "compiled", models, 150)


def train_stage(size: str, side: str, models: Path, seconds: float) -> Stage:
    memory = PARAMETERS[size] * BYTES_A_PARAMETER["train"]
    command = ("benchmarks/train.py", *flags(size, models), f"--sides={side}")
    return Stage(f"train-{size}-{side}", command, seconds, memory)


def flags(size: str, models: Path) -> tuple[str, ...]:
    return (f"--directory={models}", "--accelerator", f"--size={size}", "--json")


def main() -> int:
    arguments = parse_arguments()
    if arguments.fetch:
        return fetch(Path(arguments.fetch))
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        environment = environment_for(Path(scratch), arguments.wheels)
        print(describe_packages(environment), flush=True)
        sizes = ("tiny",) if arguments.tiny else ("1.3b", "6.7b")
        plan = stages(sizes, Path(scratch, "models"))
        if arguments.tiny:  # a busy CPU proves nothing
            plan = (dataclasses.replace(stage, seconds=float("inf")) for stage in plan)
        deadline = time.monotonic() + 60 * arguments.minutes
        return run_all(plan, output, environment, deadline, device_memory(environment))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output", metavar="DIR", help="receives figures and logs")
    what.add_argument("--fetch", metavar="WHEELS", help="download the wheels and end")
    parser.add_argument("--wheels", metavar="WHEELS", help="install what is there for this run")
    parser.add_argument("--minutes", type=float, default=9.0, help="for all stages (9)")
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that it runs")
    return parser.parse_args()


# ==== The environment


def environment_for(scratch: Path, wheels: str | None) -> dict[str, str]:
    """Returns the environment of the stages, with the wheels installed below `scratch`."""
    paths = [str(REPOSITORY)]
    if wheels:
        found = sorted(str(path) for path in Path(wheels).glob("*.whl"))
        if not found:
            raise SystemExit(f"error: --wheels={wheels}: no wheels there; fill it with --fetch")
        target = scratch / "site"
        install = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile")
        command = [sys.executable, *install, f"--target={target}", *found]
        if subprocess.run(command).returncode:
            raise SystemExit(f"error: --wheels={wheels}: pip could not install them")
        paths.append(str(target))
    if inherited := os.environ.get("PYTHONPATH"):
        paths.append(inherited)
    # The default share of 75 % leaves 6.7B no room; stages run one after another.
    share = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95", "PYTHONUNBUFFERED": "1"}
    return share | os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def describe_packages(environment: dict[str, str]) -> str:
    """Returns a line of versions as the stages see them, each package once."""
    program = (
        "import importlib.metadata as m, sys\n"
        "every = reversed([*m.distributions()])\n"  # the first on the path is imported
        "found = {d.name.lower().replace('_', '-'): d.version for d in every}\n"
        "print('Python', sys.version.split()[0], *(f'{n} {found.get(n, \"missing\")}'"
        " for n in sys.argv[1:]), sep=', ')"
    )
    command = [sys.executable, "-c", program, *sorted(SHOWN)]
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip()


def device_memory(environment: dict[str, str]) -> float:
    """Returns the bytes of the device's memory; prints its name. Unlimited if it does not say."""
    command = [sys.executable, "-c", DEVICE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise SystemExit(f"error: JAX finds no device: {done.stderr.strip().splitlines()[-1:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found), flush=True)
    return found["bytes"] or float("inf")


def fetch(folder: Path) -> int:
    """Downloads WHEELS for Python 3.12 on Linux, in the versions of this environment."""
    from importlib.metadata import version

    wanted = [f"{name}=={version(name)}" for name in WHEELS]
    platforms = [f"--platform={name}_x86_64" for name in PLATFORMS]
    command = ["download", "--no-deps", "--only-binary=:all:", "--python-version=3.12"]
    return subprocess.run(
        [sys.executable, "-m", "pip", *command, *platforms, f"--dest={folder}", *wanted]
    ).returncode


# ==== Stages


def run_all(
    plan: Iterator[Stage], output: Path, environment: dict[str, str], deadline: float, memory: float
) -> int:
    """Runs the stages; returns 0 if each of them ended well or was left out."""
    failed = []
    for stage in plan:
        left = deadline - time.monotonic()
        if stage.memory > memory:
            figures = {"left_out": f"needs {stage.memory / 1e9:.0f} GB of device memory"}
        elif left < SHORTEST:
            figures = {"left_out": "no time is left"}
        else:
            figures = run_stage(stage, min(stage.seconds, left), output, environment)
        with (output / "figures.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": stage.name} | figures) + "\n")
        print(f"{stage.name}: {describe(figures)}", flush=True)
        if "error" in figures:
            failed.append(stage.name)
    return int(bool(failed))


def run_stage(
    stage: Stage, seconds: float, output: Path, environment: dict[str, str]
) -> dict[str, object]:
    """Runs a stage; returns its last line's JSON as `result`, or an `error`, and its `seconds`."""
    log = output / f"{stage.name}.log"
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, *stage.command], cwd=REPOSITORY, env=environment,
            stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its sides too
            process.communicate()
            return {"error": f"took over {seconds:.0f} s", "seconds": round(seconds)}
    took = {"seconds": round(time.monotonic() - started)}
    if process.returncode:
        took |= {"error": f"ended with {process.returncode}, see {log.name}"}
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    return ({"result": json.loads(lines[-1])} if lines else {}) | took


def describe(figures: dict) -> str:
    """Returns a line with what a stage came to: MFU, tokens/s and shares of bandwidth."""
    told = [f"{name}: {figures[name]}" for name in ("error", "left_out") if name in figures]
    result = figures.get("result", {})
    if "sides" in result:
        told += describe_training(result["sides"])
    else:
        told += describe_decoding(result)
    if "seconds" in figures:
        told.append(f"{figures['seconds']} s")
    return "; ".join(told)


def describe_training(sides: dict) -> Iterator[str]:
    for side, row in sides.items():
        reached = row["flops"] / min(row["seconds"])
        yield f"{side} {reached / 1e12:.3g} TFLOP/s"
        if row["peak_flops"]:
            yield f"MFU {reached / row['peak_flops']:.1%}"


def describe_decoding(result: dict) -> Iterator[str]:
    for rows in result.values():
        limit = rows.get("bandwidth", {}).get("bytes_per_second")
        for kind, row in rows.items():
            if limit and "bytes" in row:
                share = row["1"] * row["bytes"] / limit
                name = kind.removeprefix("accelerator_")
                yield f"{name}: {row['1']:.1f} tokens/s, {share:.0%} of bandwidth"


if __name__ == "__main__":
    sys.exit(main())
