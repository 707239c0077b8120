"""Two finished cells and a scripted judge: the whole way but for the engine."""

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from small_cells import TASK, elsewhere, fill, make_cell

from qcrd import config
from qcrd.cell.data import task_data
from qcrd.cell.resolved import resolve
from qcrd.cell.run import run_cell
from qcrd.errors import ConfigError, DataError
from qcrd.judging import formats
from qcrd.judging.cells import Explainer, common_questions
from qcrd.judging.prompt import template
from qcrd.judging.ranking import STOP, Comparison, Ranking, compare, rank
from qcrd.judging.rationales import load, rationales
from qcrd.judging.tally import tally
from qcrd.methods import METHODS
from qcrd.samples.store import SampleStore
from qcrd.storage.home import Home
from qcrd.student.base import Student
from qcrd.teacher.engines import sampler_identity
from qcrd.training.evaluate import Evaluator
from qcrd.types import Sample

JUDGE = config.Teacher(engine="openai", model="a-judge", temperature=0.0)
TAUS = (0.0, 0.7)


class Scripted:
    """A judge that answers as `say` decides from the two explanations; it counts what it is asked."""

    def __init__(self, say):
        self.say, self.asked, self.began = say, [], 0

    @contextmanager
    def ready(self, requests):
        self.began += 1
        yield self

    def __call__(self, requests):
        self.asked += [r.key for r in requests]
        yield [
            Sample(r.prompt_id, r.question_id, r.index, self.say(*shown(r.prompt.text)), "stop", 3)
            for r in requests
        ]


def shown(text):
    """The two explanations of a prompt."""
    first, second = text.partition("Explanation 1: ")[2].partition("\n\nExplanation 2: ")[::2]
    return first, second.rpartition("\n\n")[0]


def longer(first, second):
    """A judge for whom more words, or else later ones in the alphabet, are better."""
    return f"Better: {1 if (len(first), first) > (len(second), second) else 2}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    fill(home, make_cell(home))
    return home


@pytest.fixture(scope="module")
def cells(home):
    """Ids of two finished cells that write something, but not the same."""
    training = config.Training(steps=40, batch=8, lr=1e-2, evaluate_every=40)
    made = {
        method: run_cell(make_cell(home, method, training=training), f"{method} seed=0", home).id
        for method in ("dss", "qcrd", "single_task")
    }
    return {method: Explainer.find(home, cell_id) for method, cell_id in made.items()}


def ranked(home, a, b, judge, n=12, taus=TAUS):
    return rank(compare(a, b, taus, n, 0), JUDGE, template(), home, judge.ready, lambda *_: None)


@pytest.mark.slow
def test_a_judge_decides_by_content_and_is_asked_nothing_twice(home, cells, tmp_path):
    home = elsewhere_with_cells(home, tmp_path / "home")
    judge = Scripted(longer)
    found = ranked(home, cells["dss"], cells["qcrd"], judge)
    assert [r.comparison.tau for r in found] == list(TAUS)
    for ranking in found:
        tally = ranking.tally
        assert tally.a + tally.b + tally.identical == tally.questions == 12
        for each in ranking.judged:
            if each.verdict != "both":
                better, worse = (each.a, each.b)[:: 1 if each.verdict == "a" else -1]
                assert (len(better), better) > (len(worse), worse)
    assert found[1].tally.shown_first.share == 0.5
    different = sum(r.tally.questions - r.tally.identical for r in found)
    assert 0 < len(judge.asked) == len(set(judge.asked)) <= 2 * different

    again = Scripted(longer)
    assert ranked(home, cells["dss"], cells["qcrd"], again) == found
    mirrored = ranked(home, cells["qcrd"], cells["dss"], again)
    assert again.began == 0, "the other order of the cells asks for the same prompts"
    for one, other in zip(found, mirrored, strict=True):
        assert (one.tally.a, one.tally.both, one.tally.b) == (other.tally.b, other.tally.both, other.tally.a)

    ranked(home, cells["dss"], cells["qcrd"], again, n=14)
    assert set(again.asked).isdisjoint(judge.asked), "more questions keep the answers about the first"


def test_a_judge_that_always_says_1_decides_nothing_and_is_seen_through(home, cells, tmp_path):
    home = elsewhere_with_cells(home, tmp_path / "home")
    found = ranked(home, cells["dss"], cells["qcrd"], Scripted(lambda *_: "Better: 1"), taus=[0.7])[0].tally
    assert (found.a, found.b, found.both) == (0, 0, 12)
    assert found.shown_first.share == 1.0
    assert found.consistent.share == 0.0


def test_answers_that_say_nothing_or_never_come_are_counted_apart(home, cells, tmp_path):
    home = elsewhere_with_cells(home, tmp_path / "home")

    class Mute(Scripted):
        def __call__(self, requests):
            yield from super().__call__(requests[: len(requests) // 2])

    found = ranked(home, cells["dss"], cells["qcrd"], Mute(lambda *_: "Well ."), taus=[0.7])[0].tally
    asked = found.questions - found.identical
    assert found.unread == asked
    assert found.unreadable == {"no answer": asked, "no cue": asked}


def test_a_cell_against_itself_is_all_ties_without_asking(home, cells):
    judge = Scripted(longer)
    for ranking in ranked(home, cells["dss"], cells["dss"], judge):
        assert ranking.tally.identical == ranking.tally.both == 12
    assert not judge.asked


def test_questions_are_a_random_choice_that_does_not_depend_on_the_cells(cells):
    a, b = cells["dss"], cells["qcrd"]
    chosen = common_questions(a, b, 8, 0)
    assert chosen == common_questions(b, a, 8, 0) == common_questions(a, b, 12, 0)[:8]
    assert len({q.id for q in chosen}) == 8
    assert chosen != common_questions(a, b, 8, 1)
    assert {q.id for q in chosen} <= {q.id for q in task_data(TASK).splits.test}
    with pytest.raises(DataError, match="the test set of arithmetic has 16"):
        common_questions(a, b, 17, 0)


def test_the_kept_student_is_the_one_that_was_evaluated(cells):
    """By what it answers; so its rationales are its own too."""
    side = cells["qcrd"]
    task, splits = task_data(TASK).task, task_data(TASK).splits
    student = load(side)
    asked = Evaluator(student, task, METHODS["qcrd"], splits.test, side.cell.settings.student)()
    stored = json.loads((side.folder / "predictions.json").read_text())["test"]
    assert [p.text for p in asked] == [p["text"] for p in stored]


@pytest.mark.parametrize("tau", TAUS)
def test_a_rationale_depends_on_its_question_alone_and_is_written_once(cells, tau, tmp_path, monkeypatch):
    questions = task_data(TASK).splits.test
    whole = rationales(cells["dss"], questions, tau)
    shutil.copytree(cells["dss"].student, tmp_path / "student")
    fresh = replace(cells["dss"], folder=tmp_path)
    assert rationales(fresh, questions[5:6], tau) == whole[5:6]
    assert rationales(fresh, questions[::-1], tau) == whole[::-1]
    assert len(set(whole)) > 1
    monkeypatch.setattr(Student, "generate", lambda *_, **__: pytest.fail("written a second time"))
    assert rationales(fresh, questions, tau) == whole


def test_temperatures_give_different_rationales_and_seeds_do_not_touch_the_global_stream(cells):
    questions = task_data(TASK).splits.test
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert rationales(cells["qcrd"], questions, 0.0) != rationales(cells["qcrd"], questions, 1.5)
    assert torch.equal(before, torch.get_rng_state())


def test_a_rationale_of_single_task_is_what_it_writes_before_the_label(cells):
    for text in rationales(cells["single_task"], task_data(TASK).splits.test, 0.0):
        assert "answer is" not in text


def test_text_and_json_say_the_same(home, cells, tmp_path):
    home = elsewhere_with_cells(home, tmp_path / "home")
    found = ranked(home, cells["dss"], cells["qcrd"], Scripted(longer))
    text = formats.text(found, JUDGE, 0)
    assert f"A is dss seed=0 ({cells['dss'].id}), B is qcrd seed=0 ({cells['qcrd'].id})" in text
    assert "judge a-judge (openai), temperature 0" in text
    assert "paper" not in text, "it has no arithmetic"
    values = json.loads(json.dumps(formats.as_object(found, JUDGE, 0), allow_nan=False))
    stored = SampleStore(home.samples, sampler_identity(JUDGE, STOP), JUDGE.limit)
    assert stored.folder.name == values["sampler"]
    kept = stored.load()
    for one, ranking in zip(values["comparisons"], found, strict=True):
        for each in one["judged"]:
            if each["prompts"][0]:  # every verdict can be followed back to what was asked and answered
                assert [kept[prompt, 0].text for prompt in each["prompts"]] == each["texts"]
        assert {side: each["id"] for side, each in one["cells"].items()} == {
            "a": cells["dss"].id,
            "b": cells["qcrd"].id,
        }
        assert (one["tally"]["a"], one["tally"]["b"]) == (ranking.tally.a, ranking.tally.b)
        assert [each["verdict"] for each in one["judged"]] == [each.verdict for each in ranking.judged]
    row = next(line for line in text.splitlines() if line.startswith("| [1]"))
    assert [cell.strip() for cell in row.split("|")][4:7] == [
        str(getattr(found[0].tally, side)) for side in ("a", "both", "b")
    ]


@pytest.mark.parametrize(
    ("methods", "counts"), [(("dss", "qcrd"), (20, 6, 24)), (("qcrd", "dss"), (24, 6, 20))]
)
def test_the_papers_counts_stand_beside_those_of_its_methods_tasks_and_temperatures(cells, methods, counts):
    def side(method, task="cqa"):
        settings = cells["dss"].cell.settings
        named = settings.task.model_copy(update={"name": task})
        own = settings.model_copy(update={"method": method, "task": named})
        return replace(cells["dss"], cell=resolve(own))

    comparison = Comparison(*map(side, methods), 0.7, [], [])
    assert tuple(formats.paper(comparison).values()) == counts
    assert "/".join(map(str, counts)) in formats.text([Ranking(comparison, [], tally([]))], JUDGE, 0)
    assert formats.paper(replace(comparison, tau=0.5)) is None
    assert formats.paper(replace(comparison, b=side("single_task"))) is None
    assert formats.paper(replace(comparison, a=side("dss", "arithmetic"), b=side("qcrd"))) is None


def test_cells_that_cannot_be_compared_are_refused(home, cells, tmp_path):
    assert Explainer.find(home, cells["dss"].id[:9]).id == cells["dss"].id
    with pytest.raises(ConfigError, match="no cell in"):
        Explainer.find(home, "zz")
    with pytest.raises(ConfigError, match=r"\d cells|no cell"):
        Explainer.find(home, "")
    plain = run_cell(make_cell(home, "finetuning", "gold"), "plain", home)
    with pytest.raises(DataError, match="'finetuning' teaches no rationales; allowed: "):
        Explainer.find(home, plain.id)
    fewer = TASK.model_copy(update={"test": 12})
    other = run_cell(make_cell(home, "dss", task=fewer), "fewer", home, keep_student=False)
    with pytest.raises(DataError, match="keep_students: true"):
        Explainer.find(home, other.id)
    (home.cell(other.id) / "student").mkdir()
    with pytest.raises(DataError, match=r"different test sets of arithmetic \(16 and 12 questions\)"):
        common_questions(cells["dss"], Explainer.find(home, other.id), 4, 0)
    with pytest.raises(DataError, match="is not finished"):
        home.cell("0123456789ab").mkdir()
        Explainer.find(home, "0123456789ab")


def elsewhere_with_cells(home, folder):
    """Another home with the same cells, and a store of its own for the judge's answers."""
    made = elsewhere(home, folder)
    (folder / "samples").unlink()
    return made
