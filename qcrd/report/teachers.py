"""Lines of a table about the teacher: accuracy of its answers, with and without self-consistency."""

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
    """Line of a teacher.

    Args:
        teacher: name or path of the model.
        task: name of the task.
        split: of the task.
        m: answers per question.
        statistics: from `rationales.statistics.vote_statistics`.
        beside_paper: whether to add the results of the paper's Table 3.
    """
    papers_single, papers_vote = (
        published("table3", method=method, task=task) for method in ("teacher", "vote")
    )
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
        else share_of_questions(single, questions),  # zero variance does not mean certainty
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
        published=(papers_single, papers_vote)
        if beside_paper and papers_single is not None and papers_vote is not None
        else None,
    )


def texts(line: TeacherLine) -> list[str]:
    """Texts of a line, one per name of `HEADER`."""
    unreadable = sum(line.unparsed.values())
    papers_single, papers_vote = (
        ("", "") if line.published is None else (f" (paper {x:.2f})" for x in line.published)
    )
    reasons = ", ".join(f"{count} {reason}" for reason, count in line.unparsed.items())
    return [
        line.teacher,
        line.task,
        line.split,
        str(line.m),
        str(line.questions),
        f"{line.single}{papers_single}",
        f"{line.vote}{papers_vote}",
        f"{line.agreement:.1f}",
        str(line.ties),
        str(line.majority_right),
        str(line.majority_wrong),
        (f"{unreadable} of {line.samples} ({reasons})" if unreadable else f"0 of {line.samples}")
        + (f"; {line.uncued} read without a cue" if line.uncued else ""),
    ]


def sentence(line: TeacherLine) -> str:
    """A line as a sentence for the log."""
    _, _, _, m, questions, single, vote, agreement, ties, right, wrong, unreadable = texts(line)
    return (
        f"{line.teacher} on {line.task} {line.split} ({questions} questions, m = {m}): one sample {single}% "
        f"right, vote {vote}%; agreement {agreement}%, {ties} ties; majority right {right}, wrong {wrong}; "
        f"unreadable {unreadable}"
    )
