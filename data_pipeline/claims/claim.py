"""Defines a claim: one statement that a run or its program's text can prove or refute."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a claim holds.

    line:  1-based line of the program
    at:    index of the trace's event; -1 for claims about the text of the program
    frame: number of the frame
    """

    line: int
    at: int = -1
    frame: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """States that `subject` has `value` at `place`, in the sense of `kind`.

    A line's window is everything from its event to its frame's next line. Kinds about the run:

    kind        subject             value
    before      variable            its value before the line
    after       variable            its value after the line
    size        variable            number of its items after the line
    evaluates   expression          its value in the line
    becomes     expression          the expression with values put in for some of its parts
    item        expression          its value in this turn of a comprehension (place: a step)
    bound       variable            its value in this turn of a comprehension (place: a step)
    branch      test of the header  "True" or "False"
    is          test of the header  "True" or "False", which is the test's own value
    turn        header's loop       number of the turn that begins
    turns       header's loop       number of turns when the loop is over
    range       header's loop       "3-7": these turns are of the execution that `place` is in
    alike       "3-7"               lines of the paths that these turns take, "8,9|8,12"
    series      variable            its values after the turns, joined; place.at: the first turn
    over        "3-7"               these are the last turns and the loop ends
    next        -                   line that runs next in the frame
    enters      function            - (place: a call)
    resumes     function            - (place: a generator continues)
    calls       function            number of its calls in the window
    result      "f(n=3)"            what this call returns (place: the call)
    returns     function            what the frame returns in this window
    yields      function            what it yields in this window
    waits       expression          value that is returned after the `finally` block
    held        expression          what the frame returns as the `finally` block ends: the value of
                                    a `return` that ran before it
    raises      -                   type of the exception that leaves the line
    error       -                   type and message of the first exception in the line
    calm        -                   - (the line raises nothing)
    unset       variable            - (it has no value after the line)
    handler     code of `except`    "True" or "False": it matches
    case        code of `case`      "True" or "False": its body is entered
    with        -                   "enter" or "leave"
    gone        variable            - (deleted by the line)
    quiet       code                - (the line changes no variable)
    appends     list                item that is added at its end
    outcome     call                what the whole call returns
    fails       call                type and message of the exception that the whole call raises
    endless     call                why the run was stopped before its end

    Kinds about the text (place.at is -1):

    takes       function            its parameters, joined
    quote       function            sentence of its docstring
    loop        iterable            target of the `for` at the line
    while       test                -
    test        test of an `if`     -
    sets        target              right side of an assignment
    changes     target              "+=" and right side of an augmented assignment
    gives       returned code       -
    hands       yielded code        -
    does        code of a call      -
    puts        list or set         what `append` or `add` adds to it
    block       "body" or "else"    lines of statements in this block of the header, "8,9"; "after":
                                    below an `if` whose body leaves the function
    deletes     target of `del`     -
    catches     type of `except`    -
    defines     function or class   -
    throws      exception           - (a `raise` statement)
    guards      -                   - (a `try` statement)
    opens       context             - (a `with` statement)
    matches     subject             number of cases of the `match` statement
    asserts     test                -
    imports     code                names that it binds, joined
    bare        "pass", "break", "continue"
    constant    global              value that it has throughout the run

    Kinds about the run as a whole:

    recursive   function            -
    helper      function            - (another function of the program that the run calls)
    mutated     parameter           - (changed in place)
    type        -                   name of the result's type
    length      -                   number of the result's items

    Kinds about every input with the run's output: see `necessity`.
    """

    kind: str
    place: Place
    subject: str = ""
    value: str = ""
