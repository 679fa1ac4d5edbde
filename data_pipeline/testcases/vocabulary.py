"""Draws the words and numbers that a caller would pass, by the name of the parameter."""

import random
import re
from collections.abc import Sequence

_PEOPLE = ("Ada", "Ben", "Chloe", "Dev", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jonas")
_GOODS = ("apple", "bread", "coffee", "lamp", "milk", "notebook", "pen", "rice", "soap", "tea")
PLAIN_WORDS = (
    "river", "stone", "garden", "level", "music", "paper", "silver", "window", "noon", "orange",
    "banana", "cat", "house", "radar", "letter",
)  # fmt: skip
_SENTENCES = (
    "the quick brown fox", "Hello, world!", "to be or not to be", "Python is fun",
    "one fish two fish", "a man a plan a canal", "rain in Spain", "Hello World",
)  # fmt: skip
_CITIES = ("Berlin", "Lagos", "Lima", "Oslo", "Paris", "Pune", "Quito", "Tokyo")
_COLORS = ("red", "green", "blue", "black", "white", "#ff8800")
_SEPARATORS = (",", "-", " ", ";", ":", "_", "|", ", ", "/")

_TEXTS: Sequence[tuple[str, Sequence[str]]] = (
    (r"sep|separator|delim(iter)?|glue|joiner", _SEPARATORS),
    (r"fill(char)?|pad(ding)?|filler", ("*", "-", ".", "0", "_")),
    (r"char(acter)?|ch|letter|symbol", tuple("aeltosnx")),
    (r"text|sentence|line|paragraph|message|msg|phrase|body|content|document|string|s", _SENTENCES),
    (r"(user|first|last|full|nick|sur)?_?name|person|user|customer|author|owner|employee|people"
     r"|worker|player|guest|member|staff|names", _PEOPLE),
    (r"item|product|goods|article|sku|fruit|label|title|items|stock|inventory|rows|lines|cart"
     r"|orders?|receipt|prices", _GOODS),
    (r"city|town|place|location|country", _CITIES),
    (r"colou?r", _COLORS),
    (r"day|weekday|days", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")),
    (r"e?mail", ("ada@mail.com", "ben.k@work.org", "info@shop.net")),
    (r"(file)?path|file(name)?", ("notes.txt", "data/report.csv", "src/main.py", "/tmp/log")),
    (r"url|link", ("https://example.com/a?b=1", "http://site.org", "https://shop.net/tea")),
    (r"date", ("2024-05-17", "2023-12-31", "2024-02-29")),
    (r"currency|unit", ("$", "EUR", "kg", "cm")),
    (r"prefix|suffix", ("re", "un", "pre", "ing", "ed", ">>")),
)  # fmt: skip

_MONEY = r"price|cost|amount|total|balance|fee|salary|wage|payment|tip|money|subtotal|budget|paid"
_RATES = r"rate|ratio|fraction|tax|discount|probability|share|alpha|beta|tolerance|eps|weight"
_COUNTS: Sequence[tuple[str, Sequence[int]]] = (
    (r"width|columns?|cols", (10, 12, 16, 20, 24, 30, 40)),
    (r"percent(age)?", (0, 5, 10, 15, 20, 25, 50, 100)),
    (r"quantity|qty|count|copies|times|repeat|n_?items", (1, 2, 3, 4, 5, 10, 0)),
    (r"year", (1999, 2000, 2020, 2023, 2024, 1900)),
    (r"month", (1, 2, 3, 6, 9, 12)),
    (r"day", (1, 2, 7, 15, 28, 31)),
    (r"hours?", (0, 1, 7, 8, 12, 18, 23)),
    (r"minutes?|seconds?", (0, 5, 15, 30, 45, 59, 90)),
    (r"age", (0, 7, 17, 18, 34, 65)),
    (r"cents|price|amount|cost|total", (99, 250, 500, 1250, 1999, 0)),
    (r"base", (2, 8, 10, 16)),
    (r"digits|places|precision|decimals", (0, 1, 2, 3)),
    (r"score|grade|marks?|points?", (0, 45, 58, 72, 85, 99, 100)),
)


def _matches(pattern: str, name: str) -> bool:
    """Returns whether a pattern is a name, or the last word of one, in singular or plural."""
    return re.fullmatch(rf"(?:.*_)?(?:{pattern})(?:e?s)?\d*", name.strip("_").lower()) is not None


def usual_texts(name: str) -> Sequence[str]:
    """Returns texts for a parameter of this name; plain words where the name tells nothing."""
    return next((texts for pattern, texts in _TEXTS if _matches(pattern, name)), PLAIN_WORDS)


def usual_integers(name: str) -> Sequence[int]:
    """Returns integers for a parameter of this name; none where the name tells nothing."""
    return next((numbers for pattern, numbers in _COUNTS if _matches(pattern, name)), ())


def draw_float(name: str, rng: random.Random) -> float:
    """Draws a float: two digits of a price, a share below one of a rate, else few digits."""
    if _matches(_RATES, name):
        return rng.choice((0.05, 0.1, 0.2, 0.25, 0.5, 0.75, 0.19, 0.0, 1.0))
    if _matches(_MONEY, name) or name in ("items", "rows", "cart", "lines", "order"):
        cents = rng.choice((99, 49, 50, 25, 0, 95)) + 100 * rng.randint(0, 30)
        return cents / 100
    if rng.random() < 0.7:
        return rng.choice((0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.25, -1.0, -0.5, 10.0, 4.75, 12.5))
    return round(rng.uniform(-20, 20), rng.choice((1, 2)))
