"""Parsing common to all kinds of labels: finds the cues of an answer (RATIONALE, cue, LABEL) and its end.

Every pattern here takes time linear in the text, since a model may write anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

_NOUN = r"(?:(?:final|correct|right|best|numerical|numeric|exact|complete|short)\s+){0,3}answer"
_OWNER = r"(?:the|my|our|your|this|his|her|their)\s+"
_TOPIC = (
    r"(?:\s+(?:to|for)\s+(?:this|the|that|your)\s+(?:\w+\s+){0,2}?(?:question|problem|riddle|task|exercise))?"
)
_IS = (
    r"(?:is|are|(?:would|will|should|must|has\s+to|have\s+to)\s+be|equals|comes\s+(?:out\s+)?to|becomes)\b|="
)
_START = r"(?:(?<![A-Za-z])|(?-i:(?<=[a-z])(?=The|My|Answer|Final)))"  # also `2 poundsThe answer is`
_MARKED = r"(?:\*{1,3}|_{1,3}+(?![A-Za-z]))?"  # emphasis that ends; `__init__` is a label
CUE = re.compile(
    r"(?:^[^\S\n]{0,9}#{1,6}[^\S\n]{0,9})?(?:\*\*|__)?(?:"
    # "the answer is", "my final answer: ", "the answer to the question must be"
    rf"{_START}{_OWNER}{_NOUN}{_TOPIC}[*_]{{0,3}}\s*(?:{_IS}|(?=[:：]))"
    # "Answer: ", "**Final Answer:**"; "Answer is" at the start of a line, "### Answer" on a line of its own
    rf"|{_START}{_NOUN}[*_]{{0,3}}[^\S\n]*(?=[:=：])"
    rf"|(?:^|(?<=[.!?]\s))[^\S\n]{{0,9}}[#*_]{{0,6}}[^\S\n]{{0,9}}{_NOUN}[*_]{{0,3}}(?:\s+{_IS}|[^\S\n]*$)"
    rf"){_MARKED}\s*[:=：]?{_MARKED}"
    # GSM8K's mark where no heading follows, LaTeX's box, and the tag of models trained by rewards
    r"|(?<!#)####(?!#)|\${0,2}\s?(?=\\(?:boxed|fbox)\s*\{)|<answer>",
    re.IGNORECASE | re.MULTILINE,
)
_HINT = re.compile(r"answer|####|box|A:", re.IGNORECASE)  # what every cue holds; most texts hold none of it
_MARK = re.compile(r"\s*####")
_NUMBER_LINE = re.compile(r"[^\S\n]*+(?!\d+[.)][^\S\n]+[A-Za-z])[-+−($€£¥\\. ]*\d[^\n]*(?:\n|\Z)")
# "A: 26" at the end of a text; weaker than any other, since a line "A: ..." may begin an answer as well.
_LAST_LINE = re.compile(r"(?:^|(?<=[.!?]))[^\S\n]*A:")
# A question that follows: an invented next one, or one that the answer asks itself.
_QUESTION = re.compile(r"\n[^\S\n]*(?:Q|Premise)\s*:|\bQuestion\s*:", re.IGNORECASE)
_LONG = re.compile(r"[^\n]{40}")
_EMPTY_LINE = re.compile(r"\n[ \t]*\n[ \t]*$")
MOST = 8  # questions in an answer that are looked at
_MORE = re.compile(r"\n|[.!?]\s+\S")
_LABEL = re.compile(r"[^\s.*:_$]")
_OPENING = re.compile(r"\s*(?:A|Rationale|Reasoning)\s*:\s*")
_CONNECTIVE = re.compile(r"\b(?:hence|therefore|thus|so|then|and|finally)$", re.IGNORECASE)
_REMAINS = re.compile(r"(?:(?<=\s)|^)(?:[#*_$>`\-–—✅✔☑👉➡→⇒]|\\\[|\\\()+\s*$")
CALCULATOR = re.compile(r"<<[^<>\n]{0,100}>>")
_CHANNEL = re.compile(r"<\|channel\|>\s*\w+[^<\n]*<\|message\|>")
_BEGINS = re.compile(r"\s*(?:<s>|<\|begin_of_text\|>|<bos>|<\|im_start\|>(?:assistant)?|<\|assistant\|>)\s*")
# Nothing behind such a token belongs to the answer; `</s>` is HTML's too, so it counts at the end alone.
_ENDS = re.compile(
    r"(?:<\|(?:im_end|im_start|endoftext|end|eot_id|end_of_text|eom_id|return)\|>|<eos>|<pad>|<end_of_turn>"
    r"|\[EOS\]|<｜end▁of▁sentence｜>|</s>[\s.]*\Z)"
)
_THINKING = "think|thinking|thought|reasoning|reflection|seed:think"
_OPENS = re.compile(rf"<(?:{_THINKING})>|\[THINK\]|◁think▷|<\|begin_of_thought\|>", re.IGNORECASE)
_CLOSES = re.compile(rf"</(?:{_THINKING})>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cue:
    """Position of a phrase that announces the label, such as "The answer is"."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer without special tokens, split into thinking and text."""

    thinking: str | None  # text between a reasoning model's thinking marks; None without marks
    text: str  # the text after the thinking; "" if the answer ends within the thinking
    cut: bool  # whether the answer ends within the thinking


def split(text: str) -> Answer:
    """Separate the thinking, and remove special tokens at the end and GSM8K's calculator annotations.

    A closing mark without an opening one suffices, because a chat template may contain the opening mark.
    """
    if _CHANNEL.search(text):
        return _channels(text)
    if begin := _BEGINS.match(text):
        text = text[begin.end() :]
    if end := _ENDS.search(text):
        text = text[: end.start()].rstrip()
    text = CALCULATOR.sub("", text).replace("</answer>", "")
    close = max(_CLOSES.finditer(text), key=re.Match.end, default=None)
    unclosed = _OPENS.search(text, close.end() if close else 0)
    if unclosed:
        return Answer(_OPENS.sub("", text[unclosed.end() :]).strip() or None, "", cut=True)
    if close is None:
        return Answer(None, text, cut=False)
    thinking = _OPENS.sub("", _CLOSES.sub("\n", text[: close.start()])).strip()
    return Answer(thinking or None, text[close.end() :].strip("\n"), cut=False)


def _channels(text: str) -> Answer:
    """`split` for the format of gpt-oss, in which thinking and answer are named channels."""
    thinking, final = [], None
    for part in text.split("<|channel|>")[1:]:
        name, _, message = part.partition("<|message|>")
        end = _ENDS.search(message)
        message = message[: end.start()] if end else message
        if name.strip().startswith("final"):
            final = message
        else:
            thinking.append(message.strip())
    return Answer("\n".join(thinking) or None, final or "", cut=final is None)


def cues(text: str, more: Sequence[re.Pattern[str]] = ()) -> list[Cue]:
    """Find the cues in `text`, in order; `more` are additional patterns of plugins.

    `####` is a cue only before a line with a number or before a single short line at the end, since it also
    begins headings. `A:` before a single short line is a cue if there is no other one.
    """
    custom = [Cue(match.start(), match.end()) for pattern in more for match in pattern.finditer(text)]
    if not _HINT.search(text):
        return sorted(custom, key=lambda cue: cue.end)
    found: list[Cue] = []
    for match in CUE.finditer(text):
        doubled = found and found[-1].end == match.end()  # "the answer is" and the box behind it
        rest = text[match.end() : match.end() + 400]
        label = not _MARK.match(match[0]) or _NUMBER_LINE.match(rest) or _brief(rest)
        if not doubled and label:
            found.append(Cue(match.start(), match.end()))
    found = sorted([*found, *custom], key=lambda cue: cue.end)
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
    """Cut `text` before a next question that the model invented; returns the text and its cues.

    A question ends the answer only if a cue and a label precede it, so that `Step 1\\nQ: how many?\\nA: 8 -
    3. The answer is 5.` is one answer. A long question after an empty line ends the answer even without a
    label."""
    found = cues(text, more)
    for match in islice(_QUESTION.finditer(text), MOST):
        end = match.start()
        if not text[:end].strip():
            continue
        before = [cue for cue in found if cue.end <= end]
        # A weak cue (`A:`, `####`) may show only once what follows is gone.
        before = before or cues(text[:end], more)
        labelled = bool(before) and _LABEL.search(text, before[0].end, end) is not None
        if labelled or _invented(text, match):
            return text[:end], before
    return text, found


def _invented(text: str, match: re.Match[str]) -> bool:
    """Whether the question has a line of its own after an empty one, and is long."""
    start = match.start() + (text[match.start()] == "\n")
    above = text[max(0, start - 20) : start]
    return _EMPTY_LINE.search(above) is not None and _LONG.match(text, match.end()) is not None


def reasoning(text: str) -> str | None:
    """`text` without a leading `Rationale:` or trailing `Hence`; None if nothing is left."""
    if opening := _OPENING.match(text):
        text = text[opening.end() :]
    text = _REMAINS.sub("", text.strip()).strip()
    return _CONNECTIVE.sub("", text.rstrip(",;: ")).strip().rstrip(",; ") or None


def reasoning_before(text: str, cues: Sequence[Cue], cue: Cue) -> str | None:
    """The reasoning before `cue`, and before those that announce the same label: `The answer is \\boxed{`."""
    start = cue.start
    for other in reversed(cues[: cues.index(cue)]):
        if text[other.end : start].strip(" :*_$\n"):
            break
        start = other.start
    return reasoning(text[:start])


def target(rationale: str, label: str) -> str:
    """`RATIONALE The answer is LABEL.`, the form of Single-Task's targets."""
    return f"{rationale} The answer is {label}.".strip()
