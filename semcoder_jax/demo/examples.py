"""Programs that the page offers to begin with."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Example:
    """A program with a call of it."""

    title: str
    program: str
    call: str


# The first is of the family that the quickstart's model has learned.
EXAMPLES = (
    Example(
        "a loop",
        "def f(a, s):\n    d = a - 1\n    for ch in s:\n        d = d + 3\n    s = 'b' + s\n"
        "    return d\n",
        "f(a=4, s='cc')",
    ),
    Example(
        "greatest common divisor",
        "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n",
        "gcd(48, 18)",
    ),
    Example(
        "count words",
        "def count(text):\n    seen = {}\n    for word in text.split():\n"
        "        seen[word] = seen.get(word, 0) + 1\n    return seen\n",
        "count('to be or not to be')",
    ),
    Example(
        "recursion",
        "def depth(tree):\n    if not isinstance(tree, list):\n        return 0\n"
        "    return 1 + max([depth(part) for part in tree], default=0)\n",
        "depth([1, [2, [3]], []])",
    ),
)

TASK = "Write a function that returns the largest difference between neighbours of a list."
TESTS = "assert largest_step([1, 4, 2]) == 3\nassert largest_step([7, 5, 5]) == 2"
BUGGY = (
    "def largest_step(values):\n    largest = 0\n    for i in range(1, len(values) - 1):\n"
    "        step = abs(values[i] - values[i - 1])\n        if step > largest:\n"
    "            largest = step\n    return largest\n"
)
BUGGY_TESTS = "assert largest_step([1, 4, 2, 8]) == 6\nassert largest_step([7, 5]) == 2"
