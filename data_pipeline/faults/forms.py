"""The forms of a diagnosis, beside those of a monologue; see `monologue.forms`."""

from collections.abc import Mapping

from data_pipeline.monologue.forms import FORMS, Form

_RUN: Mapping[str, Form] = {
    "failed test": (("test",), ("the failed test calls {0.s} and asserts {0.raw}",)),
    "skipped": (
        ("skipped", "before*"),
        ("steps {0.span} are left out; before the next one {are}",),
    ),
    "skipped bare": (("skipped",), ("steps {0.span} are left out",)),
    "goes wrong": (
        ("wrong",),
        (
            "step {0.s} is the first to go wrong",
            "the run goes wrong in step {0.s}",
            "the run is right until step {0.s}, where it goes wrong",
        ),
    ),
    "last right": (
        ("right",),
        (
            "step {0.s} is the last correct one",
            "the run is right up to and including step {0.s}",
        ),
    ),
    "leaves": (("code", "after*"), ("{0.at} leaves {equal}",)),
    "leaves unset": (("code", "unset*"), ("{0.at} leaves {names} without a value",)),
    "binds": (("code", "after*"), ("{0.at} binds {equal}",)),
    "returns here": (("code", "returns"), ("{0.at} returns {1.v}",)),
    "hands out": (("code", "yields"), ("{0.at} yields {1.v}",)),
    "fails here": (("code", "error"), ("{0.at} raises {1.raw}",)),
    "fails here with": (
        ("code", "error", "before*"),
        ("with {equal}, {0.at} raises {1.raw}",),
    ),
    "raises nothing": (("code", "calm"), ("{0.at} raises nothing",)),
    "condition": (("code", "branch"), ("the condition of {0.at} is {1.truth}",)),
    "condition with": (
        ("code", "branch", "before*"),
        ("with {equal}, the condition of {0.at} is {1.truth}",),
    ),
    "begins turn": (("code", "turn"), ("{0.at} begins iteration {1.raw}",)),
    "begins turn with": (
        ("code", "turn", "after*"),
        ("{0.at} begins iteration {1.raw} with {equal}",),
    ),
    "ends loop": (("code", "turns"), ("{0.at} ends the loop after iteration {1.raw}",)),
    "never begins": (("code", "turns"), ("{0.at} ends the loop before its first iteration",)),
    "extra": (("only here",), ("{0.at} must not run here",)),
    "comes": (("comes", "code"), ("then the run goes on at {1.at}",)),
    "comes call": (("comes", "enters"), ("then {1.n} is called",)),
    "comes return": (("comes", "returns"), ("then {1.n} returns {1.v}",)),
    "comes yield": (("comes", "yields"), ("then {1.v} is yielded",)),
    "comes error": (("comes", "error"), ("then {1.raw} is raised",)),
    "over": (("over",), ("then the run is over",)),
    "missing": (("missing",), ("{0.n} is missing",)),
    "would": (("evaluates",), ("{0.n} would be {0.v} here",)),
}  # fmt: skip
_NEEDED: Mapping[str, Form] = {
    "needed after": (("needed after*",), ("{equal} is needed",)),
    "needed unset": (("needed unset*",), ("{names} must have no value",)),
    "needed returns": (("needed returns",), ("{0.v} is needed",)),
    "needed yields": (("needed yields",), ("{0.v} is needed",)),
    "needed error": (("needed error",), ("{0.raw} is needed",)),
    "needed calm": (("needed calm",), ("no exception may arise",)),
    "needed branch": (("needed branch",), ("it must be {0.truth}",)),
    "needed turns": (("needed turns",), ("the loop must end",)),
    "needed turn": (("needed turn",), ("iteration {0.raw} must begin",)),
    "needed turn with": (
        ("needed turn", "needed after*"),
        ("iteration {0.raw} must begin with {equal}",),
    ),
    "due line": (("due", "needed code"), ("{1.n} must run",)),
    "due line with": (
        ("due", "needed code", "needed after*"),
        ("{1.n} must run and leave {equal}",),
    ),
    "due call": (("due", "needed enters"), ("{1.n} must be called",)),
    "due return": (("due", "needed returns"), ("{1.n} must return {1.v}",)),
    "due yield": (("due", "needed yields"), ("{1.v} must be yielded",)),
    "due error": (("due", "needed error"), ("{1.raw} must be raised",)),
    "due end": (("due end",), ("the run must end",)),
}
_ENDING: Mapping[str, Form] = {
    "stands": (
        ("stands",),
        (
            "the program has {0.n} where {0.p} is needed",
            "where the program has {0.n}, {0.p} is needed",
        ),
    ),
    "at fault": (("at fault", "code"), ("the line at fault is {1.at}",)),
    "so returns": (("outcome",), ("so {0.s} returns {0.v}",)),
    "so fails": (("fails",), ("so {0.s} raises {0.raw}",)),
    "so endless": (("endless",), ("so {0.s} does not end: stopped after {0.raw}",)),
    "asserted": (("asserted",), ("{0.raw} is asserted",)),
    "rewrite": (("code", "rewrite"), ("{0.at} must read {1.p}",)),
    "indent": (
        ("code", "indent", "indented"),
        ("{0.at} must be indented by {1.raw} spaces, not {2.raw}",),
    ),
    "drop": (("code", "drop"), ("{0.at} must be removed",)),
    "insert": (("code", "insert*"), ("after {0.at}, {names} must be inserted",)),
    "insert first": (("insert*",), ("before line 1, {names} must be inserted",)),
    "repaired": (("repaired", "needed outcome"), ("with that, {1.s} returns {1.v}",)),
}
FAULT_FORMS: Mapping[str, Form] = {**FORMS, **_RUN, **_NEEDED, **_ENDING}
