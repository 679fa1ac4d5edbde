"""The forms of clauses: which claims each states, and its wordings.

A form states claims of the kinds in its first part, in this order; a last kind with a star stands
for one or more. Wordings take texts from the claims: {0.n} the first claim's subject as code,
{0.v} its value, {0.p} its value as code, {0.raw} its value as it is, {0.to} its value as a label,
{0.at} the label of its place; {equal}, {are}, {names}, {become}, {give}, {now} join the starred
claims. Every wording of a form states the same claims and nothing more.
"""

from collections.abc import Mapping

Form = tuple[tuple[str, ...], tuple[str, ...]]

_STATE: Mapping[str, Form] = {
    "with": (("before*",), ("with {equal}",)),
    "sets": (("after",), ("{0.n} becomes {0.v}", "{0.n} is now {0.v}", "{0.n} is set to {0.v}")),
    "sets constant": (
        ("after",),
        ("{0.n} is set to {0.v}", "{0.n} gets the value {0.v}", "we set {0.n} to {0.v}"),
    ),
    "goes": (
        ("before", "after"),
        ("{0.n} goes from {0.v} to {1.v}", "{0.n} changes from {0.v} to {1.v}"),
    ),
    "all now": (("after*",), ("{now}", "{become}", "now {are}")),
    "sets by": (
        ("sets", "after"),
        (
            "{0.n} is set to {0.p}, which is {1.v}",
            "{0.n} becomes {1.v}, the value of {0.p}",
        ),
    ),
    "sets by with": (
        ("sets", "after", "before*"),
        (
            "with {equal}, {0.n} becomes {0.p}, which is {1.v}",
            "with {equal}, {0.n} gets the value of {0.p}, which is {1.v}",
        ),
    ),
    "sets all": (("after*",), ("{are}", "we start with {equal}")),
    "assigns": (
        ("sets", "after*"),
        ("{0.n} is set to {0.p}; {now}", "{0.n} is set to {0.p}, and {become}"),
    ),
    "assigns code": (("sets",), ("{0.n} is set to {0.p}",)),
    "assigns still": (
        ("sets", "before", "after"),
        ("{0.n} is set to {0.p}, and {2.n} stays {2.v}",),
    ),
    "does still": (
        ("does", "before", "after"),
        ("after {0.n}, {2.n} is still {2.v}",),
    ),
    "changes": (("changes", "after*"), ("{0.n} is updated by {0.p}, and {now}",)),
    "changes code": (("changes",), ("{0.n} is updated by {0.p}",)),
    "changes still": (
        ("changes", "before", "after"),
        ("{0.n} is updated by {0.p}, and {2.n} stays {2.v}",),
    ),
    "size": (("size",), ("{0.n} now has {0.raw} item{0.es}",)),
    "gone": (("gone",), ("{0.n} is deleted", "the variable {0.n} is gone")),
    "quiet": (("quiet",), ("{0.n} is run and changes no variable",)),
    "quiet with": (
        ("quiet", "before*"),
        ("{0.n} is run with {equal} and changes no variable",),
    ),
    "appends": (
        ("appends", "after"),
        (
            "{0.v} is appended to {0.n}, which is now {1.v}",
            "we append {0.v}, and {1.n} becomes {1.v}",
            "{0.v} goes to the end of {0.n}: it is now {1.v}",
        ),
    ),
    "does": (
        ("does", "after*"),
        ("after {0.n}, {are}", "{0.n} is run, and {now}"),
    ),
    "unchanged": (("before", "after"), ("{0.n} stays {1.v}",)),
}
_EXPRESSIONS: Mapping[str, Form] = {
    "part": (("evaluates",), ("{0.n} is {0.v}", "{0.n} gives {0.v}", "{0.n} is {0.v}")),
    "put": (("becomes",), ("{0.n} is {0.p}", "{0.n} becomes {0.p}", "{0.n} is {0.p}")),
    "put value": (
        ("becomes", "evaluates"),
        ("{0.n} is {0.p}, which is {1.v}", "{0.n} is {0.p}, which gives {1.v}"),
    ),
    "items": (("bound", "item*"), ("for {0.n} = {0.v}, {are}",)),
    "pair items": (
        ("bound", "bound", "item*"),
        ("for {0.n} = {0.v} and {1.n} = {1.v}, {are}",),
    ),
    "triple items": (
        ("bound", "bound", "bound", "item*"),
        ("for {0.n} = {0.v}, {1.n} = {1.v} and {2.n} = {2.v}, {are}",),
    ),
    "waits": (
        ("waits",),
        ("{0.n} is {0.v}, but the `finally` block runs before the function can return it",),
    ),
}
_CONTROL: Mapping[str, Form] = {
    "truth": (("branch",), ("the condition {0.n} is {0.truth}",)),
    "truth with": (
        ("branch", "before*"),
        ("with {equal}, the condition {0.n} is {0.truth}",),
    ),
    "test": (("is",), ("{0.n} is {0.raw}",)),
    "test put": (
        ("becomes", "is"),
        ("{0.n} is {0.p}, which is {1.raw}", "{0.n} is {0.p}, and that is {1.raw}"),
    ),
    "test with": (
        ("is", "before*"),
        ("with {equal}, {0.n} is {0.raw}",),
    ),
    "counts": (
        ("evaluates", "branch"),
        ("{0.n} is {0.v}, which counts as {1.truth}",),
    ),
    "enters body": (
        ("branch",),
        ("we enter the `if` body", "the `if` body runs"),
    ),
    "to": (
        ("next",),
        ("control moves to {0.to}", "execution continues at {0.to}", "control goes to {0.to}"),
    ),
    "holds": (("branch",), ("the assertion {0.n} holds",)),
    "turn": (("turn", "after*"), ("Iteration {0.raw}: {are}",)),
    "bare turn": (("turn",), ("Iteration {0.raw} begins",)),
    "while turn": (("turn",), ("Iteration {0.raw}",)),
    "ends": (
        ("loop", "turns"),
        (
            "the loop over {0.n} ends after {1.raw} iterations",
            "the loop over {0.n} is complete after {1.raw} iterations",
        ),
    ),
    "ends once": (("loop", "turns"), ("the loop over {0.n} ends after {1.raw} iteration",)),
    "no turn": (
        ("loop", "turns"),
        ("the loop over {0.n} makes {1.raw} iterations",),
    ),
    "loop ends": (
        ("turns",),
        ("the loop ends after {0.raw} iterations", "the loop is over after {0.raw} iterations"),
    ),
    "loop ends once": (("turns",), ("the loop ends after {0.raw} iteration",)),
    "no while turn": (("turns",), ("the loop makes {0.raw} iterations",)),
    "break": (("bare", "turns"), ("`break` leaves the loop in iteration {1.raw}",)),
    "continue": (("bare", "next"), ("`continue` ends this iteration and takes us back to {1.to}",)),
    "pass": (("bare",), ("{0.n} does nothing",)),
    "alike": (
        ("range", "alike"),
        (
            "Iterations {0.span} run the same lines as the iterations above",
            "Iterations {0.span} follow the same path as those above",
        ),
    ),
    "alike once": (
        ("range", "alike"),
        ("Iteration {0.span} runs the same lines as the ones above",),
    ),
    "left out": (
        ("range",),
        ("Iterations {0.span} are not shown line by line",),
    ),
    "left out once": (("range",), ("Iteration {0.span} is not shown line by line",)),
    "series": (
        ("series",),
        ("the values of {0.n} are {0.raw}",),
    ),
    "after turns": (
        ("range", "after*"),
        ("at the end of iteration {0.last}, {are}",),
    ),
    "resumption": (("before*",), ("some steps are left out here; at this point {are}",)),
    "handled": (("handler",), ("{0.n} matches the exception",)),
    "unhandled": (("handler",), ("{0.n} does not match the exception",)),
    "case": (("case",), ("{0.n} matches", "{0.n} fits")),
    "no case": (("case",), ("{0.n} does not match", "{0.n} is not taken")),
    "guard fails": (("case",), ("{0.n} is not taken",)),
    "captures": (("after*",), ("it captures {equal}",)),
    "guard": (("evaluates",), ("the guard {0.n} is {0.v}",)),
    "subject": (("evaluates",), ("the subject {0.n} is {0.v}",)),
    "enter with": (("with", "opens"), ("the `with` block of {1.n} is entered",)),
    "leave with": (("with", "opens"), ("the `with` block of {1.n} is left",)),
    "raises": (("raises",), ("this line raises {0.raw}",)),
    "throws": (("throws", "raises"), ("{1.raw} is raised",)),
}
_CALLS: Mapping[str, Form] = {
    "enters": (
        ("enters", "after*"),
        ("{0.n} is called with {equal}", "{0.n} starts with {equal}"),
    ),
    "enters bare": (("enters",), ("{0.n} is called",)),
    "resumes": (("resumes",), ("the generator {0.n} continues",)),
    "calls": (("calls",), ("this line calls {0.n}",)),
    "yields": (("yields",), ("the generator yields {0.v}", "{0.v} is yielded")),
    "returns": (("returns",), ("the function returns {0.v}",)),
    "returns name": (
        ("gives", "returns"),
        (
            "the function returns {0.n}, which is {1.v}",
            "the function returns {1.v}, the value of {0.n}",
        ),
    ),
    "inner returns": (("returns",), ("this call of {0.n} returns {0.v}",)),
    "returns with": (
        ("gives", "returns", "before*"),
        (
            "with {equal}, {0.n} is {1.v}, and the function returns it",
            "with {equal}, the function returns {1.v}, the value of {0.n}",
            "with {equal}, {0.n} comes to {1.v}, and that is returned",
        ),
    ),
    "gives": (("gives",), ("the function returns the value of {0.n}",)),
    "falls off": (
        ("returns",),
        ("the function ends here and returns {0.v}",),
    ),
    "held": (
        ("held",),
        ("the `finally` block is over, and the function returns {0.v}, the value of {0.n}",),
    ),
    "held bare": (
        ("held",),
        ("the `finally` block is over, and the function returns the value of {0.n}",),
    ),
    "generator ends": (("returns",), ("the generator {0.n} ends here",)),
    "result of": (
        ("gives", "result"),
        ("{1.n} returns {0.n}, which is {1.v}", "{0.n} is {1.v}, and {1.n} returns it"),
    ),
    "result": (("result",), ("{0.n} returns {0.v}", "the call {0.n} returns {0.v}")),
    "defines": (("defines",), ("the inner function {0.n} is defined",)),
    "defines class": (("defines",), ("the class {0.n} is defined",)),
    "imports": (("imports",), ("after {0.n}, we can use {0.each}",)),
    "outcome": (
        ("outcome",),
        (
            "the function returns {0.v}",
            "after these steps the function returns {0.v}",
            "in the end the function returns {0.v}",
        ),
    ),
    "outcome call": (("outcome",), ("{0.n} returns {0.v}", "{0.n} gives {0.v}")),
    "outcome bare": (("outcome",), ("the function returns here with the value below",)),
}
_SIZED = {  # type -> of several items, of one, of none
    "list": ("a list of length {1.raw}", "a list with one item", "an empty list"),
    "tuple": ("a tuple of length {1.raw}", "a tuple with one item", "an empty tuple"),
    "str": ("a string of length {1.raw}", "a string of length 1", "an empty string"),
    "dict": ("a dict with {1.raw} key{1.es}", "a dict with one key", "an empty dict"),
    "set": ("a set of size {1.raw}", "a set with one item", "an empty set"),
}
_SIMPLE = {
    "int": "an integer",
    "float": "a floating-point number",
    "bool": "a truth value",
    "NoneType": "`None`",
}
_SUBJECTS = {"": "the result of this call is", " bare": "the output is"}  # of a run, of no run
_RESULTS: Mapping[str, Form] = {
    f"{kind}{size}{suffix}": (("type", "length"), (f"{subject} {text}",))
    for kind, texts in _SIZED.items()
    for size, text in zip(("", " one", " empty"), texts, strict=True)
    for suffix, subject in _SUBJECTS.items()
} | {
    f"{kind}{suffix}": (("type",), (f"{subject} {text}",))
    for kind, text in _SIMPLE.items()
    for suffix, subject in _SUBJECTS.items()
}
_INTRODUCTION: Mapping[str, Form] = {
    "takes": (
        ("takes",),
        ("{0.n} takes {0.each}", "the function {0.n} takes {0.each}", "{0.n} is given {0.each}"),
    ),
    "takes nothing": (("takes",), ("{0.n} takes no arguments",)),
    "quote": (("quote",), ('its docstring says: "{0.raw}"',)),
    "intro if": (("test", "block"), ("if {0.n}", "when {0.n}")),
    "intro if true": (("test", "block"), ("if {0.n} is true", "when {0.n} is true")),
    "intro if truthy": (("test", "block"), ("if {0.n} is truthy", "when {0.n} is truthy")),
    "intro unless": (("test", "block"), ("if {0.n} is false", "when {0.n} is false")),
    "intro unless truthy": (("test", "block"), ("if {0.n} is falsy", "when {0.n} is falsy")),
    "intro except": (("catches", "block"), ("on {0.n}",)),
    "otherwise": (("block",), ("otherwise",)),
    "intro each": (
        ("loop", "block"),
        ("for each {0.p} in {0.n}", "for every {0.p} in {0.n}"),
    ),
    "intro while": (("while", "block"), ("while {0.n}", "as long as {0.n}")),
    "intro while true": (
        ("while", "block"),
        ("while {0.n} is true", "as long as {0.n} is true"),
    ),
    "intro while truthy": (
        ("while", "block"),
        ("while {0.n} is truthy", "as long as {0.n} is truthy"),
    ),
    "intro forever": (("while", "block"), ("in a `while {0.s}` loop",)),
    "intro try": (("guards", "block"), ("inside a `try` block", "in a `try` block")),
    "intro with": (("opens", "block"), ("inside the `with` block of {0.n}",)),
    "intro sets": (("sets",), ("sets {0.n} to {0.p}",)),
    "intro computes": (("sets",), ("computes {0.n} as {0.p}", "sets {0.n} to {0.p}")),
    "intro computes long": (("sets",), ("computes {0.n}",)),
    "intro adds": (("changes",), ("adds {0.right} to {0.n}",)),
    "intro subtracts": (("changes",), ("subtracts {0.right} from {0.n}",)),
    "intro multiplies": (("changes",), ("multiplies {0.n} by {0.right}",)),
    "intro changes": (("changes",), ("updates {0.n} by {0.p}",)),
    "intro puts": (("puts",), ("adds {0.p} to {0.n}", "puts {0.p} into {0.n}")),
    "intro gives": (("gives",), ("returns {0.n}",)),
    "intro does": (("does",), ("calls {0.n}", "runs {0.n}")),
    "intro defines": (("defines",), ("defines the inner function {0.n}",)),
    "intro defines all": (("defines*",), ("defines the inner functions {names}",)),
    "intro matches": (("matches",), ("matches {0.n} against {0.raw} pattern{0.es}",)),
    "intro throws": (("throws",), ("raises {0.n}",)),
    "intro hands": (("hands",), ("yields {0.n}",)),
    "intro asserts": (("asserts",), ("asserts that {0.n}",)),
    "intro deletes": (("deletes",), ("deletes {0.n}", "removes {0.n}")),
    "intro leaves": (("bare",), ("leaves the loop",)),
    "intro skips": (("bare",), ("goes on with the next iteration",)),
    "property loop": (
        ("loop",),
        ("the loop at {0.at} goes through {0.n}", "at {0.at} a loop takes {0.p} from {0.n}"),
    ),
    "property while": (
        ("while",),
        ("the loop at {0.at} goes on as long as {0.n} is true",),
    ),
    "property test": (
        ("test",),
        (
            "the branch at {0.at} depends on {0.n}",
            "the `if` at {0.at} enters its body only when {0.n} is true",
        ),
    ),
    "property throws": (("throws",), ("{0.at} raises {0.n} if it is reached",)),
    "property loop bare": (
        ("loop",),
        ("a loop goes through {0.n}", "a loop takes {0.p} from {0.n}"),
    ),
    "property while bare": (("while",), ("a loop goes on as long as {0.n} is true",)),
    "property test bare": (("test",), ("one of the branches depends on {0.n}",)),
    "property throws bare": (("throws",), ("the function can raise {0.n}",)),
    "object": (("type",), ("the result of this call is an object of the class {0.p}",)),
    "object bare": (("type",), ("the output is an object of the class {0.p}",)),
    "recursive": (("recursive",), ("{0.n} calls itself", "{0.n} is recursive")),
    "helper": (("helper*",), ("this run also calls {names}", "this call also runs {names}")),
    "helper bare": (("helper*",), ("the program can also call {names}",)),
    "mutated": (
        ("mutated",),
        ("the argument {0.n} is changed in place", "the call changes the argument {0.n} itself"),
    ),
    "constants": (("constant*",), ("it reads the global {equal}",)),
    **_RESULTS,
}
_DEDUCTION: Mapping[str, Form] = {
    "goal": (
        ("goal",),
        (
            "we look for an input for which {0.n} returns {0.v}",
            "we know that {0.n} returned {0.v}, and look for arguments that give this output",
            "the output {0.v} of {0.n} is given, and we need an input that leads to it",
        ),
    ),
    "exit": (
        ("exit", "must"),
        (
            "only the `return` of {0.n} can give the output, so its value must be {1.v}",
            "the output has to come from the `return` of {0.n}, whose value must be {1.v}",
        ),
    ),
    "exit bare": (("exit",), ("only the `return` of {0.n} can give the output",)),
    "exit choice": (
        ("gives",),
        (
            "one way to get the output is the `return` of {0.n}",
            "we choose the way that ends with the `return` of {0.n}",
        ),
    ),
    "needs": (
        ("holds",),
        ("to get there, {0.n} must be {0.truth}", "for that, {0.n} has to be {0.truth}"),
    ),
    "operand": (
        ("must", "must"),
        (
            "for {0.n} to be {0.v}, {1.n} must be {1.v}",
            "{0.n} is {0.v} only if {1.n} is {1.v}",
        ),
    ),
    "set by": (
        ("sets", "must"),
        (
            "{0.n} is set to {0.p}, so {1.n} must be {1.v}",
            "{0.n} gets its value from {0.p}, and that must be {1.v}",
        ),
    ),
    "changed by": (
        ("changes", "must"),
        ("before {0.n} is changed by {0.p}, {1.n} must be {1.v}",),
    ),
    "done by": (
        ("does", "must"),
        ("before {0.n}, {1.n} must be {1.v}", "when {0.n} runs, {1.n} must be {1.v} before it"),
    ),
    "appended by": (
        ("does", "must"),
        ("{0.n} adds the last item, so {1.n} must be {1.v}",),
    ),
    "argument": (
        ("must",),
        (
            "nothing changes it before, so the argument {0.n} must be {0.v}",
            "this fixes the argument {0.n}: it must be {0.v}",
        ),
    ),
    "needs length": (("length_needed",), ("so {0.n} must have exactly {0.raw} items",)),
    "needs no items": (("items_needed",), ("{0.n} must give no item",)),
    "needs one item": (("length_needed",), ("so {0.n} must have exactly one item",)),
    "needs emptiness": (("length_needed",), ("so {0.n} must be empty",)),
    "needs items": (("items_needed",), ("the items of {0.n} must be {0.v}, in this order",)),
    "needs turns": (
        ("turns_needed",),
        ("so the loop over {0.n} must make exactly {0.raw} turns",),
    ),
    "needs a turn": (("turns_needed",), ("so the loop over {0.n} must make exactly one turn",)),
    "needs no turn": (("turns_needed",), ("so the loop over {0.n} must make no turn",)),
    "needs runs": (("runs_needed",), ("{0.n} must run exactly {0.raw} times",)),
    "needs a run": (("runs_needed",), ("{0.n} must run exactly once",)),
    "needs no run": (("runs_needed",), ("{0.n} must never run",)),
    "needs true": (("true_needed",), ("so the condition {0.n} must hold exactly {0.raw} times",)),
    "needs once": (("true_needed",), ("so the condition {0.n} must hold exactly once",)),
    "needs never": (("true_needed",), ("so the condition {0.n} must never hold",)),
    "needs sum": (
        ("adds_needed",),
        (
            "the values of {0.n} that are added must sum to {0.v}",
            "all values of {0.n} that are added must come to {0.v} together",
        ),
    ),
    "needs text": (
        ("adds_needed",),
        ("joined in order, the values of {0.n} that are added must give {0.v}",),
    ),
    "needs appended": (
        ("adds_needed",),
        ("the values of {0.n} that are appended must be {0.v}, in this order",),
    ),
    "built by changes": (
        ("loop", "changes"),
        ("{1.n} is the result of the loop over {0.n}, which updates it by {1.p}",),
    ),
    "built by sets": (
        ("loop", "sets"),
        ("{1.n} is the result of the loop over {0.n}, which sets it to {1.p}",),
    ),
    "built by does": (("loop", "does"), ("the loop over {0.n} builds it up by {1.n}",)),
    "choice": (
        ("after*",),
        (
            "one choice is {equal}",
            "we choose {equal}",
            "we can take {equal}",
        ),
    ),
    "no choice": (("after*",), ("this leaves {equal}",)),
    "check": (
        ("outcome",),
        ("running {0.n} gives {0.v}", "checking {0.n} forwards gives {0.v}"),
    ),
    "witness": (
        ("outcome",),
        (
            "one such input is {0.n}, which returns {0.v}",
            "{0.n} meets all this and returns {0.v}",
            "so {0.n} is a possible input: it returns {0.v}",
        ),
    ),
    "bare continue": (("bare",), ("`continue` ends this iteration",)),
}
FORMS: Mapping[str, Form] = {
    **_DEDUCTION,
    **_STATE,
    **_EXPRESSIONS,
    **_CONTROL,
    **_CALLS,
    **_INTRODUCTION,
}
