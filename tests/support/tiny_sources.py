"""Writes source files for a build in a test: functions that are seeds, and others that are not."""

from pathlib import Path

FILES = {
    "numbers_.py": '''
"""Arithmetic."""

LIMIT = 100


def clamp(value, low, high):
    """Return the value moved into the range from low to high.

    >>> clamp(5, 0, 3)
    3
    """
    if value < low:
        return low
    if value > high:
        return high
    return value


def digits(n: int) -> int:
    """Return the sum of the decimal digits of a number.

    >>> digits(123)
    6
    """
    total = 0
    n = abs(n)
    while n:
        total += n % 10
        n //= 10
    return total


def collatz(n: int) -> int:
    """Return how many steps the Collatz sequence takes to reach one, at most LIMIT.

    >>> collatz(6)
    8
    """
    steps = 0
    while n > 1 and steps < LIMIT:
        n = 3 * n + 1 if n % 2 else n // 2
        steps += 1
    return steps


def gcd(a: int, b: int) -> int:
    """Return the greatest common divisor by Euclid's algorithm.

    >>> gcd(12, 18)
    6
    """
    while b:
        a, b = b, a % b
    return abs(a)


def biggest_divisor(first: int, second: int) -> int:
    """Another author's words for the same thing.

    >>> biggest_divisor(4, 6)
    2
    """
    while second:
        first, second = second, first % second
    return abs(first)
''',
    "texts/words.py": '''
"""Strings and lists."""

import os


def vowels(text: str) -> int:
    """Return the number of vowels in a text.

    >>> vowels("banana")
    3
    """
    count = 0
    for letter in text:
        if letter in "aeiou":
            count += 1
    return count


def runs(items: list) -> list:
    """Return the lengths of the runs of equal neighbours.

    >>> runs([1, 1, 2])
    [2, 1]
    """
    lengths = []
    previous = None
    for item in items:
        if lengths and item == previous:
            lengths[-1] += 1
        else:
            lengths.append(1)
        previous = item
    return lengths


def initials(name: str) -> str:
    """Return the first letters of the words of a name, in capitals.

    >>> initials("ada lovelace")
    'AL'
    """
    letters = ""
    for word in name.split():
        letters += word[0].upper()
    return letters


def folder(path):
    """No seed: it asks the machine."""
    return os.listdir(path)
''',
    "broken.py": "def half(:\n",
}


def write_sources(directory: Path) -> Path:
    """Writes the files above to `directory` and returns it."""
    for name, text in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"))
    return directory
