"""Builds the prompts for a teacher: the checkpoints' own question, format rules, one example.

The examples are written by hand; a test checks them against their runs.
"""

from dataclasses import dataclass

from data_pipeline.endpoint.client import Messages
from data_pipeline.pyx.prompts import backward_prompt, forward_prompt

HEADINGS = {
    "fwd_mnl": (
        "### Understanding the Function",
        "### Key Properties and Constraints",
        "### Execution Simulation",
        "### Conclusion",
    ),
    "bwd_mnl": (
        "### Understanding the Function",
        "### Key Properties and Constraints",
        "### Reverse Deduction",
        "### Conclusion",
    ),
}

_COMMON = """You explain how Python programs run, to people who learn to predict them.
You get a program and one open assertion. Answer in exactly this form, with nothing before it and nothing after it:

{headings}
[/MONOLOGUE]

[ANSWER]
assert {answer}
[/ANSWER]

"""  # noqa: E501
_FORWARD_RULES = """Rules:
- Under "Execution Simulation" go through the run in numbered steps, in the order in which it happens. Begin each step with the label of its line, as in "3. [L7] ...". Give the values that a line reads as `name=value` before the word "gives" and those that it sets as `name=value` after it; of a condition say whether it is True or False.
- Of a loop with many turns tell the first ones, the pattern, and the last one; never skip the turn that changes the course of the run.
- State only what really happens. A wrong value, branch or count spoils the answer.
- The completed assertion repeats the call unchanged and compares it with one Python literal: no expression, no call, no comment.
"""  # noqa: E501
_BACKWARD_RULES = """Rules:
- Under "Reverse Deduction" start from the returned value and walk back to the arguments: as bullets, what must hold of each variable for the output to come about.
- Then choose one concrete input, and say shortly why it gives the output. Any input that gives it will do; prefer a small one.
- Use no line labels.
- The completed assertion calls the function with Python literals only and repeats the given output unchanged.
"""  # noqa: E501

_PROGRAM = """def f(words, n):
    total = 0
    for word in words:
        if len(word) > n:
            total += len(word)
    return total"""

FORWARD_EXAMPLE = (
    _PROGRAM,
    "f(['ab', 'cde'], 2)",
    """### Understanding the Function
The function adds up the lengths of those words that are longer than `n` characters.

### Key Properties and Constraints
- A word of exactly `n` characters does not count: the comparison is strict.
- With no word that is long enough the result is 0.

### Execution Simulation
1. [L6] 0 gives total=0.
2. [L7] iteration 1 of words=['ab', 'cde'] gives word='ab'.
3. [L8] len(word='ab') > n=2 is False.
4. [L7] iteration 2 of words=['ab', 'cde'] gives word='cde'.
5. [L8] len(word='cde') > n=2 is True.
6. [L9] total=0 + len(word='cde') gives total=3.
7. [L7] iteration 3 of words=['ab', 'cde'] does not start.
8. [L10] return total=3.

### Conclusion
Only 'cde' is long enough.
The function returns 3.
[/MONOLOGUE]

[ANSWER]
assert f(['ab', 'cde'], 2) == 3
[/ANSWER]""",
)
BACKWARD_EXAMPLE = (
    _PROGRAM,
    "7",
    """### Understanding the Function
The function adds up the lengths of those words that are longer than `n` characters.

### Key Properties and Constraints
- A word of exactly `n` characters does not count: the comparison is strict.
- Only the lengths of the words matter, not their letters.

### Reverse Deduction
- The function returns `total`, so `total` must be 7 at the end.
- `total` starts at 0 and grows only by the lengths of words longer than `n`, so these lengths must add up to 7.
- One word of 7 characters is enough, if `n` is smaller than 7.

### Conclusion
With the single word 'abcdefg' and `n` set to 3, its length 7 is greater than 3, so the total becomes 7.
[/MONOLOGUE]

[ANSWER]
assert f(['abcdefg'], 3) == 7
[/ANSWER]""",  # noqa: E501
)


@dataclass(frozen=True)
class TeacherPrompt:
    """Holds the part of a question that the teacher sees.

    Args:
      kind: "fwd_mnl" or "bwd_mnl".
      program: source text.
      shown: the call of a forward question, the output of a backward one.
      function: name of the program's entry function.
    """

    kind: str
    program: str
    shown: str
    function: str

    @property
    def prompt(self) -> str:
        """Returns the checkpoints' prompt, which ends with the opened monologue."""
        if self.kind == "fwd_mnl":
            return forward_prompt(self.program, self.shown)
        return backward_prompt(self.program, self.shown, function=self.function)


def messages(question: TeacherPrompt) -> Messages:
    """Returns chat messages for a model that does not know the format: rules, example, question."""
    example, answer = _example(question.kind)
    return (
        {"role": "system", "content": rules(question.kind)},
        {"role": "user", "content": example.prompt},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": question.prompt},
    )


def text(question: TeacherPrompt, *, examples: bool) -> str:
    """Returns a completion prompt; `examples=False` suits a model trained on the format."""
    if not examples:
        return question.prompt
    example, answer = _example(question.kind)
    return f"{rules(question.kind)}\n{example.prompt}{answer}\n\n{question.prompt}"


def rules(kind: str) -> str:
    """Returns the rules of the answer format."""
    answer = "f(...) == <the output>" if kind == "fwd_mnl" else "f(<the input>) == ..."
    common = _COMMON.format(headings="\n...\n\n".join(HEADINGS[kind]) + "\n...", answer=answer)
    return common + (_FORWARD_RULES if kind == "fwd_mnl" else _BACKWARD_RULES)


def _example(kind: str) -> tuple[TeacherPrompt, str]:
    program, shown, answer = FORWARD_EXAMPLE if kind == "fwd_mnl" else BACKWARD_EXAMPLE
    return TeacherPrompt(kind, program, shown, "f"), answer
