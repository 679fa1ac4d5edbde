"""Tests that a value is what an adjective or a noun says: "empty", "uppercase", "a list".

A test raises whatever Python does for values that it does not fit, which are then neither.
"""

from collections.abc import Callable
from typing import Any

Predicate = Callable[[Any], bool]


def _is_vowel(value: Any) -> bool:
    return len(value) == 1 and value.lower() in "aeiou"


_PLAIN: dict[str, Predicate] = {
    "empty": lambda v: len(v) == 0,
    "non-empty": lambda v: len(v) > 0,
    "even": lambda v: v % 2 == 0,
    "odd": lambda v: v % 2 == 1,
    "positive": lambda v: v > 0,
    "negative": lambda v: v < 0,
    "non-negative": lambda v: v >= 0,
    "lowercase": lambda v: v.islower(),
    "uppercase": lambda v: v.isupper(),
    "in title case": lambda v: v.istitle(),
    "numeric": lambda v: v.isnumeric(),
    "ascii": lambda v: v.isascii(),
    "alphabetic": lambda v: v.isalpha(),
    "alphanumeric": lambda v: v.isalnum(),
    "a vowel": _is_vowel,
    "a palindrome": lambda v: v == v[::-1],
    "sorted": lambda v: list(v) == sorted(v),
    "sorted in ascending order": lambda v: list(v) == sorted(v),
    "sorted in descending order": lambda v: list(v) == sorted(v, reverse=True),
    "unique": lambda v: len(set(v)) == len(v),
    "a string": lambda v: type(v) is str,
    "a list": lambda v: type(v) is list,
    "a dictionary": lambda v: type(v) is dict,
    "a tuple": lambda v: type(v) is tuple,
    "an integer": lambda v: type(v) is int,
    "a number": lambda v: type(v) in (int, float),
    "a non-empty string": lambda v: type(v) is str and len(v) > 0,
    "a non-empty list": lambda v: type(v) is list and len(v) > 0,
    "an empty string": lambda v: v == "",
    "an empty list": lambda v: v == [],
    "an empty dictionary": lambda v: v == {},
    "an empty tuple": lambda v: v == (),
    "a truth value": lambda v: type(v) is bool,
    "a floating-point number": lambda v: type(v) is float,
    "true": lambda v: v is True,
    "false": lambda v: v is False,
}
_SPELLINGS = {
    "lowercase": ("in lowercase", "in lower case", "lowercase letters", "a lowercase letter"),
    "uppercase": ("in uppercase", "in upper case", "uppercase letters", "an uppercase letter"),
    "in title case": ("title case", "title-cased"),
    "numeric": ("a digit", "digits", "digit", "all digits"),
    "ascii": ("an ascii character", "ascii characters"),
    "alphabetic": ("a letter", "letters", "letter", "alphabetical"),
    "a vowel": ("vowels", "vowel"),
    "even": ("even numbers", "an even number"),
    "odd": ("odd numbers", "an odd number"),
    "positive": ("positive numbers", "a positive number", "a positive integer"),
    "negative": ("negative numbers", "a negative number", "a negative integer"),
    "unique": ("distinct",),
    "a string": ("strings",),
    "a dictionary": ("a dict",),
    "an empty dictionary": ("an empty dict",),
    "a truth value": ("a boolean", "a boolean value"),
    "a floating-point number": ("a float",),
    "an integer": ("integers",),
    "a number": ("numbers",),
}
ADJECTIVES: dict[str, Predicate] = _PLAIN | {
    other: _PLAIN[name] for name, others in _SPELLINGS.items() for other in others
}
