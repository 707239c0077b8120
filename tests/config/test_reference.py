"""The reference of all settings follows from the settings themselves."""

import pytest

from qcrd.config.reference import REQUIRED, reference
from qcrd.grid.plan.factors import setting_paths

SETTINGS = {setting.path: setting for section in reference() for setting in section.settings}


def test_it_has_every_setting_of_a_cell_and_those_of_a_grid():
    assert set(setting_paths()) <= SETTINGS.keys()
    assert {
        "name",
        "seeds",
        "resources.cell_gpus",
        "resources.api.key",
        "student.adapter.r",
    } <= SETTINGS.keys()
    assert len(SETTINGS) == sum(len(section.settings) for section in reference())


def test_every_setting_and_section_is_described():
    assert [s.path for s in SETTINGS.values() if not s.description] == []
    assert [s.name for s in reference() if not s.description] == []


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("contrastive.beta", "numbers from 0 up"),
        ("contrastive.negative", "hinge, printed"),
        ("discriminator.held_out", "numbers from 0 below 1"),
        ("teacher.top_p", "numbers above 0 to 1"),
        ("training.iteration", "whole numbers from 1 up, or null"),
        ("task.seed", "whole numbers"),
        ("task.own.choices", "text, or a list of texts, or null"),
        ("selection.accuracy", "true, false, or null"),
        ("resources.cell_gpus", "numbers from 0 up, or auto, or null"),
        ("seeds", "whole numbers from 1 up, or a list of whole numbers from 0 up"),
        ("options", "a mapping"),
    ],
)
def test_allowed_values_are_in_words(path, allowed):
    assert SETTINGS[path].allowed == allowed


def test_defaults_of_presets_stand_beside_the_general_one_where_they_differ():
    assert SETTINGS["contrastive.beta"].default == 0.2
    assert SETTINGS["contrastive.beta"].presets == {}
    assert SETTINGS["training.lr"].default == 5e-5
    assert SETTINGS["training.lr"].presets == {"embedded": 5e-3}  # the paper's preset repeats the default
    assert SETTINGS["discriminator.architecture.layers"].presets == {"embedded": 1}
    assert SETTINGS["name"].default is REQUIRED
