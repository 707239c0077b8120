import logging

import pytest
from daily import examples
from hypothesis import given
from hypothesis import strategies as st

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks.dealing import Sizes, deal
from qcrd.types import Question

PAPER = Sizes(train=30, validation=10, test=20)


def questions(split, n):
    return [Question(f"{split}-{i}", f"{split} {i}", "1") for i in range(n)]


def dealt(validation=None, **settings):
    return deal("toy", PAPER, config.Task(**settings), questions("a", 40), questions("b", 20), validation)


@examples(50)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 20), st.integers(0, 3), st.booleans())
def test_smaller_sets_are_beginnings_of_larger_ones_and_sets_never_overlap(less, more, test, seed, own):
    less, more = sorted((less, more))
    validation = questions("c", 10) if own else None
    small = dealt(validation, train=less, test=test, seed=seed)
    large = dealt(validation, train=more, seed=seed)
    assert small.train == large.train[:less]
    assert small.test == large.test[:test]
    assert small.validation == large.validation
    ids = [q.id for part in (large.train, large.validation, large.test) for q in part]
    assert len(ids) == len(set(ids))


def test_sizes_are_the_papers_unless_the_configuration_says_otherwise():
    for validation in (None, questions("c", 10)):
        splits = dealt(validation)
        assert len(splits.validation) == 10 and len(splits.test) == 20
    assert len(dealt().train) == 30
    assert len(dealt(train=3).train) == 3


def test_the_seed_deals_training_and_held_out_questions_alone():
    first, second = dealt(seed=0), dealt(seed=1)
    assert set(first.validation) != set(second.validation)
    assert set(first.train + first.validation) == set(second.train + second.validation)
    assert first.test == second.test
    own = questions("c", 10)
    assert dealt(own, seed=0).validation == dealt(own, seed=1).validation == tuple(own)


def test_more_than_there_is_is_refused_with_the_tasks_own_sizes():
    with pytest.raises(DataError, match=r"task.test: 21 questions.*toy has 20 left.*\(30, 10 and 20\)"):
        dealt(test=21)


def test_a_part_of_the_data_set_is_said_where_all_of_it_was_asked_for(caplog):
    with caplog.at_level(logging.WARNING):
        deal("toy", PAPER, config.Task(), questions("a", 9), questions("b", 20), questions("c", 10))
    assert "toy: 9 train questions, of the paper's 30" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        deal("toy", PAPER, config.Task(train=9), questions("a", 9), questions("b", 20), questions("c", 10))
    assert not caplog.text
