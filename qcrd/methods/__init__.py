"""Methods of distilling; a new one is a file and a line here."""

from qcrd.methods.base import Method
from qcrd.methods.dss import DSS
from qcrd.methods.finetuning import FINETUNING
from qcrd.methods.qcrd import QCRD
from qcrd.methods.single_task import SINGLE_TASK

METHODS: dict[str, Method] = {m.name: m for m in (FINETUNING, SINGLE_TASK, DSS, QCRD)}
