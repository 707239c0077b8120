"""Students that cannot be used are refused before anything starts."""

import pytest
from small import small_student

from qcrd import config
from qcrd.config import Cell
from qcrd.errors import ConfigError
from qcrd.grid.plan.students import refuse_unusable, student_errors

LLAMA = config.Architecture(family="llama")


def cell(training=None, **settings):
    return Cell(student=config.Student(**settings), training=training or config.Training())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"architecture": config.Architecture(family="bert")},
            r"an encoder \(bert\); allowed: the T5 family",
        ),
        ({"architecture": config.Architecture(family="lama")}, r"no causal language model \(lama\); allowed"),
        ({"adapter": config.Adapter()}, "student.adapter is .* is a T5; leave it out"),
        ({"prompt": "chat"}, "student.prompt is 'chat', but .* is a T5"),
        ({"architecture": LLAMA, "prompt": "chat"}, "has no chat template; allowed: plain, or a text file"),
        ({"architecture": LLAMA, "prompt": "no.txt"}, "student.prompt: 'no.txt' cannot be read"),
    ],
)
def test_what_cannot_be_used_is_said_with_what_is_allowed(settings, message):
    with pytest.raises(ConfigError, match=message):
        refuse_unusable([cell(**settings)])


def test_an_unusable_discriminator_is_refused_where_one_is_needed():
    section = config.Discriminator(architecture=config.Architecture(family="bert"))
    (error,) = student_errors([Cell(discriminator=section), Cell(method="dss", discriminator=section)])
    assert "discriminator.architecture.family is an encoder (bert); allowed" in error
    assert student_errors([Cell(method="dss", discriminator=section)]) == []


def test_checkpointing_with_dropout_is_refused():
    training = config.Training(gradient_checkpointing=True)
    assert student_errors([cell(training, architecture=LLAMA)]) == []
    (error,) = student_errors([cell(training, architecture=LLAMA, dropout=0.1)])
    assert "allowed with student.dropout 0" in error


def test_students_that_can_be_used_are_not_refused(tmp_path):
    small_student().save(tmp_path)
    cells = [cell(), cell(architecture=LLAMA, adapter=config.Adapter()), cell(checkpoint=str(tmp_path))]
    refuse_unusable(cells)
    assert student_errors([cell(checkpoint="someone/else")], fetch=False) == []
