"""A training step of QCRD with decoder-only students: as `test_whole_step`, by the model's own passes."""

import pytest
import test_whole_step
import torch
from causal_models import causal_student
from daily import product
from torch.nn.functional import cross_entropy

from qcrd.losses import SCHEMES


def separate(student, prompt, completion, weights=None):
    """l of one completion behind one prompt, by the model's own forward pass and attention."""
    logits = student.model(input_ids=torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 : -1]
    nats = cross_entropy(logits.double(), torch.tensor(completion), reduction="none")
    return nats.mean() if weights is None else nats @ torch.tensor(weights).double() / sum(weights)


def double(name):
    """A student in float64, whose frozen weights are out of sight."""
    student = causal_student(name, 3).double()
    trained = [(n, p) for n, p in student.named_parameters() if p.requires_grad]
    student.named_parameters = lambda *given, **settings: iter(trained)
    return student


@pytest.mark.parametrize(
    "scheme, name, settings",
    product(
        SCHEMES,
        ["llama", "llama-lora", "qwen2", "qwen3"],
        [(True, 2, "hinge", 1.0), (False, 1, "hinge", 5.0)],
    ),
)
def test_qcrd_equals_the_naive_computation(monkeypatch, scheme, name, settings):
    monkeypatch.setattr(test_whole_step, "separate", separate)
    monkeypatch.setattr(test_whole_step, "double_student", lambda: double(name))
    test_whole_step.test_qcrd_equals_the_naive_computation(scheme, settings)
