import pytest

from qcrd.tasks.anli1 import Anli1
from qcrd.tasks.cqa import Cqa, with_choices
from qcrd.tasks.duals import derail, mend
from qcrd.tasks.own import OwnText
from qcrd.tasks.shots import packaged
from qcrd.tasks.svamp import Svamp
from qcrd.types import Question

CHOICES = ("cup", "plate")
CASES = [
    (Svamp(), Question("q", "How many?", "(2 + 3)"), "2 and 3", "(2 + 3)"),
    (Cqa(), Question("q", with_choices("From what?", CHOICES), "cup", CHOICES), "Tea is drunk.", "cup"),
    (
        Anli1(),
        Question("q", "It rains.</s>It is wet.", "neutral", ("entailment", "neutral")),
        "So",
        "neutral",
    ),
    (OwnText(), Question("q", "Which month?", "May"), "It is spring.", "May"),
]


@pytest.mark.parametrize(("task", "question", "rationale", "label"), CASES)
def test_the_teacher_sees_the_question_the_rationale_and_the_right_answer(task, question, rationale, label):
    plain = task.prompt(question)
    for prompt, given in (
        (derail, f"Correct solution: {rationale} The answer is {label}."),
        (mend, f"Wrong solution: {rationale}\nCorrect answer: {label}"),
    ):
        found = prompt(task, question, rationale, label)
        assert found.question.startswith(f"{plain.question}\n") and found.question.endswith(f"\n{given}")
        assert all(choice in found.question for choice in question.choices)
        assert found.cues == plain.cues and found.system != plain.system


@pytest.mark.parametrize("task", [case[0] for case in CASES[:2]] + [OwnText()])
def test_the_examples_derail_what_is_right_and_mend_it_again(task):
    derailed, mended = (packaged(f"{what}-{task.kind}.txt").examples for what in ("derail", "mend"))
    for (asked, wrong), (again, right) in zip(derailed, mended, strict=True):
        line = next((x for x in asked.split("\n") if x.startswith("Possible answers: ")), ": ")
        choices = tuple(line.partition(": ")[2].split(", "))
        question = Question("q", "", "", choices)
        read = [task.parse(text, question) for text in (wrong, right)]
        assert None not in (read[0].answer, read[1].answer) and read[0].answer != read[1].answer
        assert f"Correct solution: {right}" in asked
        told = again.partition(f"Wrong solution: {read[0].rationale}\nCorrect answer: ")[2]
        assert task.answer(told, question) == read[1].answer
