"""Chat templates as models have them, and prompts for them."""

from dataclasses import replace

from qcrd.samples.requests import Request

NO_SYSTEM_ROLE = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "Question: {{ messages[0].content }} Answer:"
)
"""Refuses a system message, as Gemma's does."""


def instructed(request: Request) -> Request:
    """The same request with the first word of its question as instructions."""
    system, _, question = request.prompt.question.partition(" ")
    return replace(request, prompt=replace(request.prompt, system=system, question=question))
