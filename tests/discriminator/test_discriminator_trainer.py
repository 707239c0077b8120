import math
from dataclasses import replace

import pytest
import torch
from small import arithmetic_questions, lengths, small_discriminator

from qcrd.discriminator.model import within_question_auc
from qcrd.discriminator.questions import SOURCES, Rows, chunks, discriminator_questions
from qcrd.errors import Diverged
from qcrd.student.tokenizer import load_tokenizer
from qcrd.types import RationaleSet


def seen_by(discriminator_sets, questions):
    return discriminator_questions(
        load_tokenizer(lengths()), [q.text for q in questions], discriminator_sets, lengths()
    )


@pytest.fixture(scope="module")
def learnable():
    """Right rationales begin with `so`, wrong ones do not."""
    questions = arithmetic_questions(24)
    sets = [
        RationaleSet(
            q.id,
            q.label,
            (f"so {q.rationale}", f"so then {q.rationale}"),
            (q.rationale, f"more {q.rationale}"),
        )
        for q in questions
    ]
    return seen_by(sets, questions)


@pytest.fixture(scope="module")
def trained(learnable):
    discriminator = small_discriminator(pretrain_steps=60, lr=1e-2)
    return discriminator, discriminator.pretrain(lambda _: learnable)


def scores(discriminator, questions):
    rows = [(i, q.text, r) for i, q in enumerate(questions) for r in (*q.positives, *q.negatives)]
    positive = [kind for q in questions for kind in [True] * len(q.positives) + [False] * len(q.negatives)]
    return discriminator.quality(rows), torch.tensor(positive), torch.tensor([i for i, *_ in rows])


def test_pretraining_ranks_the_rationales_of_a_question_rightly(trained, learnable):
    discriminator, figures = trained
    before, positive, question = scores(small_discriminator(), learnable)
    after, _, _ = scores(discriminator, learnable)
    assert figures["auc"] > 0.9
    assert within_question_auc(after, positive, question) > 0.9
    assert within_question_auc(before, positive, question) < 0.8


def test_the_centre_keeps_good_rationales_above_bad_ones_and_both_in_range(trained, learnable):
    after, positive, _ = scores(trained[0], learnable)
    assert after[positive].mean() > 0.5 > after[~positive].mean()
    assert after.min() >= 0
    assert after.max() <= 1


def test_a_shift_of_all_scores_changes_no_weight(trained, learnable):
    model = trained[0].model
    before = model.quality([learnable[0].text + learnable[0].positives[0]])
    with torch.no_grad():
        model.out.bias += 3.0
        model.center += 3.0
    torch.testing.assert_close(model.quality([learnable[0].text + learnable[0].positives[0]]), before)


def test_scores_do_not_depend_on_what_they_are_asked_with(trained, learnable):
    rows = [q.text + r for q in learnable for r in q.positives]
    together = trained[0].model.quality(rows, batch=5)
    alone = torch.cat([trained[0].model.quality([row]) for row in rows])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_scores_are_kept_until_an_update_and_asked_afresh_after_it(learnable):
    discriminator = small_discriminator(update_steps=2)
    calls = []
    discriminator.model.register_forward_hook(lambda *_: calls.append(1))
    row = (0, learnable[0].text, learnable[0].positives[0])
    first, again = discriminator.quality([row, row]), discriminator.quality([row])
    assert len(calls) == 1
    assert first.tolist() == [*again.tolist(), *again.tolist()]
    discriminator.update(learnable, 0)
    calls.clear()
    assert discriminator.quality([row]).tolist() != again.tolist()
    assert len(calls) == 1


def test_the_learning_rate_of_the_updates_decays_with_the_iteration(learnable):
    discriminator = small_discriminator(update_steps=1, lr=0.01, decay=0.5)
    for iteration, rate in ((0, 0.01), (1, 0.005), (3, 0.00125)):
        discriminator.update(learnable, iteration)
        assert discriminator.optimizer.param_groups[0]["lr"] == pytest.approx(rate)


def test_updates_end_where_their_rate_has_decayed_below_the_bound_and_scores_are_kept(learnable):
    discriminator = small_discriminator(update_steps=1, decay=0.5, min_factor=0.25)
    assert [bool(discriminator.update(learnable, n)) for n in (0, 1, 2, 3, 9)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert discriminator.updates == 3
    before, row = discriminator.state(), (0, learnable[0].text, learnable[0].positives[0])
    discriminator.quality([row])
    calls = []
    discriminator.model.register_forward_hook(lambda *_: calls.append(1))
    discriminator.update(learnable, 4)
    discriminator.quality([row])
    assert calls == []
    assert all(torch.equal(before[name], tensor) for name, tensor in discriminator.state().items())


@pytest.mark.parametrize("form", ["bounded", "bce"])
@pytest.mark.parametrize("most", [1, 150, 400])
def test_the_gradient_of_a_step_does_not_depend_on_how_it_is_cut_into_chunks(learnable, most, form):
    whole, cut = small_discriminator(loss=form), small_discriminator(max_tokens=most, loss=form)
    batch = [replace(q, positives=q.positives[: 1 + n % 2]) for n, q in enumerate(learnable[:7])]
    assert sum(q.tokens for q in batch) > 400  # so each cuts it somewhere
    calls = []
    cut.model.register_forward_hook(lambda *_: calls.append(1))
    one, other = whole.backward(batch, 0.5), cut.backward(batch, 0.5)
    assert len(calls) == len(list(chunks(batch, most))) > 1
    assert other[0] == pytest.approx(one[0], abs=1e-6)
    torch.testing.assert_close(other[1], one[1], rtol=0, atol=1e-6)
    for a, b in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=0, atol=1e-6)


def test_what_is_held_out_is_never_trained_on_and_reported_apart_by_source(learnable):
    played = [learnable[1].negatives[0]]
    held = [replace(q, held_out=True, played=played) for q in learnable[:4]]
    seen = []
    discriminator = small_discriminator(held=[replace(q, played=()) for q in held], update_steps=3)
    discriminator.model.register_forward_pre_hook(
        lambda model, args: seen.extend(args[0]) if model.training else None
    )
    figures = discriminator.update([*held, *learnable[4:]], 0)
    assert seen and not [row for row in seen if any(row[: len(q.text)] == q.text for q in held)]
    assert {"loss", "auc", "auc_teacher", "s_positive", "s_teacher"} <= figures.keys()
    assert {"auc_teacher_held_out", "auc_selfplay_held_out", "s_selfplay_held_out"} <= figures.keys()
    assert "auc_selfplay" not in figures  # only held-out questions had any

    rows = Rows.of(held, torch.device("cpu"))
    score, teacher = discriminator.model.score(rows.tokens), rows.source != SOURCES.index("selfplay")
    wanted = within_question_auc(score[teacher], rows.positive[teacher], rows.question[teacher])
    assert figures["auc_teacher_held_out"] == pytest.approx(wanted)
    assert figures["s_positive_held_out"] == pytest.approx(
        discriminator.model.weigh(score)[rows.positive].mean().item()
    )


def test_calibrated_on_held_out_questions_the_kinds_lie_on_both_sides_of_the_middle(learnable):
    easy = [replace(q, augmented=[q.text]) for q in learnable[:-6]]  # another kind of negative, in training
    held = [replace(q, held_out=True) for q in learnable[-6:]]
    figures = small_discriminator(held=held, pretrain_steps=20, lr=1e-2).pretrain(lambda _: easy)
    assert figures["s_positive_held_out"] > 0.5 > figures["s_teacher_held_out"]
    assert figures["s_positive_held_out"] + figures["s_teacher_held_out"] == pytest.approx(1, abs=0.02)


def test_state_goes_round_and_training_goes_on_as_if_never_stopped(learnable):
    discriminator = small_discriminator(update_steps=3)
    discriminator.update(learnable, 0)
    other = small_discriminator(seed=0, update_steps=3)
    other.load_state({name: tensor.clone() for name, tensor in discriminator.state().items()})
    for one in (discriminator, other):
        one.update(learnable, 1)
    assert discriminator.state().keys() == other.state().keys()
    assert all(
        torch.equal(discriminator.state()[name], other.state()[name]) for name in discriminator.state()
    )
    assert (other.updates, other.figures) == (2, discriminator.figures)


def test_nothing_to_learn_from_changes_nothing():
    discriminator = small_discriminator(update_steps=3)
    before = discriminator.state()
    assert discriminator.update([], 0) == {}
    assert all(torch.equal(before[name], tensor) for name, tensor in discriminator.state().items())


def test_auc_counts_pairs_of_the_same_question_alone():
    score = torch.tensor([1.0, 0.0, 5.0, 5.0, 9.0])
    positive = torch.tensor([True, False, True, False, False])
    assert within_question_auc(score, positive, torch.tensor([0, 0, 1, 1, 2])) == 0.75  # one right, one tie
    assert math.isnan(within_question_auc(score[:1], positive[:1], torch.tensor([0])))


def test_a_judge_whose_loss_is_no_number_says_so_with_what_to_lower(learnable):
    discriminator = small_discriminator(pretrain_steps=60)
    with torch.no_grad():
        discriminator.model.out.bias += float("nan")
    with pytest.raises(
        Diverged, match=r"discriminator's loss \(pretrain\) is not finite at step 1; lower dis"
    ):
        discriminator.pretrain(lambda _: learnable)
