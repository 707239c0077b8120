"""Self-consistency at test time, with a student whose answers are known."""

import pytest
import torch
from small_cells import TASK, fill, make_cell

from qcrd import config, tasks
from qcrd.cell.run import run_cell
from qcrd.methods import METHODS
from qcrd.storage import journal
from qcrd.storage.home import Home
from qcrd.training.evaluate import Evaluator
from qcrd.training.voting import majority

SETTINGS = config.Evaluation(votes=3)


class Parrot:
    """A student that writes what it is given; it notes how it is asked."""

    device = torch.device("cpu")

    def __init__(self, texts):
        self.texts = texts

    def prompts(self, kind, questions, limit):
        return questions

    def generate(self, asked, limit, temperature, generator, draws, top_k, top_p):
        self.asked = (temperature, draws, top_k, top_p)
        return self.texts

    def text(self, tokens):
        return tokens


@pytest.fixture(scope="module")
def questions():
    return tasks.get("arithmetic").load(TASK).test[:3]


def voted(questions, texts, targets="multitask", settings=SETTINGS):
    task, student = tasks.get("arithmetic"), Parrot(texts)
    lengths = config.Student(targets=targets, architecture=config.Architecture(family="llama"))
    return majority(Evaluator(student, task, METHODS["qcrd"], questions, lengths), settings, 0), student


def test_the_most_frequent_readable_answer_counts(questions):
    one, two, three = (q.label for q in questions)
    result, _ = voted(
        questions,
        [
            *(one, two, one),  # two of three are right
            *("nothing", two, "nothing"),  # one that can be read is right
            *(one, three, "nothing"),  # a tie: the first sampled, wrong here
        ],
    )
    assert [p.correct for p in result.predictions] == [True, True, False]
    assert [p.text for p in result.predictions] == [one, two, one]
    assert result.statistics["votes/single"] == pytest.approx((200 / 3 + 100 / 3 + 100 / 3) / 3)
    assert result.statistics["votes/ties"] == 1
    assert result.statistics["votes/unread"] == pytest.approx(100 * 3 / 9)
    assert result.statistics["votes/agreement"] == pytest.approx((200 / 3 + 100 + 50) / 3)


def test_equal_answers_that_are_written_differently_vote_together(questions):
    right, _, wrong = (q.label for q in questions)
    result, _ = voted(questions[:1], [f" {right} ", wrong, right.replace(" ", "")])
    assert [p.correct for p in result.predictions] == [True]


def test_without_any_readable_answer_the_question_is_wrong(questions):
    result, _ = voted(questions[:1], ["nothing"] * 3)
    assert [(p.text, p.correct) for p in result.predictions] == [("", False)]
    assert result.statistics["votes/agreement"] == 0


def test_a_student_of_sequences_votes_by_the_labels_in_them(questions):
    label = questions[0].label
    texts = [f"We add. The answer is {label}.", label, f"We guess. The answer is {label}."]
    result, _ = voted(questions[:1], texts, "sequence")
    assert result.predictions[0].correct
    assert result.statistics["votes/unread"] == pytest.approx(100 / 3), "a label alone is no sequence"


def test_answers_are_sampled_as_set(questions):
    settings = config.Evaluation(votes=2, temperature=0.4, top_k=9, top_p=0.8)
    _, student = voted(questions[:1], ["a", "b"], settings=settings)
    assert student.asked == (0.4, 2, 9, 0.8)


def test_a_cell_with_votes_has_both_accuracies_and_an_id_of_its_own(tmp_path):
    home = Home(tmp_path)
    plain = make_cell(home, "dss")
    cell = make_cell(home, "dss", evaluation=config.Evaluation(votes=4))
    assert cell.id != plain.id
    assert make_cell(home, "dss", evaluation=config.Evaluation(temperature=0.3)).id == plain.id
    assert make_cell(home, "dss", evaluation=config.Evaluation(votes=4, temperature=0.3)).id != cell.id
    fill(home, cell)
    record = run_cell(cell, "dss", home)
    assert record.accuracy["test_votes"] in {100 * right / TASK.test for right in range(TASK.test + 1)}
    assert {"votes/single", "votes/ties"} <= record.statistics.keys()
    events = journal.read(home.cell(cell.id) / journal.FILE)
    metrics = [e for e in events if isinstance(e, journal.Metrics) and "accuracy/test_votes" in e.values]
    assert [e.values["accuracy/test_votes"] for e in metrics] == [record.accuracy["test_votes"]]
    assert run_cell(plain, "dss", home).accuracy.keys() == record.accuracy.keys() - {"test_votes"}
