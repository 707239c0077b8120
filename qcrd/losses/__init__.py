"""Losses: functions on tensors, independent of models and configuration."""

from qcrd.losses.maxmin import MAXMIN
from qcrd.losses.mean import MEAN
from qcrd.losses.minmax import MINMAX
from qcrd.losses.sampling import SAMPLING
from qcrd.losses.scheme import Scheme
from qcrd.losses.wmean import WMEAN
from qcrd.registry import Registry

SCHEMES: Registry[Scheme] = Registry("contrastive.scheme", Scheme, (MINMAX, MAXMIN, SAMPLING, MEAN, WMEAN))
