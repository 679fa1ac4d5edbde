"""Lists the words of narration that state nothing which could be false by themselves.

A clause made of them alone ("the loop starts", "the method is called") needs no check of its own
beyond that its line runs. A clause with any other word states something.
"""

import re

_WORDS = """
a about above another exclusive inclusive recursive recursively access accessed accesses accessing
accordingly across action actual actually added adding after again all also am an and answer any
appended appending applied apply applying are argument arguments array as assertion assign assigned
assigning at based be been before begin beginning begins being below block body body's branch break
build builds built by calculated calculates calculation call called calling calls case char
character characters check checked checking checks clause code comes complete completed completes
completing comprehension computation computed computes concatenate concatenated conclusion
condition conditional conditions consider considered considering construct constructed construction
context continue continued continues continuing converting copied corresponding count counter
created creating current currently data default defined deletion described details determine
determined determines determining dictionary directly do does done doubled down during each earlier
element elements elif else end ending ends enter entered enters entire enumerated evaluate
evaluated evaluates evaluating evaluation eventually example except exec execute executed executes
executing execution existing exit exiting exits expression expression's final finally finish
finishes finishing first flow follow following follows for for-loop format formatted formatting
from function function's further get gets given go goes going have having hence here however i.e if
in increment incremented increments indeed index indices initial initialization initialize
initialized initializing inner input inputs inserted inserting insertion inside integer into
invoked invokes invoking involves is it item item's iterable iterable's iterate iterates iterating
iteration iterations its itself joined key key's keys keyword lambda later length let lets letter
line lines list logic look looks loop looping loops made make makes merged method methods modified
move moves moving name named namely nested new next now number numbers object obtain obtained
occurs of on once one operation operations operator operator's or order original our out outer
output over padded parameter parameters part parts pass passed passes passing perform performed
performing performs place point previous previously proceed proceeds process processed processes
processing produce program provided python range reach reached reaches reading ready reason
reasoning refers removal removing replacement replacements replacing respective respectively result
resulting results retrieve retrieved retrieves retrieving return returned returning returns
reversed run running runs second see sequence set sets simple simply simulate simulation since size
slice sliced slicing so sorted specific specified specify stage start started starting starts state
statement statement's step steps still store stored storing string strings stripped substring
successfully such swapped take taken takes taking terminates test tested text that the their them
then there therefore these third this those through thus time to together try tuple turn type under
up updated updating upon us use used uses using value values values' variable variables was we were
when where whether which while while-loop whole will with within word words work works would you
"""
PLAIN = frozenset(_WORDS.split())
_WORD = re.compile(r"[A-Za-z][\w'-]*")
_MASKED = re.compile(r"⟦\d+⟧|[\[(]?\bL\d+\b[\])]?")


def is_plain(clause: str) -> bool:
    """Returns whether a masked clause has only words of narration."""
    bare = _MASKED.sub(" ", clause)
    return all(word.lower() in PLAIN for word in _WORD.findall(bare))
