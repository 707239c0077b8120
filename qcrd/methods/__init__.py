"""Methods of distilling."""

from qcrd.methods.base import Method
from qcrd.methods.dss import DSS
from qcrd.methods.edit import EDIT
from qcrd.methods.finetuning import FINETUNING
from qcrd.methods.morsd import MORSD
from qcrd.methods.qcrd import QCRD
from qcrd.methods.single_task import SINGLE_TASK
from qcrd.registry import Registry

METHODS: Registry[Method] = Registry("method", Method, (FINETUNING, SINGLE_TASK, DSS, QCRD, MORSD, EDIT))
