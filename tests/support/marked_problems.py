"""Makes rows like EvalPlus's, with markers in every field that the model must not see."""

HIDDEN = "HIDDEN_TEST_MARKER"

REFERENCE = "REFERENCE_SOLUTION_MARKER"


def humaneval_row() -> dict:
    """Makes a row with all of EvalPlus's fields and markers in the hidden ones."""
    return {
        "task_id": "HumanEval/900",
        "prompt": 'def double(x: int) -> int:\n    """ Twice x.\n    >>> double(2)\n    4\n'
        '    >>> double(0)\n    0\n    """\n',
        "entry_point": "double",
        "canonical_solution": f"    {REFERENCE} = 2\n    return {REFERENCE} * x\n",
        "test": f"def check(candidate):\n    assert candidate(7) == 14  # {HIDDEN}\n",
        "contract": f"# {HIDDEN}",
        "base_input": [[HIDDEN]],
        "plus_input": [[HIDDEN]],
        "atol": 0,
    }


def mbpp_row() -> dict:
    return {
        "task_id": "Mbpp/900",
        "prompt": '"""\nWrite a function to double.\nassert double(2) == 4\n"""\n',
        "entry_point": "double",
        "canonical_solution": f"def double(x):\n    {REFERENCE} = 2\n    return {REFERENCE} * x\n",
        "base_input": [[HIDDEN]],
        "plus_input": [[HIDDEN]],
        "assertion": f"assert double(7) == 14  # {HIDDEN}",
        "atol": 0,
    }
