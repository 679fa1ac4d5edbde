"""Says what this machine can do: sandbox, accelerators, packages, memory, disk, caches, token.

    python -m semcoder_jax.doctor [--json] [--benchmarks]

Prints one table and, below it, what would improve each row. "limited" means that something optional
is missing; "BROKEN" means that something needed fails, and the exit status is then 1. --benchmarks
also scores the references and wrong answers of all benchmarks whose data can be had (minutes;
python -m semcoder_jax.evaluate check).
"""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence

from data_pipeline.terminal.command_line import CommandParser, run_command
from semcoder_jax.doctor import machine
from semcoder_jax.doctor.findings import BROKEN, OK, Finding, findings_table, is_sound
from semcoder_jax.doctor.packages import examine_packages


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 nothing needed is broken, 1 something is, 2 user error."""
    return run_command(_run, argv)


def examine() -> list[Finding]:
    """Examines everything; takes a few seconds, most of them for JAX to start."""
    return [
        machine.examine_python(),
        *examine_packages(),
        machine.examine_sandbox(),
        machine.examine_accelerators(),
        machine.examine_tpu_compiler(),
        machine.examine_processors(),
        machine.examine_memory(),
        *machine.examine_cache(),
        machine.examine_hub_token(),
    ]


def _run(arguments: Sequence[str]) -> int:
    parser = CommandParser(prog="python -m semcoder_jax.doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument(
        "--benchmarks", action="store_true", help="also check ceilings and floors of benchmarks"
    )
    options = parser.parse_args(arguments)
    findings = examine()
    if not options.json:
        print(findings_table(findings), flush=True)
    if options.benchmarks:
        findings.append(_check_benchmarks(quiet=options.json))
    if options.json:
        print(json.dumps([dataclasses.asdict(each) for each in findings], indent=1))
    return 0 if is_sound(findings) else 1


def _check_benchmarks(quiet: bool) -> Finding:
    command = [sys.executable, "-m", "semcoder_jax.evaluate", "check"]
    if not quiet:
        print("\nceilings and floors of the benchmarks:", flush=True)
    done = subprocess.run(command, stdout=subprocess.DEVNULL if quiet else None)
    if done.returncode == 0:
        return Finding("benchmarks", OK, "every reference scores and no wrong answer does")
    return Finding("benchmarks", BROKEN, f"the check failed (exit code {done.returncode})")


if __name__ == "__main__":
    sys.exit(main())
