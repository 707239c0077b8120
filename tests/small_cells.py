"""Small cells with a teacher whose right and wrong answers are known."""

import random

from small import SHAPE

from qcrd import config, tasks
from qcrd.cell.answers import sample_requests, sample_store
from qcrd.cell.resolved import resolve
from qcrd.samples.draw import draw
from qcrd.storage.home import Home
from qcrd.types import Sample

M = 4
SILENT = 3  # number of the training question that no sample answers readably
TASK = config.Task(train=32, validation=12, test=16)


class Killed(BaseException):
    """As a SIGKILL."""


class Teacher:
    """Right three times in five, else as to another question; now and then without an answer."""

    def __init__(self, questions, silent=(), babble=False):
        task = tasks.get("arithmetic")
        self.by_prompt = {task.prompt(q).text: q for q in questions}
        self.questions, self.silent, self.babble = questions, set(silent), babble

    def __call__(self, requests):
        yield [Sample(r.prompt_id, r.question_id, r.index, self.answer(r), "stop", 9) for r in requests]

    def answer(self, request):
        rng = random.Random(request.seed)
        question = self.by_prompt[request.prompt.text]
        if self.babble or question.id in self.silent or rng.random() < 0.1:
            return "Well , I do not know ."
        if rng.random() > 0.6:
            question = rng.choice(self.questions)
        return f"{question.rationale} The answer is {question.label}."


def make_cell(home, method="qcrd", labels="teacher", seed=0, task=TASK, **sections):
    answers = home.root / "answers.jsonl"  # only its fingerprint is read: it names the store
    answers.parent.mkdir(parents=True, exist_ok=True)
    answers.touch()
    values = {
        "task": task,
        "teacher": config.Teacher(engine="recorded", path=str(answers)),
        "rationales": config.Rationales(labels=labels, m=M),
        "student": config.Student(
            architecture=SHAPE, precision="fp32", max_input=64, max_rationale=24, max_label=12
        ),
        "training": config.Training(steps=12, batch=8, lr=5e-3, evaluate_every=4),
        "selfplay": config.SelfPlay(k=1, lag=1),
        "discriminator": config.Discriminator(architecture=SHAPE, batch=8, pretrain_steps=4, update_steps=1),
    }
    return resolve(config.Cell(method=method, seed=seed, **values | sections))


def fill(home, cell, m=M, splits=("train", "validation"), **how):
    """Let the teacher answer into the cell's store."""
    loaded = tasks.get("arithmetic").load(TASK)
    teacher = Teacher([*loaded.train, *loaded.validation], {loaded.train[SILENT].id}, **how)
    for split in splits:
        requests = sample_requests(cell, split, m)
        draw(sample_store(cell, home), requests, teacher, lambda *_: None)


def elsewhere(home, folder):
    """Another home with the same samples."""
    folder.mkdir()
    (folder / "samples").symlink_to(home.samples)
    (folder / "answers.jsonl").touch()
    return Home(folder)
