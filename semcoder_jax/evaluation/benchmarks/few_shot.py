"""Published few-shot prompts of CRUXEval and LiveCodeBench's code execution, byte for byte.

Sources: facebookresearch/cruxeval, prompts.py (MIT); LiveCodeBench, lcb_runner/prompts/
code_execution.py (MIT). Published scores depend on the exact wording. Both benchmarks use the
same text, except for the examples and the form of a call.
"""

_LITERAL = (
    "You are given a Python function and an assertion containing an input to the function. "
    "Complete the assertion with a literal (no unsimplified expressions, no function calls) "
    "containing the output when executing the provided code on the given input, even if the "
    "function is incorrect or incomplete. Do NOT output any extra information. "
)
_TAGS = "the full assertion with the correct output in [ANSWER] and [/ANSWER] tags, following the "
_DIRECT_OUTPUT = f"{_LITERAL}Provide {_TAGS}examples.\n\n"
_THOUGHT_OUTPUT = (
    f"{_LITERAL}Execute the program step by step before arriving at an answer, and provide {_TAGS}"
    "examples.\n\n"
)
_DIRECT_INPUT = (
    "You will be given a function f and an output in the form f(??) == output. Find any input such "
    "that executing f on the input leads to the given output. There may be multiple answers, but "
    "you should only output one. In [ANSWER] and [/ANSWER] tags, complete the assertion with one "
    "such input that will produce the output when executing the function.\n\n"
)
_THOUGHT_INPUT = (
    "You will be given a function f and an output in the form f(??) == output. Your task is to "
    "find any input such that executing f on the input leads to the given output. There may be "
    "multiple answers, but only output one. First, think step by step. You MUST surround the "
    "answer with [ANSWER] and [/ANSWER] tags. Express your answer as a passing assertion "
    "containing the input and the given output.\n\n"
)
_FOUND = """[PYTHON]
def f(x):
    return x + 1
assert f(??) == 17
[/PYTHON]
[THOUGHT]
To find an input such that executing f on the input leads to the given output, we can work \
backwards from the given assertion. We know that f(??) == 17.\x20

Since the function f(x) returns x + 1, for f(??) to be equal to 17, the value of ?? should be \
16.\x20
[/THOUGHT]
[ANSWER]
assert f(16) == 17
[/ANSWER]

"""
_COUNTED = """[PYTHON]
def f(my_list):
    count = 0
    for i in my_list:
        if len(i) % 2 == 0:
            count += 1
    return count
assert f(??) == 3
[/PYTHON]
[ANSWER]
assert f(["mq", "px", "zy"]) == 3
[/ANSWER]

[PYTHON]
def f(s1, s2):
    return s1 + s2
assert f(??) == "banana"
[/PYTHON]
[ANSWER]
assert f("ba", "nana") == "banana"
[/ANSWER]

"""


def _reasoning_example(name: str, call: str) -> str:
    return f"""[PYTHON]
def {name}(s):
    s = s + s
    return "b" + s + "a"
assert {call} == ??
[/PYTHON]
[THOUGHT]
Let's execute the code step by step:

1. The function {name} is defined, which takes a single argument s.
2. The function is called with the argument "hi", so within the function, s is initially "hi".
3. Inside the function, s is concatenated with itself, so s becomes "hihi".
4. The function then returns a new string that starts with "b", followed by the value of s (which \
is now "hihi"), and ends with "a".
5. The return value of the function is therefore "bhihia".
[/THOUGHT]
[ANSWER]
assert {call} == "bhihia"
[/ANSWER]

"""


def _direct_example(program: str, call: str, output: str) -> str:
    return (
        f"[PYTHON]\n{program}\nassert {call} == ??\n[/PYTHON]\n"
        f"[ANSWER]\nassert {call} == {output}\n[/ANSWER]\n\n"
    )


_CRUXEVAL = _direct_example("def f(n):\n    return n", "f(17)", "17") + _direct_example(
    'def f(s):\n    return s + "a"', 'f("x9j")', '"x9ja"'
)
_LIVECODEBENCH = _direct_example(
    "def repeatNumber(number : int) -> int:\n    return number", "repeatNumber(number = 17)", "17"
) + _direct_example(
    'def addCharacterA(string : str) -> str:\n    return string + "a"',
    'addCharacterA(string = "x9j")',
    '"x9ja"',
)
_OPENING = {"direct": "[ANSWER]", "chain of thought": "[THOUGHT]"}
_OUTPUT = {
    ("cruxeval", "direct"): _DIRECT_OUTPUT + _CRUXEVAL,
    ("cruxeval", "chain of thought"): _THOUGHT_OUTPUT + _reasoning_example("f", 'f("hi")'),
    ("livecodebench", "direct"): _DIRECT_OUTPUT + _LIVECODEBENCH,
    ("livecodebench", "chain of thought"): _THOUGHT_OUTPUT
    + _reasoning_example("performOperation", 'performOperation(s = "hi")'),
}
_INPUT = {"direct": _DIRECT_INPUT + _COUNTED, "chain of thought": _THOUGHT_INPUT + _FOUND}


def output_prompt(code: str, call: str, variant: str, family: str = "cruxeval") -> str:
    """Returns the prompt that asks for the output of `call`.

    variant: "direct" or "chain of thought"; family: "cruxeval" or "livecodebench" examples.
    """
    asked = f"[PYTHON]\n{code}\nassert {call} == ??\n[/PYTHON]\n{_OPENING[variant]}\n"
    return _OUTPUT[family, variant] + asked


def input_prompt(code: str, output: str, function: str, variant: str) -> str:
    """Returns the prompt that asks for an input of `function` with result `output` (source)."""
    asked = f"[PYTHON]\n{code}\nassert {function}(??) == {output}\n[/PYTHON]\n{_OPENING[variant]}\n"
    return _INPUT[variant] + asked
