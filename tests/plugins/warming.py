"""An own method: Distilling Step-by-Step whose rationale loss counts more and more."""

from qcrd.config import Section
from qcrd.methods import METHODS
from qcrd.methods.base import Method
from qcrd.methods.dss import DSS, USES
from qcrd.objectives.dss import StepByStep


class Options(Section):
    """What `options:` may say beside this method."""

    steps: int = 100
    """After how many steps the rationale loss counts in full."""


class Warming(StepByStep):
    """alpha2 grows to its full size; what depends on the step alone goes on right after a kill."""

    def __init__(self, given):
        super().__init__(given)
        self.full, self.steps = self.alpha2, given.options.steps

    def loss(self, batch, step):
        self.alpha2 = self.full * min(1.0, step / self.steps)
        return super().loss(batch, step)


METHODS.register(Method("warming", USES, "label", Warming, own=DSS.own, options=Options))
