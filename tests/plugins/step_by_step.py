"""An own method: Distilling Step-by-Step that begins with the label alone, and adds rationales later."""

from qcrd.config import Section
from qcrd.methods import METHODS
from qcrd.methods.base import Method
from qcrd.methods.dss import USES, StepByStep


class Options(Section):
    """What `options:` may say."""

    from_step: int = 1
    """The first step with rationales."""


class Later(StepByStep):
    """The label's loss before a step, both losses from it on."""

    def __init__(self, given):
        super().__init__(given)
        self.from_step = given.options.from_step

    def loss(self, batch, step):
        parts = super().loss(batch, step)
        if step < self.from_step:
            parts["loss"] = self.alpha1 * parts["predict"]
        return parts


METHODS.register(Method("later", USES, "label", Later, options=Options))
