"""An own teacher engine: adds the first and the last number of a question, and is sometimes wrong."""

from random import Random

from qcrd.config import Section
from qcrd.teacher.engine import ActorEngine
from qcrd.teacher.engines import ENGINES
from qcrd.types import Sample


class Options(Section):
    wrong: float = 0.3  # share of its answers; in a grid `teacher.options.wrong`


class Adding:
    def __init__(self, wrong):
        self.wrong, self.waiting = wrong, []

    def feed(self, requests):
        self.waiting += requests

    def take(self, seconds):
        asked, self.waiting = self.waiting, []
        return [Sample(r.prompt_id, r.question_id, r.index, self.answer(r), "stop", 9) for r in asked]

    def answer(self, request):
        a, *_, b = (word for word in request.prompt.question.split() if word.isdigit())
        how, sign = ("subtract", "-") if Random(request.seed).random() < self.wrong else ("add", "+")
        return f"We {how} {a} and {b}. The answer is ({a} {sign} {b})."


class Adder(ActorEngine):
    name, options = "adder", Options

    def start(self, teacher, stop, resources, gpus):
        return Adding(self.settings(teacher).wrong)


ENGINES.register(Adder())
