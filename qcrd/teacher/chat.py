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
"""What is said once, with the model's name."""

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

    False only where instructions are lost or refused as a system message and kept in a user message, so that
    what else a template may lack is left for the engine to say.

    Args:
        render: a conversation's text by the template; raises what the template raises.
    """

    def keeps(system_role: bool) -> bool:
        try:
            return _PROBE.system in render(messages(_PROBE, system_role))
        except Exception:  # a template raises what it likes
            return False

    return keeps(True) or not keeps(False)


def objects_to_roles(message: str) -> bool:
    """Whether a server's refusal may be about the system role: templates and servers have their own words."""
    return _OBJECTION.search(message) is not None
