import pytest

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.tasks import TASKS, get
from qcrd.tasks.arithmetic import vocabulary


def test_every_task_knows_its_registered_name():
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}


def test_only_generated_texts_have_a_closed_vocabulary():
    assert TASKS["svamp"].vocabulary() is None
    assert TASKS["arithmetic"].vocabulary() == vocabulary()


def test_the_default_task_is_registered():
    assert get(config.Task().name) is TASKS["arithmetic"]


def test_an_unknown_task_is_refused_with_what_is_allowed_and_what_may_be_meant():
    with pytest.raises(ConfigError, match=r"'svmap'.*allowed: .*svamp.*; did you mean 'svamp'\?"):
        get("svmap")
