"""Prompts as conversations, also for models whose chat template has no system role (Gemma, early Mistral)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from qcrd.types import Prompt

Messages = list[dict[str, str]]

NO_SYSTEM = (
    "teacher: %s has no system role in its chat template; the instructions go into the first user message"
)
"""Log message, written once per sampler; its argument is the model's name."""

_PROBE = Prompt("What is left?", "qcrd0instructions", (("What is right?", "This."),))
_OBJECTION = re.compile(r"\b(?:system|developer|roles?)\b", re.IGNORECASE)


def messages(prompt: Prompt, system_role: bool = True) -> Messages:
    """The prompt as messages; without a system role its instructions begin the first user message."""
    if system_role or not prompt.system:
        return prompt.messages
    first, *rest = replace(prompt, system="").messages
    return [{**first, "content": f"{prompt.system}\n\n{first['content']}"}, *rest]


def has_system_role(render: Callable[[Messages], str]) -> bool:
    """Whether a chat template writes the system message.

    False only if the template drops or rejects a system message and keeps the same text in a user message.
    Any other defect of the template is left for the engine to report.

    Args:
        render: applies the template to a conversation; may raise any exception of the template.
    """

    def keeps(system_role: bool) -> bool:
        try:
            return _PROBE.system in render(messages(_PROBE, system_role))
        except Exception:  # templates raise arbitrary exceptions
            return False

    return keeps(True) or not keeps(False)


def objects_to_roles(message: str) -> bool:
    """Whether a server's error message mentions message roles; its wording differs between servers."""
    return _OBJECTION.search(message) is not None
