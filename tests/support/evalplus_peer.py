"""Makes solutions of every sort for EvalPlus's problems and gets EvalPlus's own verdicts on them.

EvalPlus runs in a separate environment; SEMCODER_EVALPLUS_PYTHON names its interpreter:
`python -m venv DIR && DIR/bin/pip install evalplus==0.3.1`.
"""

import ast
import copy
import dataclasses
import json
import os
import random
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

VARIABLE = "SEMCODER_EVALPLUS_PYTHON"


@dataclasses.dataclass(frozen=True)
class Sample:
    """A solution of a task. kind: its sort; for false passes of EvalPlus, the kind of these."""

    task: str
    kind: str
    program: str


# A wrapper around the reference, which is {entry}; its calls go to `reference`.
ODD = {
    "prints": "print('x' * 10_000)\n    return reference(*a)",
    "slow": "n = 0\n    while n < 10**8 * 3: n += 1\n    return reference(*a)",
    "a little slow": "n = 0\n    while n < 10**4: n += 1\n    return reference(*a)",
    "raises": "raise ValueError('no')",
    "exits": "import sys\n    sys.exit(0)",
    "ends the process": "import os\n    os._exit(0)",
    "asserts": "assert False",
    "recurses": "return {entry}(*a)",
    "returns nothing": "reference(*a)",
    "reads": "return input() or reference(*a)",
    "other container": "r = reference(*a)\n    return tuple(r) if type(r) is list else "
    "list(r) if type(r) in (tuple, set, str) else r",
    "a generator": "r = reference(*a)\n    return (x for x in r) if type(r) in (list, tuple) "
    "else r",
    "float for int": "r = reference(*a)\n    return float(r) if type(r) is int and abs(r) < 2**50 "
    "else r",
    "int for bool": "r = reference(*a)\n    return int(r) if type(r) is bool else r",
    "text": "return repr(reference(*a))",
    "nearly": "r = reference(*a)\n    return r + 1e-9 if type(r) is float else r",
    "not nearly": "r = reference(*a)\n    return r + 0.5 if type(r) in (float, int) else r",
    "none": "return None",
    "empty": "r = reference(*a)\n    return type(r)()",
    "spoils its input": "r = reference(*a)\n    for x in a:\n        if type(x) is list:\n"
    "            x.clear()\n    return r",
    "right once": "calls.append(1)\n    return reference(*a) if len(calls) < 2 else None",
    "right ten times": "calls.append(1)\n    return reference(*a) if len(calls) < 11 else None",
    "caught": "try:\n        return 1 // 0\n    except BaseException:\n"
    "        return reference(*a)",
}
FALSE_PASSES = {
    "equals everything": "class A:\n        __eq__ = lambda s, o: True\n"
    "        __hash__ = lambda s: 0\n        __iter__ = lambda s: iter(reference(*a))\n"
    "    return A()",
    "walks the frames": "import sys\n    frame = sys._getframe()\n"
    "    while frame and 'expected' not in frame.f_locals: frame = frame.f_back\n"
    "    return frame.f_locals['expected'][frame.f_locals['i']]",
}
WHOLE = {
    "no function": "x = 1\n",
    "no python": "def {entry}(:\n",
    "nothing": "",
    "a class": "class {entry}:\n    def __init__(self, *a):\n        pass\n",
    "raises at once": "raise RuntimeError('no')\n",
    "no callable": "{entry} = 3\n",
}
_SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or,
    ast.Or: ast.And, ast.FloorDiv: ast.Div, ast.Mod: ast.FloorDiv,
}  # fmt: skip


def samples(row: dict, *, mutants: int = 4) -> Iterator[Sample]:
    """Yields solutions of every sort for an EvalPlus row."""
    task, entry = row["task_id"], row["entry_point"]
    reference = row["prompt"] + row["canonical_solution"]
    yield Sample(task, "reference", reference)
    for program in _mutants(reference, mutants, seed=task):
        yield Sample(task, "mutant", program)
    for kind, body in {**ODD, **FALSE_PASSES}.items():
        wrapper = f"\nreference = {entry}\ncalls = []\ndef {entry}(*a):\n    {body}\n"
        yield Sample(task, kind, reference + wrapper.replace("{entry}", entry))
    for kind, program in WHOLE.items():
        yield Sample(task, kind, program.replace("{entry}", entry))


def _mutants(program: str, number: int, seed: str) -> list[str]:
    """Yields the program with one operator swapped or one number off by one, all different."""
    tree = ast.parse(program)
    places = [
        index
        for index, node in enumerate(ast.walk(tree))
        if type(node) in _SWAPS or (isinstance(node, ast.Constant) and type(node.value) is int)
    ]
    random.Random(seed).shuffle(places)
    found = []
    for place in places[:number]:
        changed = copy.deepcopy(tree)
        node = list(ast.walk(changed))[place]
        if isinstance(node, ast.Constant):
            node.value += 1
        else:
            _swap(changed, node)
        found.append(ast.unparse(changed))
    return found


def _swap(tree: ast.AST, node: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, name, _SWAPS[type(node)]())
                return
            if isinstance(value, list) and any(item is node for item in value):
                value[[item is node for item in value].index(True)] = _SWAPS[type(node)]()
                return


def verdicts(
    dataset: str, rows: list[dict], given: list[Sample], folder: Path
) -> list[tuple[bool, bool]]:
    """Returns EvalPlus's (base passed, base and plus passed) for each sample.

    dataset: "humaneval" or "mbpp".
    """
    data, file = folder / f"{dataset}.jsonl", folder / f"{dataset}_samples.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    file.write_text(
        "".join(json.dumps({"task_id": s.task, "solution": s.program}) + "\n" for s in given)
    )
    environment = {
        **os.environ,
        f"{dataset.upper()}_OVERRIDE_PATH": str(data),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    command = [os.environ[VARIABLE], "-m", "evalplus.evaluate", f"--dataset={dataset}"]
    done = subprocess.run(
        [*command, f"--samples={file}", "--parallel=2"],
        env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    result = folder / f"{dataset}_samples_eval_results.json"
    assert result.is_file(), done.stderr[-2000:]
    told = json.loads(result.read_text())["eval"]
    places: dict[str, int] = {}
    found = []
    for sample in given:
        place = places.setdefault(sample.task, 0)
        places[sample.task] += 1
        row = told[sample.task][place]
        base = row["base_status"] == "pass"
        found.append((base, base and row["plus_status"] == "pass"))
    return found


def sanitized(programs: Iterable[str], entry: str) -> list[str]:
    """Returns the programs after EvalPlus's sanitizer, without outer whitespace."""
    script = (
        "import json, sys\nfrom evalplus.sanitize import sanitize\n"
        "programs, entry = json.load(sys.stdin)\n"
        "print(json.dumps([sanitize(program, entry).strip() for program in programs]))"
    )
    done = subprocess.run(
        [os.environ[VARIABLE], "-c", script],
        input=json.dumps([list(programs), entry]), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)
