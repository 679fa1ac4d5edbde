"""Tests what an unlabelled sentence says of times, counts and reasons, true and false by hand."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONFIRMED, CONTRADICTED, line_verdicts, verify_trace

BANK = """\
def f(moves):
    money = 10
    worst = money
    for step in moves:
        money += step
        if money < worst:
            worst = money
    spent = [m for m in moves if m < 0]
    while len(spent) > 1:
        spent.pop()
    return money, worst, spent
"""
# money 10, 7, 12, 4, 5; worst 10, 7, 4; spent [-3, -8], [-3]; (5, 4, [-3])
TEXT = """\
def g(line):
    words = line.split()
    size = {}
    longest = ''
    for word in words:
        size[word] = len(word)
        if len(word) > len(longest):
            longest = word
    try:
        first = int(words[0])
    except ValueError:
        first = -1
    return longest, size, first
"""
# words ['so', 'tall', 'a', 'giraffe']; longest '', 'so', 'tall', 'giraffe'; first -1
LIMIT = """\
def f(xs, limit):
    seen = []
    skipped = 0
    best = 0
    i = 0
    while i < len(xs):
        v = xs[i]
        i += 1
        if v > limit:
            skipped += 1
            continue
        if v > best:
            best = v
        seen.append(v * 2)
    seen.sort()
    label = 'many' if len(seen) > 2 else 'few'
    return label, seen, best
"""
# v 4, 9, 1, 3; seen [8], [8, 2], [8, 2, 6], then [2, 6, 8]; best 0, 4; skipped 1; i 0 to 4
STACK = """\
def h(text):
    stack = []
    depth = 0
    for pos, c in enumerate(text):
        if c == '(':
            stack.append(pos)
        elif c == ')':
            stack.pop()
        depth = max(depth, len(stack))
    ok = not stack
    return ok, depth
"""
# stack [0], [0, 1], [0], [0], []; depth 0, 1, 2; (True, 2)
RUNS = {
    "bank": trace_call(BANK, "f([-3, 5, -8, 1])"),
    "text": trace_call(TEXT, "g('so tall a giraffe')"),
    "limit": trace_call(LIMIT, "f([4, 9, 1, 3], 5)"),
    "stack": trace_call(STACK, "h('(()x)')"),
}
TRUE = {
    "bank": """\
Initially, money is 10.
Originally money is 10.
At the start, worst is 10.
At the end, money is 5.
At the end worst is 4.
Finally, worst = 4.
money ends up as 5.
The final value of money is 5.
The final value of money is odd.
The initial value of money is 10.
After the for loop, money is 5.
After the while loop, spent is [-3].
Before the while loop, spent is [-3, -8].
spent has length 1 at the end.
The length of spent is 1 after the while loop.
For step = 5, money becomes 12.
When step is -8, money becomes 4.
When step = 1, money is 5.
money is 4 after step = -8.
For step = -3, worst becomes 7.
After 2 iterations, money is 12.
After three iterations, worst is 4.
After the third iteration, money is 4.
In the second iteration, money becomes 12.
At the end of the first iteration, worst is 7.
In the last iteration, step is 1.
In the first iteration, step is -3.
money += step is executed 4 times.
`worst = money` is executed 3 times.
`spent.pop()` is executed once.
spent.pop() runs once.
The condition money < worst is true for step = -3 and -8.
For step = 5, money becomes 7 + 5 = 12.
No exception is raised.
The for loop runs 4 times.
The while loop runs once.
money takes the values 10, 7, 12, 4, 5.
worst is 10, then 7, then 4.
The minimum of moves is -8 at index 2.
The sum of moves is -5, which is less than 0.
""",
    "text": """\
Initially, longest is ''.
At first longest is empty.
At the end, longest is 'giraffe'.
longest ends up as 'giraffe'.
After the loop, longest is 'giraffe'.
Before the loop, longest is ''.
In the second iteration, word is 'tall'.
In the last iteration, word is 'giraffe'.
For word = 'a', longest is 'tall'.
When word is 'so', longest becomes 'so'.
After 2 iterations, longest is 'tall'.
After the second iteration, size is {'so': 2, 'tall': 4}.
At the end size has 4 keys.
The keys of size are 'so', 'tall', 'a' and 'giraffe'.
The sum of the values of size is 14, which is greater than 10.
A ValueError is raised because 'so' is not a number.
The ValueError is caught.
first is -1 at the end.
size[word] = len(word) is executed 4 times.
`longest = word` is executed 3 times.
longest starts with 'g' at the end.
The length of longest is 7 at the end.
""",
    "limit": """\
best is 4 at the end.
The while loop runs 4 times.
skipped is increased once.
When v is 9, the continue statement is executed.
seen is [8, 2, 6] after the loop.
seen is [2, 6, 8] at the end.
seen is sorted at the end.
After the first iteration, seen is [8].
i is 4 after the loop.
i is incremented 4 times.
v is greater than limit only when v is 9.
The condition v > best is true for v = 4.
The condition v > limit is true once.
label is 'many'.
label is 'many' because len(seen) is 3.
best changes once.
best changes from 0 to 4.
best stays 4 after the first iteration.
len(seen) is 3 at the end.
The first element of seen is 2 at the end.
Before sorting, seen is [8, 2, 6].
After sorting, seen is [2, 6, 8].
v takes the values 4, 9, 1, 3.
In the third iteration, v is 1.
The value 8 is appended to seen.
The function returns ('many', [2, 6, 8], 4).
skipped is 1 after the second iteration.
best is 4, which is less than limit.
When v = 1, best is 4.
""",
    "stack": """\
depth is 2 at the end.
stack is empty at the end.
ok is True because stack is empty.
When pos is 1, stack becomes [0, 1].
After pos = 2, stack is [0].
In iteration 2, c is '('.
When c is 'x', stack is [0].
stack.append(pos) is executed twice.
stack.pop() is executed twice.
depth never exceeds 2.
depth becomes 2 in the second iteration.
len(stack) is 0 at the end.
c is 'x' when pos is 3.
The loop runs 5 times and stack is [] at the end.
pos goes from 0 to 4.
The function returns (True, 2).
""",
}
FALSE = {
    "bank": """\
Initially, money is 5.
Originally money is 7.
At the start, worst is 4.
At the end, money is 10.
At the end worst is 7.
Finally, worst = 10.
money ends up as 12.
The final value of money is 4.
The final value of money is even.
The initial value of money is 12.
After the for loop, money is 4.
After the while loop, spent is [-3, -8].
Before the while loop, spent is [-3].
spent has length 2 at the end.
The length of spent is 2 after the while loop.
For step = 5, money becomes 7.
When step is -8, money becomes 12.
When step = 1, money is 10.
money is 12 after step = -8.
For step = -3, worst becomes 4.
After 2 iterations, money is 7.
After three iterations, worst is 7.
After the third iteration, money is 12.
In the second iteration, money becomes 5.
At the end of the first iteration, worst is 10.
In the last iteration, step is -8.
In the first iteration, step is 5.
money += step is executed 3 times.
`worst = money` is executed 4 times.
`spent.pop()` is executed 4 times.
spent.pop() runs twice.
The condition money < worst is true for step = -3 and 1.
The condition money < worst is true for step = 5.
For step = 5, money becomes 7 + 5 = 10.
The for loop runs 3 times.
The while loop runs 4 times.
money takes the values 10, 7, 5.
worst is 10, then 4, then 7.
step is -3, then -8, then 5.
The minimum of moves is -8 at index 1.
The function returns (5, 4, [-3]) as a string.
The function returns (5, 4, [-3]) because money is 10.
money is 7.
worst is 10.
len(spent) is 2.
For step = 9, money is 12.
The loop is exited early.
money is 10 in every iteration.
money is 5 when the while loop ends early.
""",
    "text": """\
Initially, longest is 'so'.
At the end, longest is 'tall'.
longest ends up as 'so'.
After the loop, longest is 'tall'.
Before the loop, longest is 'so'.
In the second iteration, word is 'a'.
In the last iteration, word is 'tall'.
For word = 'a', longest is 'giraffe'.
When word is 'so', longest becomes 'tall'.
After 2 iterations, longest is 'so'.
After the second iteration, size is {'so': 2}.
At the end size has 2 keys.
At the end, size is {'so': 2, 'tall': 4}.
After the loop, size is {'so': 2}.
A ValueError is raised because 'tall' is not a number.
The ValueError is not caught.
No exception is raised.
No exception occurs.
longest starts with 's'.
longest starts with 't' at the end.
The length of longest is 4 at the end.
size[word] = len(word) is executed 3 times.
`longest = word` is executed 4 times.
longest is 'tall'.
word is 'so'.
The last value of word is 'a'.
The first value of word is 'tall'.
longest is always empty.
""",
    "limit": """\
best is 0 at the end.
The while loop runs 3 times.
skipped is increased twice.
When v is 3, the continue statement is executed.
seen is [8, 2] after the loop.
seen is [8, 2, 6] at the end.
seen is empty after the loop.
After the first iteration, seen is [8, 2].
i is 3 after the loop.
i is incremented 5 times.
v is greater than limit when v is 4.
The condition v > best is true for v = 4 and 3.
The condition v > best is true for v = 9.
The condition v > limit is true twice.
The condition v > limit is always false.
v > limit is never true.
label is 'few'.
label is 'many' because len(seen) is 4.
label is 'many' because skipped is 1.
best changes twice.
best changes from 4 to 9.
best stays 0 throughout.
len(seen) is 2 at the end.
The first element of seen is 8 at the end.
Before sorting, seen is [2, 6, 8].
After sorting, seen is [8, 2, 6].
The maximum of xs is 9 at index 0.
v takes the values 4, 1, 3.
In the third iteration, v is 3.
The value 9 is appended to seen.
The function returns the list seen.
The function returns a tuple with two elements.
The function returns ('many', [2, 6, 8], 4) after three iterations.
skipped is 1 after the first iteration.
best is 4, which is greater than limit.
best = 4 > limit = 5.
limit is 5, so v = 4 is skipped.
seen has 3 elements after the second iteration.
When v = 1, best is 1.
Once i is 2, best is 9.
Then best is 0.
skipped is 0.
Until i is 3, skipped is 0.
While i is 2, skipped is 0.
At this point, seen is [8].
Halfway through, seen is [8, 2, 6].
On the third pass, v is 9.
On entry, i is 4.
By the last iteration, seen is [8].
Upon return, seen is [8, 2, 6].
Upon exit from the loop, seen is [8, 2].
In the end, best is 0.
The loop ends with i = 3.
The loop leaves best at 0.
best finishes at 0.
best starts at 4.
best begins as 4.
skipped ends at 0.
After sorting and returning, best is 0.
For the value 1, seen is [8, 2, 6].
With v = 3, seen is [8, 2].
""",
    "stack": """\
depth is 1 at the end.
stack is [0] at the end.
stack is not empty at the end.
ok is True because stack is [0].
When pos is 1, stack becomes [0].
After pos = 2, stack is [0, 1].
In iteration 2, c is ')'.
When c is 'x', stack is empty.
stack.append(pos) is executed three times.
stack.pop() is executed once.
The else branch is taken for 'x'.
depth never exceeds 1.
The maximum depth is 2, reached at pos 3.
depth is 2 from the start.
depth becomes 2 in the first iteration.
len(stack) is 2 at the end.
len(stack) is 2.
c is '(' in every iteration.
c is 'x'.
c is 'x' when pos is 2.
The loop runs 5 times and stack is [0, 1].
pos takes the values 0 to 5.
pos goes from 1 to 5.
No IndexError occurs because stack is empty.
The function returns (True, 2) as a list.
The function returns (True, 2) since depth is 1.
Only one bracket is popped.
stack is [0] and depth is 2 after the loop.
stack is [0, 1] before the last iteration.
Before the last iteration, depth is 1.
stack grows to [0, 1] and ok is False.
ok is not True.
depth is 1, then 2, then 3.
depth is increased in every iteration.
The loop breaks when c is 'x'.
""",
}


def cases(texts):
    return [(run, line) for run, text in texts.items() for line in text.splitlines()]


def verdict_of(run, line):
    claims = verify_trace(RUNS[run], f"[MONOLOGUE]\n{line}\n[/MONOLOGUE]\n")
    return line_verdicts(claims).get(2)


@pytest.mark.parametrize(("run", "line"), cases(FALSE))
def test_no_false_sentence_is_confirmed(run, line):
    assert verdict_of(run, line) != CONFIRMED


@pytest.mark.parametrize(("run", "line"), cases(TRUE))
def test_no_true_sentence_is_contradicted(run, line):
    assert verdict_of(run, line) != CONTRADICTED


def test_stated_times_are_used():
    true = [verdict_of(*case) for case in cases(TRUE)]
    false = [verdict_of(*case) for case in cases(FALSE)]
    assert true.count(CONFIRMED) >= len(true) * 0.5
    assert false.count(CONTRADICTED) >= len(false) * 0.4
