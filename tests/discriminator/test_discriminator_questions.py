from dataclasses import replace

import pytest
from small import arithmetic_questions, discriminator_settings, lengths, two_sided

from qcrd.discriminator.questions import (
    MOST_HELD_OUT,
    augmentation,
    chunks,
    discriminator_questions,
    held_out,
    with_augmented,
)
from qcrd.hub.token_ids import tokenise
from qcrd.student.tokenizer import load_tokenizer
from qcrd.types import RationaleSet


def made(sets, epoch=0, seed=0, **settings):
    return augmentation(sets, discriminator_settings(**settings), seed)(epoch)


def test_augmented_negatives_are_wrong_and_the_same_for_a_seed_and_an_epoch():
    sets = two_sided(arithmetic_questions(6))
    found = made(sets, augment=3)
    assert found == made(sets, augment=3)
    assert found != made(sets, seed=1, augment=3)
    assert found != made(sets, epoch=1, augment=3)
    for group, texts in zip(sets, found, strict=True):
        assert 0 < len(texts) <= 3 * len(set(group.positives))
        assert not set(texts) & set(group.positives)
    assert made(sets, augment=0) == [()] * 6


def test_questions_without_positives_leave_the_augmentation_of_the_others_alone():
    sets = two_sided(arithmetic_questions(6))
    lonely = RationaleSet("lonely", None, (), ("words that nobody else uses",))
    assert made([*sets, lonely])[:-1] == made(sets)


def test_augmented_negatives_join_their_questions_but_for_those_that_are_a_positive_in_tokens():
    questions, tokenizer = arithmetic_questions(6), load_tokenizer(lengths())
    sets = two_sided(questions)
    plain = discriminator_questions(tokenizer, [q.text for q in questions], sets, lengths())
    texts = [(f"{group.positives[0]} and more", group.negatives[0]) for group in sets]
    found = with_augmented(tokenizer, plain, texts, lengths(max_rationale=64))
    assert [len(q.augmented) for q in found] == [2] * 6
    wrong = tokenise(tokenizer, [group.negatives[0] for group in sets], 64)
    assert [q.augmented[1] for q in found] == wrong
    assert [replace(q, augmented=()) for q in found] == plain
    cut = with_augmented(tokenizer, plain, texts, lengths())  # behind the cut alone do the first ones differ
    longer = [len(tokenizer(group.positives[0])["input_ids"]) > 15 for group in sets]
    assert any(longer)
    assert [len(q.augmented) for q in cut] == [1 if long else 2 for long in longer]


def two_kinds(n, lonely=0):
    both = [RationaleSet(f"q{i}", "1", ("a",), ("b",)) for i in range(n)]
    return both + [RationaleSet(f"alone{i}", "1", ("a",), ()) for i in range(lonely)]


@pytest.mark.parametrize(
    "questions, share, count",
    [(50, 0.2, 10), (50, 0.0, 0), (2, 0.01, 1), (1, 0.5, 0), (3, 0.99, 2), (9000, 0.2, MOST_HELD_OUT)],
)
def test_a_share_of_the_questions_of_both_kinds_is_held_out_and_some_are_left(questions, share, count):
    sets = two_kinds(questions, lonely=3)
    found = held_out(sets, share, 0)
    assert len(found) == count
    assert all(sets[n].negatives for n in found)


def test_which_questions_are_held_out_depends_on_seed_and_ids_and_not_on_their_order():
    sets = two_kinds(40)
    names = {sets[n].question_id for n in held_out(sets, 0.3, 0)}
    assert names == {sets[::-1][n].question_id for n in held_out(sets[::-1], 0.3, 0)}
    assert names != {sets[n].question_id for n in held_out(sets, 0.3, 1)}


def test_chunks_hold_whole_questions_in_order_and_one_beyond_the_bound_stands_alone():
    questions = arithmetic_questions(6)
    seen = discriminator_questions(
        load_tokenizer(lengths()), [q.text for q in questions], two_sided(questions), lengths()
    )
    sizes = [q.tokens for q in seen]
    assert sizes[0] == sum(len(seen[0].text) + len(r) for r in (*seen[0].positives, *seen[0].negatives))
    for most in (1, max(sizes), sum(sizes[:2]), sum(sizes)):
        runs = list(chunks(seen, most))
        assert [q for run in runs for q in run] == seen
        assert all(len(run) == 1 or sum(q.tokens for q in run) <= most for run in runs)
    assert [len(run) for run in chunks(seen, 1)] == [1] * 6
    assert len(list(chunks(seen, sum(sizes)))) == 1
