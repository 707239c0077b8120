"""What the daily loop (`pytest -m "not slow"`) runs of tests that have many cases: some of each kind."""

import itertools
from collections.abc import Collection, Iterable

import pytest
from hypothesis import settings

SHARE = 0.25  # of the examples of a property
loop = False  # whether this is the daily loop; set by conftest.py before tests are imported


def examples(count: int, **more) -> settings:
    """Settings of a property: so many examples when all tests run, a part of them in the daily loop."""
    count = max(5, round(SHARE * count)) if loop else count
    return settings(deadline=None, derandomize=True, max_examples=count, **more)


def some(values: Collection, daily: Collection) -> list:
    """Parameters of a test, of which those that are not in `daily` are slow; a tuple is several."""
    marks = [[] if value in daily else pytest.mark.slow for value in values]
    cases = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*case, marks=mark) for case, mark in zip(cases, marks, strict=True)]


def product(*axes: Iterable) -> list:
    """All combinations, as parameters of a test; those of the daily loop have each value at least once."""
    axes = [list(axis) for axis in axes]
    daily = {tuple(axis[i % len(axis)] for axis in axes) for i in range(max(map(len, axes)))}
    return some(list(itertools.product(*axes)), daily)
