import math

import pytest
import torch
from small import arithmetic_questions, lengths, small_judge

from qcrd.errors import Diverged
from qcrd.student.discriminator import within_question_auc
from qcrd.student.judged import judged
from qcrd.student.model import load_tokenizer
from qcrd.types import RationaleSet


def seen_by(judge_sets, questions):
    return judged(load_tokenizer(lengths()), [q.text for q in questions], judge_sets, lengths())


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
    judge = small_judge(pretrain_steps=60, lr=1e-2)
    return judge, judge.pretrain(learnable)


def scores(judge, questions):
    rows = [(i, q.text, r) for i, q in enumerate(questions) for r in (*q.positives, *q.negatives)]
    positive = [kind for q in questions for kind in [True] * len(q.positives) + [False] * len(q.negatives)]
    return judge.quality(rows), torch.tensor(positive), torch.tensor([i for i, *_ in rows])


def test_pretraining_ranks_the_rationales_of_a_question_rightly(trained, learnable):
    judge, figures = trained
    before, positive, question = scores(small_judge(), learnable)
    after, _, _ = scores(judge, learnable)
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
    judge = small_judge(update_steps=2)
    calls = []
    judge.model.register_forward_hook(lambda *_: calls.append(1))
    row = (0, learnable[0].text, learnable[0].positives[0])
    first, again = judge.quality([row, row]), judge.quality([row])
    assert len(calls) == 1
    assert first.tolist() == [*again.tolist(), *again.tolist()]
    judge.update(learnable, 0)
    calls.clear()
    assert judge.quality([row]).tolist() != again.tolist()
    assert len(calls) == 1


def test_the_learning_rate_of_the_updates_decays_with_the_iteration(learnable):
    judge = small_judge(update_steps=1, lr=0.01, decay=0.5)
    for iteration, rate in ((0, 0.01), (1, 0.005), (3, 0.00125)):
        judge.update(learnable, iteration)
        assert judge.optimizer.param_groups[0]["lr"] == pytest.approx(rate)


def test_state_goes_round_and_training_goes_on_as_if_never_stopped(learnable):
    judge = small_judge(update_steps=3)
    judge.update(learnable, 0)
    other = small_judge(seed=0, update_steps=3)
    other.load_state({name: tensor.clone() for name, tensor in judge.state().items()})
    for one in (judge, other):
        one.update(learnable, 1)
    assert judge.state().keys() == other.state().keys()
    assert all(torch.equal(judge.state()[name], other.state()[name]) for name in judge.state())


def test_nothing_to_learn_from_changes_nothing():
    judge = small_judge(update_steps=3)
    before = judge.state()
    assert judge.update([], 0) == {}
    assert all(torch.equal(before[name], tensor) for name, tensor in judge.state().items())


def test_auc_counts_pairs_of_the_same_question_alone():
    score = torch.tensor([1.0, 0.0, 5.0, 5.0, 9.0])
    positive = torch.tensor([True, False, True, False, False])
    assert within_question_auc(score, positive, torch.tensor([0, 0, 1, 1, 2])) == 0.75  # one right, one tie
    assert math.isnan(within_question_auc(score[:1], positive[:1], torch.tensor([0])))


def test_a_judge_whose_loss_is_no_number_says_so_with_what_to_lower(learnable):
    judge = small_judge(pretrain_steps=60)
    with torch.no_grad():
        judge.model.out.bias += float("nan")
    with pytest.raises(
        Diverged, match=r"discriminator's loss \(pretrain\) is not finite at step 1; lower dis"
    ):
        judge.pretrain(learnable)
