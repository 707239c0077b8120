"""An own task: sums, generated; its answers are equations, which `EquationTask` reads and compares."""

from random import Random

from qcrd.tasks import TASKS
from qcrd.tasks.arithmetic import vocabulary
from qcrd.tasks.reading import EquationTask
from qcrd.types import Prompt, Question, Splits


class Sums(EquationTask):
    """`Sam has 3 cards. Sam buys 4 more cards. How many cards does Sam have now?`"""

    name = "sums"
    stop = ("Question",)

    def vocabulary(self):
        return vocabulary()  # its texts are in arithmetic's words, so a student needs no tokenizer

    def load(self, config):
        pairs = [(a, b) for a in range(2, 31) for b in range(2, 31)]
        Random(config.seed).shuffle(pairs)
        drawn, splits = iter(pairs), {"train": 200, "validation": 50, "test": 100}
        for split, size in splits.items():
            count = getattr(config, split) or size
            splits[split] = tuple(question(f"sums-{split}-{i}", *next(drawn)) for i in range(count))
        return Splits(**splits)

    def prompt(self, question, shots=None):
        return Prompt(question.text, cues=("Question: ", " Answer:"))


def question(id, a, b):
    text = f"Sam has {a} cards. Sam buys {b} more cards. How many cards does Sam have now?"
    return Question(id, text, f"( {a} + {b} )", rationale=f"Sam buys more, so we add {a} and {b}.")


TASKS.register(Sums())
