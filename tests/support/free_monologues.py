"""Lists whole monologues in the wordings of people and models, judged by hand line by line.

PROGRAMS: name -> (program, call). MONOLOGUES: (name, text). A line with a false claim about the run
ends in ` !! ` and a piece of the truth; every other line is true, or makes no claim that a run can
decide. The judgements come from the programs alone, made before the verifier read the texts.
"""

PROGRAMS = {
    "dedupe": (
        """\
def dedupe(items):
    seen = set()
    out = []
    for x in items:
        if x not in seen:
            seen.add(x)
            out.append(x)
    return out
""",
        "dedupe([1, 2, 1])",
    ),
    "search": (
        """\
def search(xs, target):
    lo, hi = 0, len(xs) - 1
    while lo <= hi:
        mid = (lo + hi) // 2
        if xs[mid] == target:
            return mid
        if xs[mid] < target:
            lo = mid + 1
        else:
            hi = mid - 1
    return -1
""",
        "search([1, 3, 5, 7, 9], 7)",
    ),
    "gcd": (
        """\
def gcd(a, b):
    while b:
        a, b = b, a % b
    return a
""",
        "gcd(48, 18)",
    ),
    "words": (
        """\
def count_words(text):
    counts = {}
    for word in text.lower().split():
        word = word.strip('.,')
        counts[word] = counts.get(word, 0) + 1
    return counts
""",
        "count_words('The cat, the dog.')",
    ),
    "fib": (
        """\
def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)
""",
        "fib(4)",
    ),
    "encode": (
        """\
def encode(s):
    result = ''
    i = 0
    while i < len(s):
        j = i
        while j < len(s) and s[j] == s[i]:
            j += 1
        result += s[i] + str(j - i)
        i = j
    return result
""",
        "encode('aab')",
    ),
    "bubble": (
        """\
def bubble(xs):
    n = len(xs)
    for i in range(n):
        swapped = False
        for j in range(n - 1 - i):
            if xs[j] > xs[j + 1]:
                xs[j], xs[j + 1] = xs[j + 1], xs[j]
                swapped = True
        if not swapped:
            break
    return xs
""",
        "bubble([3, 1, 2])",
    ),
    "ints": (
        """\
def to_ints(parts):
    good, bad = [], 0
    for part in parts:
        try:
            good.append(int(part))
        except ValueError:
            bad += 1
    return good, bad
""",
        "to_ints(['4', 'x', '7'])",
    ),
}

MONOLOGUES = [
    (
        "dedupe",
        """\
1. [L6] We start by creating an empty set `seen`.
2. [L7] `out` is initialized as an empty list, so `out = []`.
3. [L8] The loop iterates over the items [1, 2, 1]:
   - First iteration: x = 1. Since 1 is not in `seen`, it is added and `out` becomes [1].
   - Second iteration: x = 2. It is not in `seen` either, so `out` becomes [1, 2].
   - Third iteration: x = 1. This time 1 is already in `seen`, so nothing happens.
4. [L12] The function returns [1, 2].""",
    ),
    (
        "dedupe",
        """\
1. [L6-L7] Two containers are set up.
2. [L8] The loop iterates over `items`:
   - Iteration 1: `x` is 1, `out` becomes [1].
   - Iteration 2: `x` is 2, `out` becomes [2, 1]. !! [1, 2]
   - Iteration 3: `x` is 1, which was seen before.
3. The loop runs 3 times in total.
4. [L12] Finally, `out` is returned, which is [1, 2].""",
    ),
    (
        "dedupe",
        """\
**Step 1:** [L6] `seen` is an empty set.
**Step 2:** [L8] In the first iteration, **x** is **1**.
**Step 3:** [L9] The condition `x not in seen` is True, so we enter the if block.
**Step 4:** [L11] `out.append(1)` makes `out` equal to `[1]`.
**Step 5:** [L8] In the third iteration, `x` is 1.
**Step 6:** [L9] The condition `x not in seen` is True. !! False
**Step 7:** [L12] The function returns `[1, 2]`.""",
    ),
    (
        "search",
        """\
1. [L6] `lo` is set to 0 and `hi` is set to 4, because the list has 5 elements.
2. [L7] The loop condition `lo <= hi` is `0 <= 4`, which is True.
3. [L8] `mid = (0 + 4) // 2 = 2`.
4. [L9] `xs[2]` is 5, which is not equal to 7, so we do not return yet.
5. [L11] Since 5 < 7 is True, we move the lower bound.
6. [L12] `lo` becomes 3.
7. [L8] Now `mid` is (3 + 4) // 2 = 3.
8. [L9] `xs[3]` is 7, equal to the target.
9. [L10] Return 3.""",
    ),
    (
        "search",
        """\
1. [L6] `lo` is 0 and `hi` is 5. !! 4
2. [L8] `mid` is computed as 2.
3. [L11] `xs[mid] < target` holds, since 5 is less than 7.
4. [L12] So `lo` becomes 3.
5. [L8] In the second iteration `mid` is 4. !! 3
6. [L10] The function returns 3.""",
    ),
    (
        "search",
        """\
The search halves the interval each time. At the start `lo` = 0 and `hi` = 4.
- [L8] `mid` = 2
- [L9] `xs[mid] == target` is False
- [L11] `xs[mid] < target` is False, so we go to the else branch. !! True
- [L14] `hi` becomes 1. !! not run
- [L10] The function returns 3.
The while loop runs 2 times.""",
    ),
    (
        "search",
        """\
1. [L7] The while loop starts with lo = 0, hi = 4.
   - Iteration 1: mid = 2, xs[mid] = 5, and lo becomes 3.
   - Iteration 2: mid = 3, xs[mid] = 7, which is the target.
2. [L10] Index 3 is returned.
3. [L15] The final return is never reached, because the target was found.""",
    ),
    (
        "gcd",
        """\
1. [L5] The function is called with a = 48 and b = 18.
2. [L6] `b` is 18, which is truthy, so the loop body runs.
3. [L7] `a` becomes 18 and `b` becomes 48 % 18 = 12.
4. [L7] `a` becomes 12 and `b` becomes 18 % 12 = 6.
5. [L7] `a` becomes 6 and `b` becomes 12 % 6 = 0.
6. [L6] Now `b` is 0, so the loop ends after 3 iterations.
7. [L8] The function returns 6.""",
    ),
    (
        "gcd",
        """\
1. [L6] The loop runs while `b` is nonzero.
   * 1st iteration: a = 18, b = 12
   * 2nd iteration: a = 12, b = 8 !! b=6
   * 3rd iteration: a = 6, b = 0
2. [L6] The loop ends after 4 iterations. !! 3
3. [L8] `a` is 6, so 6 is returned.""",
    ),
    (
        "gcd",
        """\
Euclid's algorithm replaces the pair (a, b) by (b, a mod b) until b is 0.
Starting from `a` = 48 and `b` = 18, after the first iteration `b` is 12.
[L7] In the second iteration, `a` is set to 12 and `b` is set to 6.
[L8] The function returns 12. !! 6""",
    ),
    (
        "words",
        """\
1. [L6] `counts` is initialized to an empty dictionary.
2. [L7] The text is lowercased and split into ['the', 'cat,', 'the', 'dog.'].
3. [L8] In the first iteration `word` is 'the' and stripping changes nothing.
4. [L9] `counts` becomes {'the': 1}.
5. [L8] In the second iteration, `word` goes from 'cat,' to 'cat'.
6. [L9] Now `counts` is {'the': 1, 'cat': 1}.
7. [L9] In the third iteration, `counts['the']` becomes 2.
8. [L9] In the last iteration, `counts` becomes {'the': 2, 'cat': 1, 'dog': 1}.
9. [L10] The function returns {'the': 2, 'cat': 1, 'dog': 1}.""",
    ),
    (
        "words",
        """\
1. [L7] The loop runs 4 times, once for each word.
   - Iteration 1: word = 'the', counts = {'the': 1}
   - Iteration 2: word = 'cat', counts = {'the': 1, 'cat': 1}
   - Iteration 3: word = 'the', counts = {'the': 1, 'cat': 1} !! 'the': 2
   - Iteration 4: word = 'dog', counts = {'the': 2, 'cat': 1, 'dog': 1}
2. [L10] `counts` is returned.""",
    ),
    (
        "words",
        """\
1. [L6] `counts` starts out as {}.
2. [L7] `text.lower()` is 'the cat, the dog.'.
3. [L8] `word.strip('.,')` returns 'the'.
4. [L9] `counts.get(word, 0)` is 0, so `counts['the']` is set to 1.
5. After the loop, `counts` has 4 entries. !! 3
6. `len(counts)` is 3.
7. [L10] The result is {'the': 2, 'cat': 1, 'dog': 1}.""",
    ),
    (
        "fib",
        """\
1. [L5] `fib` is called with n = 4.
2. [L6] `n < 2` is False, since 4 is not less than 2.
3. [L8] We need `fib(3) + fib(2)`.
   - `fib(3)` returns 2.
   - `fib(2)` returns 1.
4. [L8] So the sum is 2 + 1 = 3.
5. The function returns 3.""",
    ),
    (
        "fib",
        """\
1. [L6] The check `4 < 2` is False.
2. [L8] `fib(3)` is computed first; it returns 3. !! 2
3. [L8] `fib(2)` returns 1.
4. [L8] The function returns 4. !! 3""",
    ),
    (
        "fib",
        """\
The recursion bottoms out at n = 1 and n = 0.
- [L7] For n = 1 the function returns 1.
- [L7] For n = 0 the function returns 0.
- [L8] `fib(2)` = 1
- [L8] `fib(3)` = 2
- [L8] `fib(4)` = 5 !! 3
No exception is raised.""",
    ),
    (
        "encode",
        """\
1. [L6] `result` is set to the empty string ''.
2. [L7] `i` is set to 0.
3. [L8] `i < len(s)` is True since 0 < 3.
4. [L9] `j` is set to 0.
5. [L10] The inner loop runs 2 times, because the first two characters are 'a'.
6. [L11] `j` ends up as 2.
7. [L12] `result` becomes 'a2'.
8. [L13] `i` is updated to 2.
9. [L12] In the second iteration of the outer loop `result` becomes 'a2b1'.
10. [L8] `i` is 3, so the condition `i < len(s)` is False.
11. [L14] 'a2b1' is returned.""",
    ),
    (
        "encode",
        """\
1. [L8] First iteration: `i` is 0.
2. [L11] `j` becomes 1.
3. [L11] `j` becomes 2.
4. [L10] `s[j] == s[i]` is False because 'b' is not 'a', so the inner loop stops.
5. [L12] `str(j - i)` is '2', so `result` becomes 'a2'.
6. [L13] `i` becomes 1. !! 2
7. [L12] `result` becomes 'a2b2'. !! a2b1
8. [L14] The function returns 'a2b1'.""",
    ),
    (
        "encode",
        """\
The outer loop runs twice, once for each run of equal characters.
For the run of 'a' the count is 2, and for 'b' it is 1.
At the end `result` is 'a2b1' and `i` is 3.
[L14] Therefore the output is "a2b1".""",
    ),
    (
        "encode",
        """\
1. [L7] `i` starts at 0.
2. [L8] The outer loop runs 3 times. !! 2
3. [L12] `j - i` is 2 in the first iteration.
4. [L14] The function returns 'a2b1c1'. !! a2b1""",
    ),
    (
        "bubble",
        """\
1. [L6] `n` is 3.
2. [L7] First iteration of the outer loop: `i` is 0.
3. [L8] `swapped` is set to False.
4. [L9] `j` is 0.
5. [L10] `xs[0] > xs[1]` is `3 > 1`, which is True.
6. [L11] The two are swapped, so `xs` becomes [1, 3, 2].
7. [L12] `swapped` is set to True.
8. [L9] `j` is 1.
9. [L10] 3 > 2 is True.
10. [L11] `xs` becomes [1, 2, 3].
11. [L13] `not swapped` is False, so we continue with the next pass.
12. [L8] `swapped` is reset to False.
13. [L10] 1 > 2 is False.
14. [L13] `not swapped` is True.
15. [L14] The loop is left by `break`.
16. [L15] The function returns [1, 2, 3].""",
    ),
    (
        "bubble",
        """\
1. [L6] `n = len(xs) = 3`
2. [L10] `xs[j] > xs[j + 1]` evaluates to True.
3. [L11] After the swap, `xs` is [3, 1, 2]. !! [1, 3, 2]
4. [L11] After the second swap, `xs` is [1, 2, 3].
5. [L13] `not swapped` is True, so the loop goes on. !! False
6. [L15] Return [1, 2, 3].""",
    ),
    (
        "bubble",
        """\
In the first pass, two swaps are made and `xs` becomes [1, 2, 3].
[L8] In the second iteration `swapped` is set to False.
[L13] Since `swapped` is still False, `not swapped` is True.
[L14] So the outer loop is left early; it ran 2 times.
[L15] The function returns [3, 2, 1]. !! [1, 2, 3]""",
    ),
    (
        "ints",
        """\
1. [L6] `good` is an empty list and `bad` is 0.
2. [L7] The loop goes through '4', 'x' and '7'.
   - First iteration: `part` is '4', `good` becomes [4].
   - Second iteration: `part` is 'x', `int('x')` raises a ValueError, and `bad` becomes 1.
   - Third iteration: `part` is '7', `good` becomes [4, 7].
3. [L12] The function returns ([4, 7], 1).""",
    ),
    (
        "ints",
        """\
1. [L6] `bad` is set to 0.
2. [L9] `int('4')` is 4, so `good` becomes ['4']. !! [4]
3. [L9] With 'x', a TypeError is raised. !! ValueError
4. [L11] `bad` is incremented from 0 to 1.
5. [L9] `good` becomes [4, 7].
6. [L12] The function returns ([4, 7], 2). !! ([4, 7], 1)""",
    ),
    (
        "ints",
        """\
The call to_ints(['4', 'x', '7']) converts what it can and counts the rest.
[L7] The loop runs three times.
[L10] The ValueError is caught in the second iteration.
[L11] `bad` increases by 1, giving 1.
After the loop, `good` is [4, 7] and `bad` is 2. !! bad=1
[L12] It returns the tuple ([4, 7], 1).
[ANSWER]
assert to_ints(['4', 'x', '7']) == ([4, 7], 1)
[/ANSWER]""",
    ),
    (
        "dedupe",
        """\
We go through the list once and keep what is new.
[L8] `x` takes the value 1 first.
[L10] 1 is added to `seen`, so `seen` is now {1}.
[L11] `out` is now [1].
[L8] Next, `x` is 2.
[L10] `seen` is now {1, 2}.
[L11] `out` is now [1, 2].
[L8] Next, `x` is 3. !! x=1
[L12] The result is [1, 2], a list of length 2.""",
    ),
]
