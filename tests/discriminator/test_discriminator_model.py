import pytest
import torch

from qcrd.discriminator.model import platt


def test_platts_scaling_finds_the_slope_and_offset_that_scores_were_drawn_from():
    generator = torch.Generator().manual_seed(0)
    positive = torch.arange(20_000) % 2 == 0
    score = torch.where(positive, 1.5, 0.5) + torch.randn(20_000, generator=generator)
    a, b = platt(score, positive)  # of two normals with one spread the log odds are linear
    assert a == pytest.approx(1.0, abs=0.05)
    assert -b / a == pytest.approx(1.0, abs=0.05)


def test_both_kinds_count_alike_whatever_their_numbers():
    positive = torch.arange(400) < 200
    score = torch.where(positive, 1.0, 0.0) + torch.linspace(-2, 2, 200).repeat(2)
    a, b = platt(score, positive)
    many = torch.cat([score, score[200:].repeat(9)]), torch.cat([positive, positive[200:].repeat(9)])
    assert platt(*many) == pytest.approx((a, b), rel=0.05)
    assert torch.sigmoid(a * score + b).mean().item() == pytest.approx(0.5, abs=1e-6)


def test_scores_that_part_the_kinds_have_a_finite_slope_and_equal_or_reversed_ones_none():
    positive = torch.tensor([True, True, False, False])
    a, _ = platt(torch.tensor([9.0, 8.0, -8.0, -9.0]), positive)
    assert 0 < a < 10
    assert platt(torch.tensor([-1.0, -2.0, 2.0, 1.0]), positive) == (0.0, 0.0)
    assert platt(torch.ones(4), positive) == pytest.approx((0.0, 0.0), abs=1e-6)
