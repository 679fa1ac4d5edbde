"""Plants errors into true monologues: changes one value, branch or count."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from data_pipeline.monologue.forward import NarrationError, forward_monologue
from data_pipeline.tracing import Trace
from data_pipeline.verify import CONTRADICTED, verify_trace

_STRING = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\"""")
_COUNT = re.compile(r"(?<=after )\d+(?= iteration)|(?<=makes )\d+(?= iteration)")
_TURN = re.compile(r"(?<=\] Iteration )\d+(?=:| begins)")
_BRANCH = re.compile(r"(?<=` is )(?:True|False)\b(?=[ (,]|$)|(?<=` )(?:holds|does not hold)\b")
_VALUE = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]|:\d)")
_OPPOSITE = {
    "True": "False",
    "False": "True",
    "holds": "does not hold",
    "does not hold": "holds",
}


def plant_errors(monologue, rng, most):
    """Yields up to `most` triples (kind, 1-based line, monologue with one error on that line).

    Changes numbers, truth values and branch words in the execution, the conclusion and the answer,
    but not in quoted code, nor the label or number of a step.
    """
    lines = monologue.split("\n")
    places = []
    for number, line in enumerate(lines):
        if "### Execution" in "\n".join(lines[:number]):
            places += [(number, *place) for place in _places(line)]
    by_kind = {}
    for place in places:
        by_kind.setdefault(place[1], []).append(place)
    for kind in rng.sample(sorted(by_kind), min(most, len(by_kind))):
        number, _, start, end = rng.choice(by_kind[kind])
        line = lines[number]
        old = line[start:end]
        new = _OPPOSITE.get(old) or _other_number(old, rng)
        if kind in ("turn", "count"):  # the turn beside it may look the same: take one too many
            most = max(map(int, re.findall(r"(?:[Ii]teration|after|makes|to) (\d+)", monologue)))
            new = str(most + rng.randint(1, 9) if kind == "turn" else abs(int(new)))
            if new == old:
                new = str(int(old) + 1)
        broken = [*lines]
        broken[number] = line[:start] + new + line[end:]
        yield kind, number + 1, "\n".join(broken)


def _places(line):
    if line.startswith("#") or not line.strip():
        return
    # Blank out: the step's number and label, quoted code, strings, labels pointed to.
    blank = re.sub(r"^\d+\. \[L\d+\]|`[^`]*`|\[L\d+\]", lambda m: "~" * len(m[0]), line)
    blank = _STRING.sub(lambda m: "~" * len(m[0]), blank)
    for pattern, kind in ((_COUNT, "count"), (_TURN, "turn")):
        text = line if kind == "turn" else blank
        for match in pattern.finditer(text):
            yield kind, match.start(), match.end()
    quoted = re.sub(r"`[^`]*`", lambda m: "`" + "~" * (len(m[0]) - 2) + "`", line)
    for match in _BRANCH.finditer(quoted):
        if blank[match.start()] != "~":
            yield "branch", match.start(), match.end()
    if line.startswith("assert "):
        at = line.rindex(" == ") + 4 if " == " in line else len(line)
    else:
        at = 0
    told = {i for kind in (_COUNT, _TURN) for m in kind.finditer(line) for i in range(*m.span())}
    for match in _VALUE.finditer(blank):
        before = blank[: match.start()].rstrip()
        if (
            match.start() < at
            or match.start() in told
            or (
                re.search(r"(?:[Ii]terations?|\bto|before iteration)$", before)
                and "Iteration" in line
            )
        ):  # the turns that are left out
            continue
        yield "value", match.start(), match.end()


def _other_number(old, rng):
    if "." in old:
        return repr(float(old) + rng.randint(1, 9))
    return str(int(old) + rng.choice([-1, 1]) * rng.randint(1, 9))


def is_contradicted(trace: Trace, monologue: str) -> bool:
    """Returns whether the verifier finds a claim that contradicts the run."""
    return any(claim.verdict == CONTRADICTED for claim in verify_trace(trace, monologue))


def count_caught(
    traces: Iterable[Trace],
    narrate: Callable[[Trace, int], str],
    plant: Callable[[str, Trace, random.Random], Iterator[tuple[str, str, str]]],
    seed: int,
) -> tuple[Counter, Counter, list[tuple[str, str]]]:
    """Counts planted errors by kind and those that the verifier finds; collects the missed lines.

    `narrate(trace, number)` returns a monologue; `plant` yields (kind, broken line, monologue).
    """
    rng = random.Random(seed)
    made, caught, missed = Counter(), Counter(), []
    for number, trace in enumerate(traces):
        try:
            told = narrate(trace, number)
        except NarrationError:
            continue
        for kind, line, broken in plant(told, trace, rng):
            made[kind] += 1
            if is_contradicted(trace, broken):
                caught[kind] += 1
            else:
                missed.append((kind, line))
    return made, caught, missed


def count_caught_forward(traces: Iterable[Trace], seed: int, errors: int = 3):
    """Calls `count_caught` for forward monologues with up to `errors` errors planted in each."""

    def plant(told, trace, rng):
        for kind, line, broken in plant_errors(told, rng, errors):
            yield kind, broken.split("\n")[line - 1], broken

    return count_caught(
        traces, lambda trace, number: forward_monologue(trace, seed=number), plant, seed
    )
