import pytest
from pydantic import ValidationError

from qcrd.config import (
    Api,
    Cell,
    Discriminator,
    Grid,
    Rationales,
    Selection,
    SelfPlay,
    Student,
    Teacher,
    Training,
    merged,
)
from qcrd.config.presets import PRESETS
from qcrd.config.revisions import REVISIONS
from qcrd.grid.plan.problems import validation_message


def test_the_defaults_are_the_papers():
    cell = Cell()
    assert (cell.training.alpha1, cell.training.alpha2, cell.discriminator.alpha3) == (0.5, 0.5, 0.5)
    assert (cell.contrastive.beta, cell.contrastive.delta, cell.contrastive.scheme) == (0.2, 4.0, "minmax")
    assert (cell.rationales.m, cell.selfplay.k, cell.selfplay.tau, cell.selfplay.lag) == (5, 1, 1.5, 5)
    assert (cell.training.batch, cell.discriminator.decay) == (32, 0.9)


@pytest.mark.parametrize(
    "settings",
    [
        {"contrastive": {"beta": -0.1}},
        {"contrastive": {"beta": float("nan")}},
        {"contrastive": {"delta": float("inf")}},
        {"contrastive": {"beta": "0.2"}},
        {"contrastive": {"betta": 0.2}},
        {"training": {"steps": True}},
        {"training": {"steps": 10.0}},
        {"selfplay": {"enabled": 1}},
        {"seed": -1},
        {"student": {"precision": "auto"}},  # two results under one id
    ],
)
def test_impossible_values_other_types_and_unknown_keys_are_refused(settings):
    with pytest.raises(ValidationError):
        Cell.model_validate(settings)


def test_a_whole_number_serves_where_a_number_is_wanted():
    assert Cell.model_validate({"contrastive": {"delta": 4}}) == Cell()


def test_self_play_that_is_off_draws_nothing():
    assert SelfPlay(enabled=False).k == 0
    with pytest.raises(ValidationError, match=r"selfplay\.k is 2 but selfplay\.enabled is false"):
        SelfPlay(enabled=False, k=2)


def test_gold_labels_cannot_slip_in_where_labels_are_the_teachers():
    with pytest.raises(ValidationError, match="allowed: majority"):
        Rationales(labels="teacher", denoise="gold")


@pytest.mark.parametrize(
    ("labels", "denoise", "chooses"),
    [
        ("gold", None, "gold"),
        ("gold", "majority", "majority"),
        ("teacher", None, "majority"),
        ("teacher", "majority", "majority"),
    ],
)
def test_denoising_follows_the_labels_unless_told_otherwise(labels, denoise, chooses):
    assert Rationales(labels=labels, denoise=denoise).chooses == chooses


def test_warm_up_ends_before_the_training():
    with pytest.raises(ValidationError, match=r"training\.warmup is 10 but training\.steps is 10"):
        Training(steps=10, warmup=10)


def test_a_cell_survives_its_dump():
    cell = Cell(seed=3, training=Training(steps=7))
    assert Cell.model_validate(cell.model_dump()) == cell


@pytest.mark.parametrize("seeds", [1, [0, 7]])
def test_seeds_are_a_count_or_a_list(seeds):
    assert Grid(name="a", seeds=seeds).seeds == seeds


def test_a_key_itself_is_refused_where_its_variable_belongs_and_not_repeated():
    assert Api(key="MY_KEY_2").key == "MY_KEY_2"
    for value in ("sk-proj-hunter2", "Bearer abc", ""):
        with pytest.raises(ValidationError) as refusal:
            Api(key=value)
        (problem,) = refusal.value.errors()
        assert "name of an environment variable" in validation_message(problem, Api)
        assert not value or value not in validation_message(problem, Api)


def test_a_model_whose_main_branch_does_not_load_has_a_known_revision_and_a_named_one_stays():
    known = REVISIONS["google/t5-v1_1-base"]
    for section, model in (
        (Student, "checkpoint"),
        (Discriminator, "checkpoint"),
        (Selection, "measured_by"),
    ):
        assert section(**{model: "google/t5-v1_1-base"}).revision == known
        assert section(**{model: "google/t5-v1_1-base", "revision": "main"}).revision == "main"
        assert section(**{model: "/models/t5-v1_1-base"}).revision is None
    assert Teacher(model="Qwen/Qwen2.5-7B-Instruct").revision == REVISIONS["Qwen/Qwen2.5-7B-Instruct"]
    assert Teacher(engine="openai", model="Qwen/Qwen2.5-7B-Instruct").revision is None, "a server's own name"
    cell = Cell.model_validate(PRESETS["paper"])
    assert all(each.revision for each in (cell.student, cell.discriminator, cell.teacher))
    assert Cell.model_validate(cell.model_dump(mode="json")) == cell
    other = Cell.model_validate(merged(PRESETS["paper"], {"student": {"checkpoint": "google/flan-t5-base"}}))
    assert other.student.revision is None


def test_settings_that_are_lists_come_back_from_a_records_json():
    cell = Cell.model_validate({"task": {"cues": ["one"], "normalisers": ["two", "three"]}})
    assert cell.task.cues == ("one",) and Cell.model_validate(cell.model_dump(mode="json")) == cell
    for wrong in ("one", [1]):
        with pytest.raises(ValidationError):
            Cell.model_validate({"task": {"cues": wrong}})
