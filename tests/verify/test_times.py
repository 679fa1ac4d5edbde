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
RUNS = {
    "bank": trace_call(BANK, "f([-3, 5, -8, 1])"),
    "text": trace_call(TEXT, "g('so tall a giraffe')"),
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
    assert false.count(CONTRADICTED) >= len(false) * 0.5
