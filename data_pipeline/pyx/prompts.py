"""The wire format of the SemCoder checkpoints: byte-exact prompts (SemCoder release, MIT).

A checkpoint answers as published only to the bytes it was trained on, so the instruction sentences
are never touched, typing errors and trailing spaces included. The blocks that hold a program come
in two modes:

- `fixed` (default): the program and values as they are; blocks well formed.
- `compat`: upstream's CRUXEval runner, quirks included. Every `'` of program, call and output is
  turned into `"` (which breaks 7 of CRUXEval's 800 programs and changes an eighth), every line
  that is not blank gets a label even inside a string, and the backward block opens with `PYTHON]`
  and has a blank line before the answer.

`*_field` gives what a record's field holds; `*_prompt` gives the whole prompt. For every `*_field`,
`training_prompt(record with that field)` is byte for byte the `*_prompt`.
"""

import ast
import functools
import re
from typing import Literal

from data_pipeline.errors import UserError
from data_pipeline.pyx.instructions import InstructionRecord
from data_pipeline.pyx.records import Record

Mode = Literal["compat", "fixed"]
AnswerMode = Literal["monologue", "direct"]

FIRST_LABEL = 5
"""Label of a program's first line, [L5]: upstream counts from 1 and adds four."""

CODE_INSTRUCTION = (
    "You are an exceptionally intelligent coding assistant that consistently delivers "
    "accurate and reliable <Code> according to <NL_Description>"
)
QUESTION_HEADING = "\n\n<NL_Description>\n"
CODE_HEADING = "\n\n<Code>\n"
_FORWARD_INSTRUCTION = (
    "Simulate the Execution: You are given a Python function and an assertion containing a "
    "function input. Complete the assertion containing the execution output corresponding to "
    "the given input in [ANSWER] and [/ANSWER] tags.\n"
)
_BACKWARD_INSTRUCTION = (
    "Deduce the Semantic Constraints: You are given a Python program and its expected output. "
    "Find one input such that executing the program with the input leads to the given output. "
    "Complete the assertion with one such input in between [ANSWER] and [/ANSWER].\n"
)
_REFINE_INSTRUCTION = (  # "a a problem" and the space after "failure." are what checkpoints know
    "Debug and Refine the Code: You are given a a problem to be implemented in Python, and a "
    "buggy code that tries to solve the problem but fails the test case.\n"
    "You should firstly simulate the execution with the buggy code and the failed test to "
    "identify the root cause of the failure. \n"
    "Then, you should fix the bug and wrap the refined code in between [Refined] and [/Refined].\n"
)
_BEFORE_FIELD = {
    "nl": CODE_INSTRUCTION + QUESTION_HEADING,
    "fwd_mnl": _FORWARD_INSTRUCTION,
    "bwd_mnl": _BACKWARD_INSTRUCTION,
    "fault": _REFINE_INSTRUCTION,
    "instruction": CODE_INSTRUCTION + QUESTION_HEADING,
}
_AFTER_FIELD = {
    "nl": CODE_HEADING,
    "fwd_mnl": "\n",
    "bwd_mnl": "\n",
    "fault": "\n",
    "instruction": CODE_HEADING,
}
_ANSWER_OPENING = {"monologue": "[MONOLOGUE]", "direct": "[ANSWER]"}
_FENCE = "```python"
# Without one of these no string, f-string or statement outside brackets goes on in the next line.
_GOES_ON = re.compile(r"""\\|'''|\"\"\"|[fFtT][rR]?['"]|[\r\f]""")


class PromptError(UserError):
    """A prompt that cannot be made: an unknown mode, or a problem not in the expected form."""


def training_prompt(record: Record | InstructionRecord) -> str:
    """The prompt that a record is trained with: its instruction field in upstream's template."""
    return _prompt_around(record.kind, record.prompt_field)


# --- forward monologue: from a call to its output -------------------------------------------------


def forward_prompt(
    code: str, call: str, *, answer_mode: AnswerMode = "monologue", mode: Mode = "fixed"
) -> str:
    """Asks for the output of `call` (e.g. "f([1, 2])") on the program `code`.

    With `answer_mode="direct"` the answer is opened in place of the monologue. Raises PromptError.
    """
    return _prompt_around("fwd_mnl", forward_field(code, call, answer_mode=answer_mode, mode=mode))


def forward_field(
    code: str, call: str, *, answer_mode: AnswerMode = "monologue", mode: Mode = "fixed"
) -> str:
    """What `fwd_mnl` holds: the labelled program, the open assertion, and the opened answer."""
    code, call = _as_asked(code, mode), _as_asked(call, mode)
    opening = _one_of("answer_mode", answer_mode, _ANSWER_OPENING)
    return f"[PYTHON]\n{label_lines(code, mode)}\nassert {call} == ??\n[/PYTHON]\n{opening}"


@functools.lru_cache(maxsize=64)  # a program is asked about by many records
def label_lines(code: str, mode: Mode = "fixed") -> str:
    """`code` with " # [L5]", " # [L6]", ... after its lines; a blank line counts but has no label.

    `fixed` leaves out the labels that would not be comments (inside a string of several lines,
    after a backslash that continues the line), so the program keeps its meaning.
    """
    labels = {
        index: f" # [L{index + FIRST_LABEL}]"
        for index, line in enumerate(code.split("\n"))
        if line.strip()
    }
    labelled = _with_labels(code, labels)
    if mode == "compat" or not _GOES_ON.search(code):
        return labelled
    if (tree := _syntax(code)) is None or _syntax(labelled) == tree:
        return labelled
    return _with_labels(
        code,
        {
            i: label
            for i, label in labels.items()
            if _syntax(_with_labels(code, {i: label})) == tree
        },
    )


def _with_labels(code: str, labels: dict[int, str]) -> str:
    lines = code.split("\n")
    return "\n".join(line + labels.get(index, "") for index, line in enumerate(lines))


def _syntax(code: str) -> str | None:
    """The program's syntax tree, comments and positions left out; None if it is not Python."""
    try:
        return ast.dump(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# --- backward monologue: from an output to a call -------------------------------------------------


def backward_prompt(
    code: str,
    output: str,
    *,
    function: str = "f",
    answer_mode: AnswerMode = "monologue",
    mode: Mode = "fixed",
) -> str:
    """Asks for an input on which `function` of the program `code` gives `output` (source text).

    Raises PromptError.
    """
    field = backward_field(code, output, function=function, answer_mode=answer_mode, mode=mode)
    return _prompt_around("bwd_mnl", field)


def backward_field(
    code: str,
    output: str,
    *,
    function: str = "f",
    answer_mode: AnswerMode = "monologue",
    mode: Mode = "fixed",
) -> str:
    """What `bwd_mnl` holds: the program, the assertion with its input open, the opened answer."""
    code, output = _as_asked(code, mode), _as_asked(output, mode)
    opening = _one_of("answer_mode", answer_mode, _ANSWER_OPENING)
    block = f"PYTHON]\n{code}\nassert {function}(??) == {output}\n[/PYTHON]\n"
    return f"{block}\n{opening}" if mode == "compat" else f"[{block}{opening}"


# --- debug and refine -----------------------------------------------------------------------------


def refine_prompt(problem: str, code: str, error: str) -> str:
    """Asks for the repair of `code`, a wrong solution of `problem`; `error` is the failed test."""
    return _prompt_around("fault", refine_field(problem, code, error))


def refine_field(problem: str, code: str, error: str) -> str:
    """What `fault` holds: problem, buggy program and failed test under their headings."""
    return (
        f"### Problem\n{problem}\n\n### Buggy Solution\n{_FENCE}\n{code}\n```\n\n"
        f"### Failed Test\n{_FENCE}\n{error}\n```\n"
    )


# --- code generation ------------------------------------------------------------------------------


def code_field(text: str, assertion: str) -> str:
    """What `nl` may hold: a description and one assertion, as MBPP's problems are asked."""
    text = text.strip()
    return (
        f"{text}{'' if text.endswith('.') else '.'} Your code should satisfy the following "
        f"assertion:\n{_FENCE}\n{assertion}\n```"
    )


def humaneval_prompt(prompt: str) -> str:
    """The prompt of a HumanEval problem: its `prompt` as question and again as opened answer."""
    program = prompt.strip()
    question = f"Write a solution to the following problem:\n{_FENCE}\n{program}\n```"
    return f"{_prompt_around('nl', question)}{_FENCE}\n{program}"


def mbpp_prompt(prompt: str) -> str:
    '''The prompt of an EvalPlus MBPP problem, whose `prompt` is """text, then one assertion""".

    Raises PromptError when there is no such docstring or assertion.
    '''
    docstring = prompt.strip().removeprefix('"""').removesuffix('"""')
    text, opening, assertion = docstring.partition("\nassert ")
    if len(docstring) != len(prompt.strip()) - 6 or not opening:
        raise PromptError(
            f'MBPP prompt: expected """text, newline, assert ..."""; got {prompt[:60]!r}'
        )
    question = code_field(text, f"assert {assertion.strip()}")
    return f"{_prompt_around('nl', question)}{_FENCE}"


# --- shared by all --------------------------------------------------------------------------------


def _prompt_around(kind: str, field: str) -> str:
    return f"{_BEFORE_FIELD[kind]}{field}{_AFTER_FIELD[kind]}"


def _as_asked(source: str, mode: Mode) -> str:
    """Program, call or output as the question shows it."""
    return (
        source.replace("'", '"')
        if _one_of("mode", mode, {"compat": True, "fixed": False})
        else source
    )


def _one_of(name: str, value: str, choices: dict):
    if value not in choices:
        raise PromptError(f"{name}: expected one of {', '.join(choices)}; got {value!r}")
    return choices[value]
