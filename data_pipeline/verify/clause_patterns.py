"""Defines the phrases that the grammar knows, as patterns over masked text."""

import re

from data_pipeline.verify.screening import screened

LABEL = r"[\[(]?\bL\d+\b[\])]?"
CITED = screened(
    rf"(?:\b(?:at|in|on|for|from|of|to) )?(?:(?:the )?\b(?:line|step) )?{LABEL}[:,]?\s*", re.I
)
OPENING = re.compile(
    r"^(?:in this case|in our case|here|"
    r"as with|with|where|now|then|next|finally|first|again|also|at this (?:point|stage)|"
    r"after (?:all )?(?:these|those|the) (?:steps|operations|changes|turns|iterations)|"
    r"after the (?:(?:for|while|inner|outer) )?loop(?: ends| finishes| is over| is done)?(?= ⟦)|"
    r"after (?:this|that|the) "
    r"[\w ]+?(?=,|$)|as a result|in the end|similarly|this time|initially|currently|and|or|but|so|"
    r"therefore|thus|hence|indeed|specifically|in other words|that is|i\.e\.?|as|if|since|"
    r"after (?:insertion|removal|deletion|sorting)|before (?:insertion|removal|deletion|sorting)|"
    r"finally|meaning|note that|we (?:have|get|see|know|find)(?: that)?|we can see that|"
    r"means(?: that)?(?= (?:it|the|we|that|⟦))|"
    r"(?:this|which) (?:means|indicates|implies|shows)(?: that)?|because|overall|eventually|"
    r"(?:in|on|during|for|at) (?:the |this )?(?:\w+ )?(?:iteration|turn|pass)"
    r"(?: ⟦\d+⟧(?=\s*(?:[,:]|⟦|$)))?|"
    r"for ⟦\d+⟧|yes)(?!\w)[:,]?\s*",
    re.I,
)
IN_TURN = screened(
    r" (?:in|during|on) (?:the |this )?(?:\w+ )?(?:iteration|turn|pass)(?: ⟦\d+⟧)?$", re.I
)
TO = r"(?: to be| to| as| with| at| into)"
SET = (
    r"(?:set|assigned|initiali[sz]ed|updated|changed|reset|incremented|decremented|increased|"
    r"decreased|reduced|bound|rebound|modified|extended|turned|converted|sorted|reversed|replaced|"
    r"transformed|calculated|computed|evaluated|defined|padded|created|reassigned|stripped|"
    r"concatenated|joined|reduced|doubled|halved|truncated|rounded|formatted|swapped|mapped|"
    r"constructed|determined|declared|started|given|treated|split)"
)
BE = (
    r"(?:is equal to|will be equal to|has (?:the |a )?value(?: of)?|will (?:now )?be|must be|"
    r"should be|would be|is|are|was|were|equals?|==|=|has to be|needs? to be|:=|≈)"
)
BECOME = (
    r"(?:becomes?|becoming|turns into|changes (?:from ⟦\d+⟧ )?to|changing to|gets?|grows? to|"
    r"(?:increases|decreases|drops|falls|rises|goes|moves)(?: by ⟦\d+⟧)?(?: from ⟦\d+⟧)? to|"
    r"(?:now )?(?:looks like|reads)|(?:starts?|begins?)(?: out)? as|takes(?: on)?|"
    r"ends up(?: as| being)?|will (?:now )?(?:become|contain|hold)|will now be)"
)
REMAIN = r"(?:remains?|stays?|is still|are still|continues to be|is left(?: as| at)?|remaining)"
HOLD = r"(?:contains?|holds|has|have|consists of|containing|having|includes|will contain)"
GIVE = (
    r"(?:evaluates? to|comes? to|comes? out as|computes? to|calculates? to|gives?(?: us)?|yields?|"
    r"produces?|results? in|resulting in|→|->|=>|works out to|simplifies to|returns?|will return|"
    r"leads to|amounts to|translates to|(?<!the )(?<!final )outputs?|"
    r"converts? to|refers to|corresponds? to|"
    r"must (?:equal|give|return|produce|come to|come out as|evaluate to)|"
    r"has to (?:equal|give|return|produce|come to|come out as|evaluate to)|"
    r"needs? to (?:equal|give|return|produce|come to|come out as|evaluate to))"
)
ADVERB = r"(?:now|then|thus|therefore|also|again|simply|finally|only|just|already|both|hence|still)"
VERB = re.compile(
    rf"^(?P<s>.*?)\s*(?:\b{ADVERB}\s+)*(?:\b|(?=[=→:≈-]))(?:(?P<become>{BECOME})|"
    rf"(?P<remain>{REMAIN})|(?P<give>{GIVE})|(?P<be>{BE})|(?P<hold>{HOLD}))"
    rf"(?=\s|$|⟦)\s*(?P<c>.*)$",
    re.I,
)
FILLER = (
    r"(?:(?:now|then|thus|therefore|still|also|again|currently|initially|just|the|already|hence|"
    r"value|values|list|string|integer|number|dictionary|tuple|set|equal to|simply|both|empty|a|an|"
    r"new|only|modified|original|final|updated|resulting|character|key|element|item|word|boolean|"
    r"following|array|back|float|digit|letter|substring|result|of|single|empty|same|input|dict|"
    r"exactly|text|sum|product|total|returned|itself|entire|keys|elements|characters|to|as|at|"
    r"items|pair|key-value|strings|numbers|integers|initial) )*"
)
VALUE = re.compile(rf"^{FILLER}(?P<v>⟦\d+⟧)(?P<rest>.*)$", re.I)
PARTICIPLE = re.compile(
    rf"^(?:(?:{ADVERB}|being|been|initially|first) )*(?P<p>{SET})"
    rf"(?: by (?P<by>⟦\d+⟧))?(?: from (?P<from>⟦\d+⟧))?{TO} (?P<c>.*)$",
    re.I,
)
PUT = screened(
    r"^(?:(?P<s>.*?)\s)??(?P<p>appends?|adds?|inserts?|appended|added|inserted|pushes|appending|"
    r"adding|inserting|prepends?|prepended|concatenates|removes?|removed|removing|deletes?|deleted|"
    r"deleting|pops?|popped|popping) (?P<what>.*?)"
    r"(?:\s?(?:to|from|into|in|at|onto) (?P<x>.*))?$",
    re.I,
)
STORES = screened(
    rf"^(?:.*?\s)?(?:assigns?|stores?|assigning|storing|binds?|puts?) {FILLER}(?P<v>⟦\d+⟧) "
    r"(?:to|in|into|as) (?P<x>.*)$",
    re.I,
)
STORED = screened(
    rf"^{FILLER}(?P<v>⟦\d+⟧) (?:is|are|was|gets) (?:then |now |also )?"
    r"(?:assigned|stored|bound)(?: to| in| into)? (?P<x>.*)$",
    re.I,
)
SETS = screened(
    r"^(?:.*?\s)?(?:sets?|initiali[sz]es?|updates?|binds?|changes?|resets?|increments?|decrements?|"
    r"makes?|making|leaving|leaves?|setting|updating|turns|extends?|brings|bringing|creates?|"
    r"assigns|initializing|incrementing|decrementing|increases|decreases|increasing|turning|"
    r"changing|causes|defines?|modif(?:y|ies|ying)|transforms?|transforming) "
    rf"(?P<x>.*?⟦\d+⟧)(?: by ⟦\d+⟧)?(?: from (?P<from>⟦\d+⟧))?(?:{TO}|,? equal to| becoming)? "
    r"(?P<c>.*)$",
    re.I,
)
RETURNS = screened(
    r"^(?P<s>.*?)\s*\b(?:will |then |finally |now |simply |also |thus |therefore |immediately |"
    r"correctly )*(?P<v>returns?|returning|returned|return)\b\s*(?P<c>.*)$",
    re.I,
)
RETURNERS = re.compile(
    r"^(?:(?:the|this|our|and|main|whole) )*(?:(?:function|call(?: of)?|line|statement|program|"
    r"code|it|we|this|execution|return statement|result|method|which|reaches.*|"
    r"immediately|⟦\d+⟧)\s*)*$",
    re.I,
)
CHECKS = screened(
    r"\b(?:checks?|checking|verif(?:y|ies)|determines?|tests|asks|compares|sees|to see|looks at|"
    r"checked) (?:again |then |next |also |now )*(?:if|whether|for|that|against)\b|"
    r"^checks? \b",
    re.I,
)
CALLED = screened(
    r"\b(?:called|call|invoked|calls?|executed|run|entered|given|provided|starts?|begins?|applied)"
    r"(?: again)? (?:with|on|using)\b|\bfor the (?:given )?(?:input|call|arguments?)|"
    r"\b(?:the |an? )?input (?:is|of|provided|given)?(?=\s*⟦)|"
    r"\bwhen (?:the input|given|called|it is)",
    re.I,
)
UNCHANGED = screened(
    r"^(?P<x>.*?)\s*\b(?:remains?|stays?|is left|are left|is|are|still)(?: the)? "
    r"(?:unchanged|the same(?! (?:object|list|set|dict|dictionary|one)\b)|unmodified|unaffected|"
    r"intact|as it is|as is|as it was)\b(?P<rest>.*)$|"
    r"\b(?:does not|doesn't|do not|without) (?:change|modify|affect|alter|changing|modifying)"
    r"(?:ing)? (?:the value of |the )?(?P<y>.*)$",
    re.I,
)
NO_CHANGE = re.compile(
    r"\bno (?:changes?|modifications?|characters?|elements?|items?|values?|replacements?|updates?)"
    r"(?: \w+)? (?:occurs?|(?:are|is|were|was) (?:made|needed|removed|replaced|changed|added)|"
    r"happens?|take place|to \w+)|^no changes?$|"
    r"\bnothing (?:is|was) (?:appended|removed|changed|replaced|added|modified|deleted)|"
    r"\b(?:does not|doesn't|did not) (?:change|modify|remove|replace) any",
    re.I,
)
EMPTY = {"list": "[]", "array": "[]", "string": "''", "dictionary": "{}", "dict": "{}",
          "tuple": "()", "set": "set()"}  # fmt: skip
MADE = r"(?:created|initiali[sz]ed|made|defined|declared|set up|assigned|instantiated|constructed)"
EMPTY_MADE = re.compile(
    rf"^(?:an?|the) (?:new )?empty (?P<t>\w+) (?:called |named )?(?P<x>⟦\d+⟧) (?:is|was) {MADE}$",
    re.I,
)
MADE_EMPTY = re.compile(
    rf"^(?P<x>.*⟦\d+⟧) (?:is|was) {MADE}(?: to be| to| as| with)? "
    r"an? (?:new )?empty (?P<t>list|array|string|dictionary|dict|tuple|set)$",
    re.I,
)
SIZE = screened(
    r"^(?P<s>.+?) (?:now |only |still |then )*(?:has|have|holds|contains|consists of|is left with) "
    r"(?:exactly |only )?(?:(?:a |the )?(?:length|size) of (?P<n>⟦\d+⟧)|"
    r"(?P<m>⟦\d+⟧|one|two|three|four|five|six|seven|eight|nine|ten|no) "
    r"(?P<u>entry|entries|elements?|items?|keys?|characters?|letters?|words?|key-value pairs?))$",
    re.I,
)
PROCESSED = re.compile(
    r"(?:after|once) (?:processing|iterating (?:over|through)|going through|checking|looping "
    r"(?:over|through)|examining|visiting) (?:all|each|every)(?: of)?(?: the)? \w+(?: \w+)?|"
    r"(?:does not|doesn't) (?:change|affect|alter) the (?:flow|execution)(?: of the \w+)?|"
    r"(?:the )?correct assertion (?:would be|is|will be)",
    re.I,
)
PURPOSE_TAIL = re.compile(
    r" (?:in order )?to (?:store|hold|keep|collect|track|accumulate|save|record|gather|"
    r"build)\b[^⟦]*$",
    re.I,
)
EXECUTED = re.compile(
    r"⟦\d+⟧.*\b(?:is|are|gets|was) (?:then |now |also |finally |again )*(?:executed|called|invoked|"
    r"evaluated|checked|performed|run|reached|applied|processed)\b|"
    r"\b(?:executes|calls|invokes|evaluates|runs|performs|uses|we (?:execute|call|run|perform|use)|"
    r"reaches the return statement)\b.*⟦\d+⟧|"
    r"\breturn statement\b.*⟦\d+⟧",
    re.I,
)
FROM_TO = screened(
    r"^(?:[^⟦]*\b)?(?:chang|convert|turn|transform|revers|modif|updat|increas|decreas|mov)\w*\b[^⟦]*"
    r"(?:⟦(?P<x>\d+)⟧ )?from ⟦(?P<a>\d+)⟧ (?:back )?to ⟦(?P<b>\d+)⟧$",
    re.I,
)
COMPUTED = re.compile(
    r"^(?P<x>.*⟦\d+⟧.*?) (?:is|gets|was) (?:then |now |first )*"
    r"(?:calculated|computed|evaluated|determined|found|obtained)"
    r"(?: (?:using|by|with|via) (?:the (?:method|expression|formula) )?⟦(?P<u>\d+)⟧)?$",
    re.I,
)
COMPUTES = re.compile(
    r"^(?:the )?(?:function|code|program|line|it|we)? ?(?:then |first |now )*"
    r"(?:calculates?|computes?|initializes?|defines?|sets?|assigns?|updates?|creates?) "
    r"(?:the (?:variable|value(?: of)?|list|string|dictionary|set) )?⟦(?P<x>\d+)⟧$",
    re.I,
)
GIVEN_BACK = re.compile(  # "returns the original string unchanged", "returns `s` as it is"
    r"^(?:the )?(?:(?:original|unmodified|unchanged|same|input) )+(?:(?:input|original) )?"
    r"(?:string|list|text|value|array|dictionary|tuple|input|number)(?: (?P<x>⟦\d+⟧))?"
    r"(?: (?:unchanged|as it is|as is|itself|without (?:any )?(?:changes?|modifications?)))*$",
    re.I,
)
MAKES_EMPTY = screened(
    r"^(?:the )?(?:\w+ )?(?P<x>⟦\d+⟧) (?:now )?(?:an )?empty (?P<t>list|string|dictionary|set)$",
    re.I,
)
TIMES = re.compile(r"\b(?:times?|iterations?|once)\b", re.I)
AFTER = re.compile(
    r"^(?:\W|\bL\d+\b)*after (?:the |this |that |its )?(?!loop|whole|entire)"
    r"(?!\w* ?(?:loop|iteration|pass|turn)s?\b)",
    re.I,
)
CHAIN = re.compile(r"⟦\d+⟧(?:\s*=\s*⟦\d+⟧){2,}")
ITERATES = re.compile(
    r"\b(?:iterat(?:es?|ing)|loops?|looping|goes|going|runs) (?:over|through|on)\b[^⟦]*"
    r"(?:⟦\d+⟧ (?:in|of|from) [^⟦]*)?⟦(?P<x>\d+)⟧\W*$",
    re.I,
)
PURPOSE = re.compile(
    rf"\bto (?:make it|get|give|form|produce|become|obtain|yield|create|make) {FILLER}"
    r"(?P<v>⟦\d+⟧)(?P<rest>.*)$",
    re.I,
)
RANGE = screened(r"\b(?:(?:ranging|values|goes|going|runs|take values|range) )*from "
                    r"⟦(?P<a>\d+)⟧ (?:up |down )?to ⟦(?P<b>\d+)⟧(?: inclusive)?", re.I)  # fmt: skip
ARROW = re.compile(r"^(?P<s>⟦\d+⟧|[^⟦]{1,30}⟦\d+⟧)\s*(?:→|->|=>)\s*(?P<c>.+)$")
JOINING = re.compile(  # "Concatenating these gives …"
    r"^(?:concatenating|joining|combining|adding|merging|multiplying)"
    r"(?: (?:these|them|those|both|the two|parts?|strings?|lists?|values?|numbers?|together))*$",
    re.I,
)
PRONOUNS = ("it", "this", "that", "which", "they")
PAIR = re.compile(r"⟦(\d+)⟧=⟦(\d+)⟧")
TESTED = screened(r"\b(?:condition|test) is (?:\w+ )?(?:checked|evaluated|tested)\b")
MISSING = re.compile(r"⟦(\d+)⟧ (?:does not|doesn't) exist|⟦(\d+)⟧ is out of (?:range|bounds)")
ARROW_OR_ATOM = re.compile(r"→|->|=>|⟦\d+⟧")
NO_CHANGE_TO = re.compile(r"no changes? (?:to|in) (?P<x>⟦\d+⟧)", re.I)
POSSESSION = screened(
    r"^(?P<s>.+?) (?P<c>(?:(?:does not|doesn't|does|does indeed) )?"
    r"(?:starts?|ends?|contains?|includes?|appears|occurs|match(?:es)?|equals?|consists?) .+)$"
)
VALUE_ALONE = re.compile(rf"{FILLER}(?P<v>⟦\d+⟧)")
POPS_LAST = screened(
    r"(?:pops|removes) the last (?:item|pair|key-value pair|entry) from (?:the )?dictionary"
    r"(?: ⟦\d+⟧)?$",
    re.I,
)
