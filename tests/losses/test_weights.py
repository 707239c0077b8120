import math

import pytest
import torch

from qcrd.losses.weights import Weighed, weigh

QUALITY = torch.tensor([0.9, 0.5, 0.7, 0.2, 0.6, 0.3, 0.1])
POSITIVE = torch.tensor([True, True, True, False, False, False, False])
ACTS = torch.tensor([True, True, True, True, True, True, False])  # the last is beyond the margin


def weights(form, seed=0, quality=QUALITY):
    return weigh(quality, POSITIVE, ACTS, form, torch.Generator().manual_seed(seed))


def test_judged_weights_are_s_and_one_minus_s():
    torch.testing.assert_close(weights("judged"), torch.tensor([0.9, 0.5, 0.7, 0.8, 0.4, 0.7, 0.9]))


def test_mean_one_keeps_the_ratios_within_a_kind_and_takes_the_scale():
    found, judged = weights("mean_one"), weights("judged")
    for kind in (POSITIVE & ACTS, ~POSITIVE & ACTS):
        assert found[kind].mean().item() == pytest.approx(1)
        torch.testing.assert_close(found[kind] / found[kind][0], judged[kind] / judged[kind][0])


def test_mean_one_of_weights_that_are_all_zero_is_one():
    found = weights("mean_one", quality=torch.where(POSITIVE, 0.0, 1.0))
    torch.testing.assert_close(found[ACTS], torch.ones(6))


def test_shuffled_weights_are_the_judged_ones_of_the_kind_in_an_order_that_the_seed_draws():
    judged, orders = weights("judged"), set()
    for seed in range(20):
        found = weights("shuffled", seed)
        for kind in (POSITIVE & ACTS, ~POSITIVE & ACTS):
            torch.testing.assert_close(found[kind].sort().values, judged[kind].sort().values)
        assert found[-1] == judged[-1]
        orders.add(tuple(found.tolist()))
        assert torch.equal(found, weights("shuffled", seed))
    assert len(orders) > 5


def test_mean_weights_by_source_and_the_beta_they_make_are_counted_over_steps():
    weighed = Weighed(torch.device("cpu"))
    played = torch.tensor([False, False, False, False, False, True, False])
    first = weighed(weights("judged"), POSITIVE, played, 0.2)
    assert first["weight/teacher"].item() == pytest.approx((0.8 + 0.4 + 0.9) / 3)
    assert first["weight/selfplay"].item() == pytest.approx(0.7)
    assert first["weight/effective_beta"].item() == pytest.approx(0.2 * 0.7 / 0.7)
    second = weighed(torch.tensor([0.1, 1.0]), torch.tensor([True, False]), torch.tensor([False, False]), 0.2)
    assert math.isnan(second["weight/selfplay"])
    total = weighed.figures(0.2)
    assert total["weight/positive"] == pytest.approx((2.1 + 0.1) / 4)
    assert total["weight/negative"] == pytest.approx((2.8 + 1.0) / 5)
    assert total["weight/effective_beta"] == pytest.approx(0.2 * (3.8 / 5) / (2.2 / 4))


def test_before_the_first_step_nothing_is_said_of_weights():
    assert Weighed(torch.device("cpu")).figures(0.2) == {}
