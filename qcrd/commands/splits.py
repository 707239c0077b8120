"""The splits of a data set as values of an option that can be repeated."""

from enum import StrEnum


class SplitName(StrEnum):
    """Splits of a data set."""

    train = "train"
    validation = "validation"
    test = "test"
