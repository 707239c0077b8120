import pytest

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.tasks import TASKS, get


def test_every_task_knows_its_registered_name():
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}


def test_the_default_task_is_registered():
    assert get(config.Task().name) is TASKS["arithmetic"]


def test_an_unknown_task_is_refused_with_what_is_allowed_and_what_may_be_meant():
    with pytest.raises(ConfigError, match=r"'svmap'.*allowed: arithmetic, svamp; did you mean 'svamp'\?"):
        get("svmap")
