import pytest

from qcrd.config import Cell
from qcrd.config.presets import PRESETS, resolve
from qcrd.errors import ConfigError


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_a_valid_cell(preset):
    Cell.model_validate(PRESETS[preset])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_leaves_the_papers_method_settings_alone(preset):
    cell = Cell.model_validate(PRESETS[preset])
    assert (cell.contrastive, cell.selfplay, cell.rationales.m) == (Cell().contrastive, Cell().selfplay, 5)


def test_only_the_papers_augmentation_is_in_its_preset():
    assert Cell.model_validate(PRESETS["paper"]).discriminator.augmentation == "words"


def test_embedded_needs_nothing_from_outside():
    cell = Cell.model_validate(PRESETS["embedded"])
    assert (cell.task.name, cell.task.source, cell.teacher.model) == ("arithmetic", None, "embedded")
    assert cell.student.checkpoint is cell.student.tokenizer is cell.discriminator.checkpoint is None


def test_a_step_of_the_embedded_discriminator_is_never_cut():
    cell = Cell.model_validate(PRESETS["embedded"])
    section, most = cell.discriminator, cell.rationales.m + cell.selfplay.k
    rows = most + cell.rationales.m * section.augment
    longest = cell.student.max_input + cell.student.max_rationale
    assert section.batch * rows * longest <= section.max_tokens


@pytest.mark.parametrize(
    ("preset", "gpus", "resolved"),
    [
        ("auto", 0, "embedded"),
        ("auto", 2, "paper"),
        ("embedded", 8, "embedded"),
        ("paper", 0, "paper"),
    ],
)
def test_auto_is_paper_where_there_are_gpus_and_a_named_preset_stays(preset, gpus, resolved):
    assert resolve(preset, gpus) == resolved


def test_an_unknown_preset_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match="'papr'; allowed: auto, embedded, paper"):
        resolve("papr", 0)
