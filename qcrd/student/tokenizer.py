"""The tokenizer that a student's settings name."""

from __future__ import annotations

from functools import cache

from transformers import PreTrainedTokenizerBase

from qcrd import config
from qcrd.hub.checkpoints import pretrained_tokenizer
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.tasks.arithmetic import vocabulary

PREFIX_WORDS = ("predict", "explain", ":")  # of T5's task prefixes, for a closed vocabulary


def load_tokenizer(section: config.Student, setting: str = "student.checkpoint") -> PreTrainedTokenizerBase:
    """The tokenizer that the settings name; the arithmetic task's word-level one where they name none."""
    if section.tokenizer is None and section.checkpoint is None:
        return _own_tokenizer()
    if section.tokenizer is not None:  # the revision is the checkpoint's
        return pretrained_tokenizer("student.tokenizer", section.tokenizer, None)
    return pretrained_tokenizer(setting, section.checkpoint, section.revision)


@cache  # one object, which the token ids of its texts are kept with
def _own_tokenizer() -> PreTrainedTokenizerBase:
    return word_level_tokenizer([*vocabulary(), *PREFIX_WORDS], append_eos=True)
