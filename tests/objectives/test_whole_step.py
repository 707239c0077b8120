"""One training step of each method against the naive computation, gradients of every weight included."""

import pytest
import torch
from daily import product
from small import arithmetic_questions, lengths, objective_of, small_discriminator, small_student
from torch.nn.functional import cross_entropy

from qcrd import config
from qcrd.losses import SCHEMES
from qcrd.losses.contrastive import Candidates, choose
from qcrd.rationales.dual import key_weights
from qcrd.seeds import derive
from qcrd.student.selfplay import Snapshots
from qcrd.student.t5.replay import Arithmetic, Recorder, Replay
from qcrd.types import RationaleSet

MIDDLE = 5.65  # nats per token: some negatives of the untrained student lie within, some beyond
ALPHA1, ALPHA2, BETA = 0.4, 0.6, 0.7
BATCH = [3, 0, 1, 2, 4]


def questions_and_sets():
    questions = arithmetic_questions(5)
    a, b, c, d, e = (q.rationale for q in questions)
    sets = [
        RationaleSet("0", questions[0].label, (a, a, f"so {a}"), (b, b, c)),  # doubles on both sides
        RationaleSet("1", questions[1].label, (), (a, d)),  # no positive
        RationaleSet("2", questions[2].label, (c, e), ()),  # no negative of the teacher's
        RationaleSet("3", questions[3].label, (d, a, b), (d, e)),  # one text on both sides
        RationaleSet("4", questions[4].label, (e,), (a,)),  # nothing to choose
    ]
    return questions, sets


def double_student(seed=3):
    return small_student(seed).double()


def separate(student, source, target, weights=None):
    """l of one target after one input, by the model's own forward pass."""
    decoder = torch.tensor([[student.start_id, *target[:-1]]])
    logits = student.model(input_ids=torch.tensor([source]), decoder_input_ids=decoder).logits[0]
    nats = cross_entropy(logits.double(), torch.tensor(target), reduction="none")
    return nats.mean() if weights is None else nats @ torch.tensor(weights).double() / sum(weights)


def naive_step(objective, student, batch, step, scheme, discriminator, negative, delta):
    """Encoder and decoder run once for every rationale, all with gradient, then the equations."""
    predict = torch.stack([separate(student, objective.predict[i], objective.labels[i]) for i in batch])
    contrasted = [i for i in batch if objective.pool.positives[i]]
    total = torch.zeros((), dtype=torch.float64)
    drawn = draws(objective, contrasted, step) if scheme == "sampling" else None
    for i in contrasted:
        sides = []
        positives = objective.pool.positives[i]
        negatives = objective.pool.negatives[i] + objective.played[i]
        weights = iter(key_weights(positives, negatives, objective.settings.key_weight))
        for positive, rows in ((True, positives), (False, negatives)):
            loss = [separate(student, objective.explain[i], r, next(weights)) for r in rows]
            value = loss if positive else [torch.relu(delta - v) for v in loss]
            s = [quality(discriminator, objective, i, r) for r in rows]
            weight = s if positive or discriminator is None else [1 - v for v in s]
            sides.append(one_side(scheme, positive, value, weight, drawn and drawn.get((i, positive))))
        total = total + sides[0] + (BETA if negative == "hinge" else -BETA) * sides[1]
    return ALPHA1 * predict.mean() + ALPHA2 * total / max(len(contrasted), 1)


def quality(discriminator, objective, i, rationale):
    if discriminator is None:
        return 1.0
    score = discriminator.model.eval()([objective.discriminator_questions[i].text + rationale]).double()
    return torch.sigmoid(score - discriminator.model.center)[0].item()


def one_side(scheme, positive, value, weight, place):
    if not value:
        return 0.0
    if scheme == "mean":
        return sum(value) / len(value)
    if scheme == "wmean":
        return sum(w * v for w, v in zip(weight, value, strict=True)) / len(value)
    if scheme in ("minmax", "maxmin"):
        best = min if positive == (scheme == "minmax") else max
        place = best(range(len(value)), key=lambda n: float(value[n].detach()))
    return weight[place] * value[place]


def draws(objective, contrasted, step):
    """(question, side) -> which rationale the sampling scheme draws at this step."""
    question, positive, place = [], [], []
    for number, i in enumerate(contrasted):
        sides = (objective.pool.positives[i], objective.pool.negatives[i] + objective.played[i])
        for kind, rows in zip((True, False), sides, strict=True):
            question += [number] * len(rows)
            positive += [kind] * len(rows)
            place += range(len(rows))
    candidates = Candidates(torch.tensor(question), torch.tensor(positive), len(contrasted))
    generator = torch.Generator().manual_seed(derive(objective.seed, "scheme", step))
    rows = choose(candidates, None, SCHEMES["sampling"], MIDDLE, generator).row.tolist()
    return {(contrasted[question[r]], positive[r]): place[r] for r in rows}


def begin(objective, student):
    snapshots = Snapshots(objective.lag)
    snapshots.take(0, student)
    return objective.begin_iteration(0, snapshots, range(len(objective.labels)))


def assert_same_step(student, fast, slow):
    torch.testing.assert_close(fast.double(), slow, rtol=1e-5, atol=1e-6)
    parameters = dict(student.named_parameters())
    gradients = [torch.autograd.grad(v, list(parameters.values()), allow_unused=True) for v in (fast, slow)]
    for name, a, b in zip(parameters, *gradients, strict=True):
        assert (a is None) == (b is None), name
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize(
    "scheme, settings",
    product(SCHEMES, [(True, 2, "hinge", 1.0), (False, 0, "printed", 1.0), (False, 1, "hinge", 5.0)]),
)
def test_qcrd_equals_the_naive_computation(scheme, settings):
    weighs, k, negative, key = settings
    questions, sets = questions_and_sets()
    student = double_student()
    discriminator = small_discriminator(update_steps=0, student=student) if weighs else None

    def objective_with(delta):
        made = objective_of(
            "qcrd",
            student,
            questions,
            sets,
            discriminator,
            scheme,
            config.SelfPlay(k=k, lag=2),
            beta=BETA,
            delta=delta,
            negative=negative,
            key_weight=key,
        )
        begin(made, student)
        return made

    # The mean of the chosen negatives' l as the margin leaves hinges of both kinds.
    delta = objective_with(100.0).loss(BATCH, 7)["negative"].item()
    objective = objective_with(delta)
    assert all(len(group) <= k for group in objective.played)
    assert (sum(map(len, objective.played)) > 0) == (k > 0)
    step = 7
    parts = objective.loss(BATCH, step)
    if scheme != "sampling":  # which draws two
        assert 0 < parts["negatives/active"] < 1, "the case must have hinges of both kinds"
    fast = parts["loss"]
    assert_same_step(
        student, fast, naive_step(objective, student, BATCH, step, scheme, discriminator, negative, delta)
    )


def step_under(form, scheme="minmax"):
    questions, sets = questions_and_sets()
    discriminator, student = small_discriminator(update_steps=0, weights=form), double_student()
    for q in discriminator_scores(discriminator, questions, sets):
        assert 0 < q < 1
    made = objective_of("qcrd", student, questions, sets, discriminator, scheme, beta=BETA, delta=100.0)
    begin(made, student)
    return made, made.loss(BATCH, 7)


def discriminator_scores(discriminator, questions, sets):
    objective = objective_of("qcrd", double_student(), questions, sets, discriminator)
    return [quality(discriminator, objective, i, r) for i in BATCH for r in objective.pool.positives[i]]


@pytest.mark.parametrize("form", ["mean_one", "shuffled"])
def test_the_controls_of_the_weights_change_a_step_by_the_weights_alone(form):
    judged, plain = step_under("judged")
    control, found = step_under(form)
    assert found["predict"] == plain["predict"]
    assert found["contrastive"] != plain["contrastive"]
    if form == "mean_one":
        assert found["weight/positive"].item() == pytest.approx(1)
        assert found["weight/teacher"].item() == pytest.approx(1)
        assert control.figures()["weight/effective_beta"] == pytest.approx(BETA)
    else:
        assert found["weight/positive"].item() == pytest.approx(plain["weight/positive"].item())
        assert found["weight/negative"].item() == pytest.approx(plain["weight/negative"].item())
    mean = plain["weight/negative"] / plain["weight/positive"]
    assert judged.figures()["weight/effective_beta"] == pytest.approx(BETA * mean.item())


def test_only_chosen_rationales_are_differentiated_and_doubles_are_computed_once():
    questions, sets = questions_and_sets()
    rows = {}
    for scheme in ("minmax", "mean"):
        student = double_student()
        objective = objective_of("qcrd", student, questions, sets, scheme=scheme, delta=100.0)
        count, decode = rows.setdefault(scheme, {}), student.decoder.decode

        def add(ids, layout, cross, memory, way, count=count, decode=decode):
            count[type(way)] = sum(len(part.rows) for part in layout.rectangles)
            return decode(ids, layout, cross, memory, way)

        student.decoder.decode = add
        objective.loss(BATCH, 1)
    # Five labels, four positives, three negatives; the text on both sides of question 3 may be one of each.
    assert rows["minmax"][Replay] in (5 + 6, 5 + 7)
    # Five labels and all distinct rationales of questions 0, 2, 3 and 4, each once.
    everything = 5 + 4 + 2 + 4 + 2
    assert rows["minmax"][Recorder] == everything
    assert rows["mean"] == {Arithmetic: everything}


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_what_is_differentiated_after_scoring_has_the_values_and_gradients_of_one_pass(
    keep, dropout, monkeypatch
):
    monkeypatch.setattr("qcrd.student.t5.student.RECORDED", 1e9 if keep else 0)
    questions, _ = questions_and_sets()
    student = small_student(3, dropout=dropout).double().train()
    asked = student.completions([f"explain: {q.text}" for q in questions], 64)
    targets = student.completions([q.rationale for q in questions] * 2, 20)
    source, chosen = [*range(5), *range(5)], [7, 0, 4, 2]
    torch.manual_seed(5)
    memory = student.read(asked)
    scored = student.score(memory, source, targets)
    again = scored.differentiable(chosen)
    torch.testing.assert_close(again, scored.values[chosen], rtol=1e-10, atol=1e-10)
    # The same masks in a pass with gradient over all: the recorder is one whose every output has one.
    torch.manual_seed(5)
    memory = student.read(asked)
    whole = student._cross_entropy(memory, student._targets(source, targets), Recorder(dropout, keep=False))
    torch.testing.assert_close(whole, scored.values, rtol=1e-10, atol=1e-10)
    assert_same_step(
        student,
        again @ torch.tensor([1.0, -2, 3, 4]).double(),
        whole[chosen] @ torch.tensor([1.0, -2, 3, 4]).double(),
    )


def test_a_batch_without_any_positive_has_its_label_loss_alone():
    questions, sets = questions_and_sets()
    student, discriminator = double_student(), small_discriminator(update_steps=0)
    objective = objective_of("qcrd", student, questions, sets, discriminator)
    parts = objective.loss([1], 1)
    label = separate(student, objective.predict[1], objective.labels[1])
    assert_same_step(student, parts["loss"], ALPHA1 * label)


def test_dss_equals_two_separate_passes():
    questions, sets = questions_and_sets()
    student = double_student()
    objective = objective_of("dss", student, questions, sets)
    predict = torch.stack([separate(student, objective.predict[i], objective.labels[i]) for i in BATCH])
    first = {i: student.completions([sets[i].positives[0]], 16)[0] for i in BATCH if sets[i].positives}
    explain = torch.stack([separate(student, objective.explain[i], r) for i, r in first.items()])
    slow = ALPHA1 * predict.mean() + ALPHA2 * explain.mean()
    assert_same_step(student, objective.loss(BATCH, 1)["loss"], slow)


@pytest.mark.parametrize("method", ["finetuning", "single_task"])
def test_methods_with_one_target_have_its_mean_likelihood(method):
    questions, sets = questions_and_sets()
    student, section = double_student(), lengths(max_rationale=30)
    objective = objective_of(method, student, questions, sets, section=section)
    targets = [s.label for s in sets]
    if method == "single_task":
        targets = [f"{s.positives[0] if s.positives else ''} The answer is {s.label}.".strip() for s in sets]
    tokens = student.completions(targets, 42)
    inputs = student.completions([f"predict: {q.text}" for q in questions], section.max_input)
    slow = torch.stack([separate(student, inputs[i], tokens[i]) for i in BATCH]).mean()
    assert_same_step(student, objective.loss(BATCH, 1)["loss"], slow)


def test_the_label_task_and_the_rationale_task_have_their_own_prefix():
    questions, sets = questions_and_sets()
    student = small_student()
    objective = objective_of("qcrd", student, questions, sets)
    assert student.text(objective.predict[0]).startswith("predict: ")
    assert student.text(objective.explain[0]) == student.text(objective.predict[0]).replace(
        "predict", "explain"
    )


@pytest.mark.parametrize("scheme, dropout", [("minmax", 0.0), ("minmax", 1e-9), ("mean", 0.0)])
@pytest.mark.parametrize("delta", [1.0, MIDDLE, 100.0])
def test_the_figures_of_the_negatives_are_of_all_that_were_chosen(scheme, dropout, delta):
    questions, sets = questions_and_sets()
    section = lengths(dropout=dropout)
    student = small_student(3, dropout=dropout)
    objective = objective_of("qcrd", student, questions, sets, scheme=scheme, section=section, delta=delta)
    parts = objective.loss(BATCH, 1)
    loss = {
        i: [separate(student, objective.explain[i], r).item() for r in objective.pool.negatives[i]]
        for i in (0, 3, 4)
    }
    if scheme == "minmax":  # where all are beyond the margin, the first of equals
        chosen = [max(group, key=lambda value: max(delta - value, 0)) for group in loss.values()]
    else:
        chosen = [value for group in loss.values() for value in group]
    assert parts["negative"].item() == pytest.approx(sum(chosen) / len(chosen), rel=1e-4)
    active = sum(value < delta for value in chosen) / len(chosen)
    assert parts["negatives/active"].item() == pytest.approx(active)
