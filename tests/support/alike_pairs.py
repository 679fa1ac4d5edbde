"""Pairs of programs that look alike, with a person's verdict.

Verdicts: `other` for different functions; `same` for one function; `rewritten` for one function in
a text that is another by NEAR, which stays as another way to write it.
"""

OTHER, SAME, REWRITTEN = "other", "same", "rewritten"

_TEXT = r'''
## other: add 1, add 9
def f(x):
    return x + 1
---
def g(x):
    return x + 9

## other: pad left, right
def _pad(text, width, fill, where):
    missing = width - len(text)
    if missing <= 0:
        return text
    if where == "left":
        return fill * missing + text
    if where == "right":
        return text + fill * missing
    half = missing // 2
    return fill * half + text + fill * (missing - half)

def pad_left(text, width, fill=" "):
    return _pad(text, width, fill, "left")
---
def _pad(text, width, fill, where):
    missing = width - len(text)
    if missing <= 0:
        return text
    if where == "left":
        return fill * missing + text
    if where == "right":
        return text + fill * missing
    half = missing // 2
    return fill * half + text + fill * (missing - half)

def pad_right(text, width, fill=" "):
    return _pad(text, width, fill, "right")

## other: positive, negative
def _walk(items, test, limit):
    found = []
    for item in items:
        if len(found) >= limit:
            break
        if test == "positive" and item > 0:
            found.append(item)
        elif test == "negative" and item < 0:
            found.append(item)
        elif test == "zero" and item == 0:
            found.append(item)
    return found

def positives(items):
    return _walk(items, "positive", 3)
---
def _walk(items, test, limit):
    found = []
    for item in items:
        if len(found) >= limit:
            break
        if test == "positive" and item > 0:
            found.append(item)
        elif test == "negative" and item < 0:
            found.append(item)
        elif test == "zero" and item == 0:
            found.append(item)
    return found

def negatives(items):
    return _walk(items, "negative", 3)

## other: minimum, maximum
def smallest(items):
    best = items[0]
    for item in items[1:]:
        if item < best:
            best = item
    return best
---
def largest(items):
    best = items[0]
    for item in items[1:]:
        if item > best:
            best = item
    return best

## other: encrypt, decrypt
def encrypt(text, key):
    result = []
    for letter in text:
        if letter.isalpha():
            base = ord("a") if letter.islower() else ord("A")
            result.append(chr((ord(letter) - base + key) % 26 + base))
        else:
            result.append(letter)
    return "".join(result)
---
def decrypt(text, key):
    result = []
    for letter in text:
        if letter.isalpha():
            base = ord("a") if letter.islower() else ord("A")
            result.append(chr((ord(letter) - base - key) % 26 + base))
        else:
            result.append(letter)
    return "".join(result)

## other: odd, even by each other
def is_even(n):
    n = abs(n)
    if n == 0:
        return True
    return is_odd(n - 1)

def is_odd(n):
    n = abs(n)
    if n == 0:
        return False
    return is_even(n - 1)
---
def is_odd(n):
    n = abs(n)
    if n == 0:
        return False
    return is_even(n - 1)

def is_even(n):
    n = abs(n)
    if n == 0:
        return True
    return is_odd(n - 1)

## other: count odd, even
def count_odd(items):
    count = 0
    for item in items:
        if item % 2 == 1:
            count += 1
    return count
---
def count_even(items):
    count = 0
    for item in items:
        if item % 2 == 0:
            count += 1
    return count

## other: sort up, down in place
def sort_up(items):
    for i in range(len(items)):
        for j in range(len(items) - 1 - i):
            if items[j] > items[j + 1]:
                items[j], items[j + 1] = items[j + 1], items[j]
---
def sort_down(items):
    for i in range(len(items)):
        for j in range(len(items) - 1 - i):
            if items[j] < items[j + 1]:
                items[j], items[j + 1] = items[j + 1], items[j]

## other: fizz 3, 7
def fizz(n):
    out = []
    for i in range(1, n + 1):
        if i % 3 == 0:
            out.append("Fizz")
        else:
            out.append(str(i))
    return out
---
def fizz(n):
    out = []
    for i in range(1, n + 1):
        if i % 7 == 0:
            out.append("Fizz")
        else:
            out.append(str(i))
    return out

## other: first, last column
def first_column(rows):
    total = 0
    for i in range(len(rows)):
        total += rows[i][0]
    return total
---
def last_column(rows):
    total = 0
    for i in range(len(rows)):
        total += rows[i][-1]
    return total

## other: round, square brackets
def round_(text):
    stack = []
    for letter in text:
        if letter == "(":
            stack.append(letter)
        elif letter == ")":
            if not stack:
                return False
            stack.pop()
    return not stack
---
def square(text):
    stack = []
    for letter in text:
        if letter == "[":
            stack.append(letter)
        elif letter == "]":
            if not stack:
                return False
            stack.pop()
    return not stack

## other: to Celsius, Kelvin
def celsius(value):
    """Convert a temperature."""
    if value is None:
        return None
    return round((value - 32) * 5 / 9, 2)
---
def kelvin(value):
    """Convert a temperature."""
    if value is None:
        return None
    return round((value - 32) * 5 / 9 + 273.15, 2)

## other: lower, upper
def f(text):
    return ' '.join(word.lower() for word in text.split(' '))
---
def f(text):
    return ' '.join(word.upper() for word in text.split(' '))

## other: any, all
def f(items):
    return any(item > 10 for item in items)
---
def f(items):
    return all(item > 10 for item in items)

## other: strip left, right
def f(text, mark='-'):
    while text.startswith(mark):
        text = text[1:]
    return text
---
def f(text, mark='-'):
    while text.endswith(mark):
        text = text[:-1]
    return text

## other: days, hours
def f(seconds):
    return seconds // 86400, seconds % 86400
---
def f(seconds):
    return seconds // 3600, seconds % 3600

## other: inclusive, exclusive
def f(low, high):
    total = 0
    for n in range(low, high):
        total += n * n
    return total
---
def f(low, high):
    total = 0
    for n in range(low, high + 1):
        total += n * n
    return total

## other: union, intersection
def f(a, b):
    return sorted(set(a) | set(b))
---
def f(a, b):
    return sorted(set(a) & set(b))

## other: order of a list
def f(n):
    names = ['low', 'mid', 'high']
    return names[n % 3]
---
def f(n):
    names = ['high', 'mid', 'low']
    return names[n % 3]

## other: above 1000, 2000
def f(n):
    if n > 1000:
        return 'large'
    if n < 0:
        return 'negative'
    return 'small'
---
def f(n):
    if n > 2000:
        return 'large'
    if n < 0:
        return 'negative'
    return 'small'

## other: prints up, down
def f(n):
    for i in range(n):
        print(i, end=' ')
    print()
    return n
---
def f(n):
    for i in range(n):
        print(n - i, end=' ')
    print()
    return n

## other: one list, two lists
def f(a):
    out = []
    for x in a:
        out.append(x * 2)
    return out
---
def f(a, b):
    out = []
    for x in a:
        out.append(x * 2)
    return out

## other: f-strings
def f(name, n):
    return f'{name}: {n} of 10'
---
def f(name, n):
    return f'{n}: {name} of 10'

## other: helpers unlike
def _score(n):
    return n * 3 - 1

def f(items):
    return [_score(item) for item in items if item]
---
def _score(n):
    return n * 3 + 1

def f(items):
    return [_score(item) for item in items if item]

## other: leap years
def f(year):
    if year % 400 == 0:
        return True
    if year % 100 == 0:
        return False
    return year % 4 == 0
---
def f(year):
    if year % 500 == 0:
        return True
    if year % 100 == 0:
        return False
    return year % 4 == 0

## other: by keyword only
def f(items, *, reverse):
    found = sorted(items)
    if reverse:
        found = found[::-1]
    return found
---
def f(items, *, reverse):
    found = sorted(items)
    if not reverse:
        found = found[::-1]
    return found

## other: in front, at the end
def f(items, item):
    if item in items:
        return items
    items.insert(0, item)
    return items
---
def f(items, item):
    if item in items:
        return items
    items.insert(len(items), item)
    return items

## other: methods
class Box:
    def __init__(self):
        self.items = []

    def put(self, item):
        self.items.append(item)
        return self


def f(values):
    box = Box()
    for value in values:
        box.put(value)
    return box.items[0]
---
class Box:
    def __init__(self):
        self.items = []

    def put(self, item):
        self.items.append(item)
        return self


def f(values):
    box = Box()
    for value in values:
        box.put(value)
    return box.items[-1]

## other: comprehension and its condition
def f(words, n):
    return {word: len(word) for word in words if len(word) > n}
---
def f(words, n):
    return {word: len(word) for word in words if len(word) == n}

## other: functions that no literal can stand for
def f(value, *forms):
    for form in forms:
        if callable(form):
            value = form(value)
        else:
            function, rest = form[0], form[1:]
            value = function(value, *rest)
    return value
---
def f(value, *forms):
    for form in forms:
        if callable(form):
            value = form(value)
        else:
            function, rest = form[0], form[1:]
            value = function(*rest, value)
    return value

## same: renamed
def gcd(a, b):
    while b:
        a, b = b, a % b
    return abs(a)
---
def divisor(m, n):
    while n:
        m, n = n, m % n
    return abs(m)

## same: another statement
def runs(items):
    lengths = []
    previous = None
    for item in items:
        if lengths and item == previous:
            lengths[-1] += 1
        else:
            lengths.append(1)
        previous = item
    return lengths
---
def runs(items):
    lengths = []
    count = 0
    previous = None
    for item in items:
        if lengths and item == previous:
            lengths[-1] += 1
        else:
            lengths.append(1)
        previous = item
    return lengths

## same: assertion
def roman(n):
    pairs = [(10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]
    text = ""
    for value, letter in pairs:
        while n >= value:
            text += letter
            n -= value
    return text
---
def roman(n):
    pairs = [(10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]
    assert n < 40
    text = ""
    for value, letter in pairs:
        while n >= value:
            text += letter
            n -= value
    return text

## same: order of equal constants
def f(c):
    if c in ('a', 'e', 'i', 'o', 'u'):
        return 1
    return 0
---
def f(c):
    if c in ('u', 'o', 'i', 'e', 'a'):
        return 1
    return 0

## same: unused name
def rotate(text, key):
    result = []
    for letter in text:
        if letter.isalpha():
            base = ord("a") if letter.islower() else ord("A")
            result.append(chr((ord(letter) - base + key) % 26 + base))
        else:
            result.append(letter)
    return "".join(result)
---
def rotate(text, key):
    result = []
    size = len(text)
    for letter in text:
        if letter.isalpha():
            base = ord("a") if letter.islower() else ord("A")
            result.append(chr((ord(letter) - base + key) % 26 + base))
        else:
            result.append(letter)
    return "".join(result)

## same: renamed helper too
def _pad(text, width, fill, where):
    missing = width - len(text)
    if missing <= 0:
        return text
    if where == "left":
        return fill * missing + text
    if where == "right":
        return text + fill * missing
    half = missing // 2
    return fill * half + text + fill * (missing - half)

def pad_left(text, width, fill=" "):
    return _pad(text, width, fill, "left")
---
def _fill(text, width, fill, where):
    missing = width - len(text)
    if missing <= 0:
        return text
    if where == "left":
        return fill * missing + text
    if where == "right":
        return text + fill * missing
    half = missing // 2
    return fill * half + text + fill * (missing - half)

def rjust(s, size, mark=" "):
    return _fill(s, size, mark, "left")

## same: an alias over one helper
def _walk(items, test, limit):
    found = []
    for item in items:
        if len(found) >= limit:
            break
        if test == "positive" and item > 0:
            found.append(item)
        elif test == "negative" and item < 0:
            found.append(item)
        elif test == "zero" and item == 0:
            found.append(item)
    return found

def positives(items):
    return _walk(items, "positive", 3)
---
def _walk(items, test, limit):
    found = []
    for item in items:
        if len(found) >= limit:
            break
        if test == "positive" and item > 0:
            found.append(item)
        elif test == "negative" and item < 0:
            found.append(item)
        elif test == "zero" and item == 0:
            found.append(item)
    return found

def above_zero(numbers):
    """Another docstring."""
    return _walk(numbers, "positive", 3)

## same: message of an error
def largest(items):
    if not items:
        raise ValueError('no items at all')
    best = items[0]
    for item in items[1:]:
        if item > best:
            best = item
    return best
---
def largest(items):
    if not items:
        raise ValueError('empty')
    best = items[0]
    for item in items[1:]:
        if item > best:
            best = item
    return best

## same: returns early
def round_(text):
    stack = []
    for letter in text:
        if letter == "(":
            stack.append(letter)
        elif letter == ")":
            if not stack:
                return False
            stack.pop()
    return not stack
---
def round_(text):
    stack = []
    for letter in text:
        if letter == "(":
            stack.append(letter)
        elif letter == ")":
            if not stack:
                return False
            stack.pop()
    return len(stack) == 0

## same: another keyword
def f(items, *, start):
    total = start
    for item in items:
        total += item
    return total
---
def f(items, *, first):
    total = first
    for item in items:
        total += item
    return total

## rewritten: another test of the same
def first(text, width=8):
    parts = []
    while len(text) > width:
        parts.append(text[:width])
        text = text[width:]
    parts.append(text)
    return parts
---
def first(text, width=8):
    parts = []
    while width < len(text):
        parts.append(text[:width])
        text = text[width:]
    parts.append(text)
    return parts

## rewritten: augmented assignment
def count_odd(items):
    count = 0
    for item in items:
        if item % 2 == 1:
            count += 1
    return count
---
def count_odd(items):
    count = 0
    for item in items:
        if item % 2 == 1:
            count = count + 1
    return count

## rewritten: float rounding
def f(values):
    total = 0.0
    for value in values:
        total += value / 10
    return total
---
def f(values):
    total = 0.0
    for value in values:
        total += value * 0.1
    return total

## rewritten: default
def f(n, base=10):
    digits = []
    while n > 0:
        digits.append(n % base)
        n //= base
    return digits[::-1]
---
def f(n, base=10):
    digits = []
    while n > 0:
        digits.append(n % base)
        n = n // base
    return digits[::-1]
'''

PAIRS = []
"""(verdict, name, one program, other program)"""

for _block in _TEXT.strip().removeprefix("## ").split("\n## "):
    _title, _, _programs = _block.partition("\n")
    PAIRS.append((*_title.split(": ", 1), *_programs.strip().split("\n---\n")))
