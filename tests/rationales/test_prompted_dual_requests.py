"""What counts of the dual rationales that a teacher was asked for."""

import pytest
from small import arithmetic_questions

from qcrd import tasks
from qcrd.rationales.prompted_duals import ask, pairs
from qcrd.rationales.sets import build_set
from qcrd.rationales.vote import vote
from qcrd.types import Parsed, Sample

TASK = tasks.get("arithmetic")
[QUESTION] = arithmetic_questions(1)
GOLD = QUESTION.label, TASK.answer(QUESTION.label, QUESTION)
OTHER = "( 29 * 29 )"


def read(rationale, label):
    return Parsed(rationale, label, TASK.answer(label, QUESTION))


@pytest.mark.parametrize(("denoise", "right"), [("gold", QUESTION.label), ("majority", OTHER)])
def test_a_mended_rationale_is_right_as_the_positives_are(denoise, right):
    drawn = [read("some", OTHER), read("more", OTHER), read("gold", QUESTION.label)]
    sets = [build_set(vote(QUESTION.id, drawn), drawn, "gold", denoise, GOLD)]
    asked = ask(TASK, [QUESTION], sets, 0)

    def counted(label):
        text = f"{QUESTION.rationale} The answer is {label} ."
        answers = {
            one.request.key: Sample("p", QUESTION.id, one.request.index, text, "stop", 9) for one in asked
        }
        found, counts = pairs(TASK, [QUESTION], sets, asked, answers)
        return len(found[0]), counts["derailed"], counts["mended"]

    wrong = ({QUESTION.label, OTHER} - {right}).pop()
    assert counted(right) == (1, 0, 1)
    assert counted(wrong) == (1, 1, 0)
