"""The teacher's own lines in a table: how good its answers are, with and without self-consistency."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qcrd.report.model import TeacherLine
from qcrd.report.paper import published
from qcrd.report.statistics import Estimate, share_of_questions

_REASON = "unparsed."
HEADER = (
    "teacher", "task", "split", "m", "questions", "one sample", "vote", "agreement", "ties",
    "majority right", "wrong", "unreadable",
)  # fmt: skip
"""Columns of `texts`."""


def teacher_line(
    teacher: str, task: str, split: str, m: int, statistics: Mapping[str, float], beside_paper: bool = False
) -> TeacherLine:
    """A line from `rationales.statistics.vote_statistics`, with Table 3's figures where they are wanted."""
    one, votes = (published("table3", method=method, task=task) for method in ("teacher", "vote"))
    single, error = statistics["single"], 1.96 * statistics["single_error"]
    questions = int(statistics["questions"])
    return TeacherLine(
        teacher=Path(teacher).name if Path(teacher).is_absolute() else teacher,
        task=task,
        split=split,
        m=m,
        questions=questions,
        samples=int(statistics["samples"]),
        single=Estimate(single, max(0.0, single - error), min(100.0, single + error), 1, "questions")
        if error
        else share_of_questions(single, questions),  # all alike, which is no certainty
        vote=share_of_questions(statistics["vote"], questions),
        agreement=statistics["agreement"],
        ties=int(statistics["ties"]),
        majority_right=int(statistics["majority_right"]),
        majority_wrong=int(statistics["majority_wrong"]),
        unparsed={
            name.removeprefix(_REASON): int(count)
            for name, count in statistics.items()
            if name.startswith(_REASON)
        },
        uncued=int(statistics.get("uncued", 0)),
        published=(one, votes) if beside_paper and one is not None and votes is not None else None,
    )


def texts(line: TeacherLine) -> list[str]:
    """The line under `HEADER`."""
    lost = sum(line.unparsed.values())
    one, vote = ("", "") if line.published is None else (f" (paper {x:.2f})" for x in line.published)
    why = ", ".join(f"{count} {reason}" for reason, count in line.unparsed.items())
    return [
        line.teacher,
        line.task,
        line.split,
        str(line.m),
        str(line.questions),
        f"{line.single.mean:.1f} ± {line.single.reach:.1f}{one}",
        f"{line.vote.mean:.1f} ± {line.vote.reach:.1f}{vote}",
        f"{line.agreement:.1f}",
        str(line.ties),
        str(line.majority_right),
        str(line.majority_wrong),
        (f"{lost} of {line.samples} ({why})" if lost else f"0 of {line.samples}")
        + (f"; {line.uncued} read without a cue" if line.uncued else ""),
    ]


def sentence(line: TeacherLine) -> str:
    """The line for a log."""
    _, _, _, m, questions, single, vote, agreement, ties, right, wrong, unreadable = texts(line)
    return (
        f"{line.teacher} on {line.task} {line.split} ({questions} questions, m = {m}): one sample {single}% "
        f"right, vote {vote}%; agreement {agreement}%, {ties} ties; majority right {right}, wrong {wrong}; "
        f"unreadable {unreadable}"
    )
