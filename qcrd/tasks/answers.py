"""What all answers have in common, whatever their labels: RATIONALE, a cue, LABEL, and where they end.

Every pattern here takes time linear in the text, since a model may write anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NOUN = r"(?:(?:final|correct|right|best|numerical|numeric|exact|complete|short)\s+){0,3}answer"
_OWNER = r"(?:the|my|our|your|this|his|her|their)\s+"
_TOPIC = (
    r"(?:\s+(?:to|for)\s+(?:this|the|that|your)\s+(?:\w+\s+){0,2}?(?:question|problem|riddle|task|exercise))?"
)
_IS = (
    r"(?:is|are|(?:would|will|should|must|has\s+to|have\s+to)\s+be|equals|comes\s+(?:out\s+)?to|becomes)\b|="
)
CUE = re.compile(
    r"(?:^[^\S\n]{0,9}#{1,6}[^\S\n]{0,9})?(?:\*\*|__)?(?:"
    # "the answer is", "my final answer: ", "the answer to the question must be"
    rf"(?<![A-Za-z]){_OWNER}{_NOUN}{_TOPIC}[*_]{{0,3}}\s*(?:{_IS}|(?=:))"
    # "Answer: ", "**Final Answer:**"; "Answer is" at the start of a line, "### Answer" on a line of its own
    rf"|(?<![A-Za-z]){_NOUN}[*_]{{0,3}}[^\S\n]*(?=[:=])"
    rf"|^[^\S\n]{{0,9}}[#*_]{{0,6}}[^\S\n]{{0,9}}{_NOUN}[*_]{{0,3}}(?:\s+{_IS}|[^\S\n]*$)"
    r")[*_]{0,3}\s*[:=]?[*_]{0,3}"
    # GSM8K's mark, and LaTeX's box
    r"|(?<!#)####(?!#)|\${0,2}\s?(?=\\(?:boxed|fbox)\s*\{)",
    re.IGNORECASE | re.MULTILINE,
)
_HINT = re.compile(r"answer|####|box|A:", re.IGNORECASE)  # what every cue holds; most texts hold none of it
_MARK = re.compile(r"\s*####")
# "A: 26" at the end of a text; weaker than any other, since a line "A: ..." may begin an answer as well.
_LAST_LINE = re.compile(r"(?:^|(?<=[.!?]))[^\S\n]*A:")
# A question that follows: an invented next one, or one that the answer asks itself.
_QUESTION = re.compile(r"\n[^\S\n]*(?:Q|Premise)\s*:|\bQuestion\s*:", re.IGNORECASE)
_LONG = re.compile(r"[^\n]{40}")
_EMPTY_LINE = re.compile(r"\n[ \t]*\n[ \t]*$")
_MORE = re.compile(r"\n|[.!?]\s+\S")
_LABEL = re.compile(r"[^\s.*:_$]")
_OPENING = re.compile(r"\s*(?:A|Rationale|Reasoning)\s*:\s*")
_CONNECTIVE = re.compile(r"\b(?:hence|therefore|thus|so|then|and|finally)$", re.IGNORECASE)
_REMAINS = re.compile(r"(?:(?<=\s)|^)(?:[#*_$>`\-–—]|\\\[|\\\()+$")
_CALCULATOR = re.compile(r"<<[^<>\n]{0,100}>>")
_BEGINS = re.compile(r"\s*(?:<s>|<\|begin_of_text\|>|<bos>|<\|im_start\|>(?:assistant)?|<\|assistant\|>)\s*")
# Nothing behind such a token belongs to the answer; `</s>` is HTML's too, so it counts at the end alone.
_ENDS = re.compile(
    r"(?:<\|(?:im_end|im_start|endoftext|end|eot_id|end_of_text|eom_id|return)\|>|<eos>|<pad>|<end_of_turn>"
    r"|\[EOS\]|<｜end▁of▁sentence｜>|</s>[\s.]*\Z)"
)
_THINKING = "think|thinking|thought|reasoning|seed:think"
_OPENS = re.compile(rf"<(?:{_THINKING})>|\[THINK\]|◁think▷|<\|begin_of_thought\|>", re.IGNORECASE)
_CLOSES = re.compile(rf"</(?:{_THINKING})>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cue:
    """Where an answer announces its label."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer without what the model's serving added to it."""

    thinking: str | None  # what a reasoning model wrote between its marks; None where there are none
    text: str  # what follows; "" where the answer ends within the thinking
    cut: bool  # whether the answer ends within the thinking


def split(text: str) -> Answer:
    """Take thinking, special tokens at the end and GSM8K's calculator marks off.

    A chat template may have written the opening mark itself, so that a closing one alone is enough.
    """
    if begin := _BEGINS.match(text):
        text = text[begin.end() :]
    if end := _ENDS.search(text):
        text = text[: end.start()].rstrip()
    text = _CALCULATOR.sub("", text)
    close = max(_CLOSES.finditer(text), key=re.Match.end, default=None)
    opens = _OPENS.search(text)
    if close is None and opens is None:
        return Answer(None, text, cut=False)
    if close is None or (opens is not None and (again := _OPENS.search(text, close.end()))):
        begin = opens if close is None else again
        return Answer(_OPENS.sub("", text[begin.end() :]).strip() or None, "", cut=True)
    thinking = _OPENS.sub("", _CLOSES.sub("\n", text[: close.start()])).strip()
    return Answer(thinking or None, text[close.end() :].strip("\n"), cut=False)


def cues(text: str, more: Sequence[re.Pattern[str]] = ()) -> list[Cue]:
    """The places where `text` announces its label, in order; `more` are a user's own cues.

    `####` counts where one short line is all that follows, since it also begins headings; so does `A:`, where
    there is no other cue.
    """
    own = [Cue(match.start(), match.end()) for pattern in more for match in pattern.finditer(text)]
    if not _HINT.search(text):
        return sorted(own, key=lambda cue: cue.end)
    found: list[Cue] = []
    for match in CUE.finditer(text):
        doubled = found and found[-1].end == match.end()  # "the answer is" and the box behind it
        if not doubled and (not _MARK.match(match[0]) or _brief(text[match.end() :])):
            found.append(Cue(match.start(), match.end()))
    found = sorted([*found, *own], key=lambda cue: cue.end)
    if not found:
        line = text.rstrip().rfind("\n") + 1
        last = [Cue(line + match.start(), line + match.end()) for match in _LAST_LINE.finditer(text[line:])]
        found = [cue for cue in last[-1:] if _brief(text[cue.end :])]
    return found


def _brief(rest: str) -> bool:
    """Whether no more than one short sentence follows."""
    rest = rest.strip()
    return len(rest.split(None, 6)) <= 6 and not _MORE.search(rest)


def first_answer(text: str, more: Sequence[re.Pattern[str]] = ()) -> tuple[str, list[Cue]]:
    """`text` up to an invented next question, and the cues in it.

    One can only follow an answer that has its cue and label, so that `Step 1\\nQ: how many?\\nA: 8 - 3. The
    answer is 5.` is one answer. But a long question after an empty line is a next one also where the answer
    before it ends without a label.
    """
    found = cues(text, more)
    label = _LABEL.search(text, found[0].end) if found else None
    for match in _QUESTION.finditer(text):
        end = match.start()
        if ((label is not None and label.start() < end) or _invented(text, match)) and text[:end].strip():
            before = [cue for cue in found if cue.end <= end]
            # A weak cue (`A:`, `####`) shows only once what follows is gone.
            return text[:end], before if before and "####" not in text else cues(text[:end], more)
    return text, found


def _invented(text: str, match: re.Match) -> bool:
    """Whether the question has a line of its own after an empty one, and is long."""
    start = match.start() + (text[match.start()] == "\n")
    above = text[max(0, start - 20) : start]
    return _EMPTY_LINE.search(above) is not None and _LONG.match(text, match.end()) is not None


def reasoning(text: str) -> str | None:
    """`text` without `Rationale:` before it or `Hence` behind it; None where nothing is left."""
    if opening := _OPENING.match(text):
        text = text[opening.end() :]
    text = _REMAINS.sub("", text.strip()).strip()
    return _CONNECTIVE.sub("", text.rstrip(",;: ")).strip().rstrip(",; ") or None


def target(rationale: str, label: str) -> str:
    """`RATIONALE The answer is LABEL.`, the form of Single-Task's targets."""
    return f"{rationale} The answer is {label}.".strip()
