"""Dual rationales that a teacher is asked for, from a grid file to a trained cell."""

from collections import Counter
from threading import Lock

import pytest
import torch
from chat_servers import ChatServer, completion
from daily import some

from qcrd import tasks
from qcrd.cell.preparation import prepare
from qcrd.cell.run import run_cell
from qcrd.config import Task
from qcrd.errors import ConfigError, DataError
from qcrd.grid.cluster.shares import Node, Shares
from qcrd.grid.plan.overview import plan_object, plan_text
from qcrd.grid.plan.study import Study
from qcrd.grid.run import sampling
from qcrd.storage.home import Home

torch.set_num_threads(1)  # such models only wait for a second thread

SIZES = {"train": 12, "validation": 4, "test": 4}
GRID = """
name: duals
preset: embedded
base:
  method: edit
  task: {{train: 12, validation: 4, test: 4}}
  teacher: {teacher}
  student: {{architecture: {{d_model: 16, d_kv: 4, d_ff: 16, layers: 1, heads: 2}}}}
  training: {{steps: 6, batch: 4, evaluate_every: 3}}
  rationales: {{m: 3, labels: {labels}}}
product: {{edit.duals: {duals}}}
"""
QUESTIONS = tasks.get("arithmetic").load(Task(**SIZES))
UNWILLING = QUESTIONS.train[0].text  # is derailed to a right answer and mended to a wrong one


def answer(asked, again):
    """One wrong answer in each question's three, and what is asked about the first right and wrong one."""
    question = next(
        q for q in (*QUESTIONS.train, *QUESTIONS.validation) if asked.partition("\n")[0] == q.text
    )
    right = f"{question.rationale} The answer is {question.label} ."
    wrong = f"{question.rationale} 29 more . The answer is ( 29 * 29 ) ."
    unwilling = question.text == UNWILLING
    if "Correct solution:" in asked:
        assert f"Correct solution: {question.rationale}" in asked
        return completion(right if unwilling else wrong)
    if "Wrong solution:" in asked:
        assert f"Correct answer: {question.label}" in asked
        return completion(wrong if unwilling else right)
    return completion(wrong if again == 1 else right)


HERE = [Node(2, 0)]


def open_study(folder, url, duals="[prompted]", labels="gold"):
    teacher = f"{{engine: openai, model: scripted, base_url: {url}, accuracy: null}}"
    path = folder / "duals.yaml"
    path.write_text(GRID.format(teacher=teacher, duals=duals, labels=labels))
    return Study.open(path, Home(folder / "home"))


def drawn(study):
    sampling.draw_missing(study, Shares.of(study.grid.resources, HERE), HERE)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    asked, lock = Counter(), Lock()

    def reply(body, attempt):
        text = body["messages"][-1]["content"]
        with lock:
            asked[text] += 1
            again = asked[text]
        return answer(text, again)

    with ChatServer(reply) as server:
        yield server


@pytest.mark.parametrize("labels", some(["gold", "teacher"], ["teacher"]))
def test_what_is_asked_follows_from_the_first_answers_is_drawn_once_and_trained_on(tmp_path, server, labels):
    study = open_study(tmp_path, server.url, labels=labels)
    first = 36 if labels == "gold" else 48  # with the validation questions
    wanted = [(s["duals"], s["wanted"], s["missing"]) for s in plan_object(study)["samples"]]
    assert wanted == [(False, first, first), (True, 24, 24)]
    assert "dual rationales of scripted for arithmetic" in plan_text(plan_object(study))

    drawn(study)
    asked = [call["messages"][-1]["content"] for call in server.calls[first:]]
    assert all("solution: " in text for text in asked)
    [*_, duals] = plan_object(study)["samples"]
    assert (duals["wanted"], duals["missing"], len(asked)) == (24, 0, 24)
    drawn(study)
    assert len(server.calls) == first + 24

    [planned] = study.cells
    prepared = prepare(planned.cell, study.home)
    found = prepared.statistics
    counts = {name: found[f"edit/{name}"] for name in ("to_derail", "derailed", "to_mend", "mended")}
    assert counts == {"to_derail": 12, "derailed": 11, "to_mend": 12, "mended": 11}
    for question, pairs in zip(prepared.questions, prepared.pairs, strict=True):
        assert (not pairs) == (question.text == UNWILLING)
        assert all(wrong == f"{right} 29 more ." for right, wrong, _ in pairs)
    record = run_cell(planned.cell, planned.name, study.home)
    assert record.status == "done"
    assert record.statistics["edit/questions"] == 11


def test_mined_and_prompted_duals_share_the_first_answers_and_are_two_cells(tmp_path, server):
    study = open_study(tmp_path, server.url, "[mined, prompted]")
    assert len(set(study.ids)) == 2
    drawn(study)
    seeds = server.asked()
    assert set(seeds.values()) == {1}
    before = study.ids
    mined, prompted = (prepare(p.cell, study.home) for p in study.cells)
    assert mined.sets == prompted.sets and not any(mined.pairs)
    assert open_study(tmp_path, server.url, "[mined, prompted]").ids == before


def test_a_cell_whose_duals_were_never_drawn_is_refused_with_what_to_do(tmp_path, server):
    study = open_study(tmp_path, server.url)
    sampling.draw_needs(study, Shares.of(study.grid.resources, HERE), HERE, study.samples())
    with pytest.raises(DataError, match="prompts for dual rationales of arithmetic; `qcrd run` draws them"):
        prepare(study.cells[0].cell, study.home)


@pytest.mark.parametrize(
    ("teacher", "why"),
    [
        ("{engine: recorded, path: a.jsonl, model: x}", "a teacher with recorded answers"),
        ("{}", "'embedded'"),
    ],
)
def test_teachers_that_follow_no_instructions_are_refused(tmp_path, teacher, why):
    path = tmp_path / "duals.yaml"
    path.write_text(GRID.format(teacher=teacher, duals="[mined, prompted]", labels="gold"))
    with pytest.raises(ConfigError, match=f"edit.duals.*{why} cannot follow instructions; allowed: mined"):
        Study.open(path, Home(tmp_path / "home"))
