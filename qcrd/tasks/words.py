"""Context of a number in a sentence: words and signs after which it is still the answer, or is not."""

from __future__ import annotations

import re

_NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
    "seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|"
    "million|billion|trillion|dozen"
)
_UNIT = (
    r"(?:kg|mg|g|km|cm|mm|m|ml|mL|l|L|lbs?|oz|ft|in|mi|mph|h|hrs?|mins?|min|sec|secs|s|cents?|"
    r"°\s?[CF]?|¢|c|-[A-Za-z]+(?:-[A-Za-z]+)?)"
)

NEGATED = re.compile(r"\b(?:not|cannot|neither|either|between|unless|if)\b|n't\b", re.IGNORECASE)
"""Anywhere before a number."""
CHANGED = re.compile(
    r"\b(?:than|least|most|from|times|by|over|under|below|above|beyond|within|up\s+to|close\s+to|next\s+to|"
    r"twice|double|triple|thrice|half|third|quarter|square|squared|cube|root|minus|negative|plus|less|except|"
    r"but|until|before|after|per|nor|no|or|and|option|choice|step|chapter|number\s+line|log|ln|sin|cos|tan|sqrt|"
    r"(?:half|third|quarter|twice|double|triple|root|square|cube|multiple|factor|out|instead|percent|%|"
    rf"minimum|maximum|some|none|each|{_NUMBERS})\s+of|{_NUMBERS})\s*[-(]?\s*$|\\[A-Za-z]+\s*[({{]?\s*$",
    re.IGNORECASE,
)
"""Directly before a number."""
TOUCHING = re.compile(r"[\s(\"'“”‘’=≈~*_`:]$")
"""What a number may begin beside."""
TOUCHED = re.compile(
    rf"(?:{_UNIT}(?:/[A-Za-z]+|[²³])?)(?![A-Za-z0-9])|/\s?[A-Za-z]{{2,}}|\s|[)\"'“”’;,:!?*_`]|$"
)
"""What a number may end beside."""
REASON = re.compile(
    r"[,;]?\s+\(?(?:because|since|as|which|given|due)\b"
    r"|[,;]\s+(?:and\s+)?(?:where|for|that|this|the|it|we|he|she|they|with)\b",
    re.IGNORECASE,
)
"""Where a sentence goes on to say why; what numbers that has are not the answer's."""
FIRST = re.compile(
    r"(?:\b(?:about|approximately|roughly|around|nearly|almost|exactly|just|only|simply|equal|to|that|a|the|total|"
    r"of|number|result|is|are|there|it|therefore|thus|so|then|USD)\b|[\s$:=≈~(,])*|\w\s*=\s*",
    re.IGNORECASE,
)
"""What may stand before a number that is the answer although a reason with numbers follows."""
CONTINUED = re.compile(
    r"^[\s-]*(?:half|halves|thirds?|quarters?|fourths?|fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?|"
    r"hundredths?|squared|cubed|factorial|dozens?|scores?|hundreds?|thousands?|millions?|billions?|trillions?|"
    rf"(?:and|&)\s+(?:a\s+|one\s+)?(?:half|quarter|third)|(?:to|through|and|or|&)\s+(?:{_NUMBERS})\b|"
    r"(?:or|and)\s+(?:more|less|fewer|above|below|over|under|up)|at\s+(?:most|least)|below|remainder)\b|"
    r"\bor\b|\bif\b|\botherwise\b|\bbelow\s+zero\b|\b(?:plus|minus)\b|\b(?:divided|multiplied)\s+by\b|"
    rf"\btimes\b(?!\s+as\b|\s*$)|\b(?:{_NUMBERS})\b",
    re.IGNORECASE,
)
"""Behind a number: what makes it another one, or one of several."""
COMPARED = re.compile(r"\s*(?:more|less|fewer|higher|lower|greater|smaller|off|of)\b", re.IGNORECASE)
"""Behind a percentage: it is then a share of something."""
OPEN = re.compile(r"[0-9½⅓⅔¼¾√π\\<>=^+±×÷·—–…|#@&≥≤≠]|\s[-*/]|[*/]\s?[-(]|-\s*$|\.\.\.")
"""Behind a number: signs that nothing here understands."""
_SIGN_LEFT = re.compile(r"[-+*/^<>√±|#@—≥≤≠\\]\s*$")


def meant(before: str) -> bool:
    """Whether the number after `before`, the beginning of its sentence, can be the sentence's answer."""
    if before.count("(") > before.count(")"):
        return False
    if NEGATED.search(before) or CHANGED.search(before.rstrip("*_`\"'“” ")):
        return False
    return not before or (_SIGN_LEFT.search(before) is None and TOUCHING.search(before) is not None)
