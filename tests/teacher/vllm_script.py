"""Samples a tiny teacher with real vLLM engines; apart, since vLLM wants its environment before import."""

import json
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

from chat_templates import NO_SYSTEM_ROLE, instructed

from qcrd import tasks
from qcrd.errors import ConfigError
from qcrd.samples.requests import Request, requests
from qcrd.tasks.arithmetic import generate
from qcrd.teacher.vllm import VllmSampler
from qcrd.types import Prompt, Sample


def answers(sampler: VllmSampler, asked: list[Request]) -> list[Sample]:
    """The samples in the order of their requests."""
    found = {(s.prompt_id, s.index): s for batch in sampler(asked) for s in batch}
    return [found[r.key] for r in asked]


def main(folder: Path, out: Path) -> None:
    """Writes what the engines answered as JSON to `out`."""
    made = requests(generate(seed=3, n=6), tasks.get("arithmetic").prompt, 3, 0)
    sampler = VllmSampler(str(folder), max_tokens=16)
    batch = answers(sampler, made)
    stop = batch[0].text.split()[3]
    try:
        answers(sampler, [replace(made[0], prompt=Prompt(made[0].prompt.text * 100))])
        too_long = "answered"
    except ConfigError as error:
        too_long = str(error)

    # A template that writes the very prompt: the same tokens and seeds must give the same answers.
    chatty = out.parent / "chatty"
    shutil.copytree(folder, chatty)
    (chatty / "chat_template.jinja").write_text(NO_SYSTEM_ROLE)
    chat = VllmSampler(str(chatty), max_tokens=16, stop=[stop])

    out.write_text(
        json.dumps(
            {
                "batch": [asdict(s) for s in batch],
                "reversed": [asdict(s) for s in answers(sampler, made[::-1])[::-1]],
                "alone": [asdict(answers(sampler, [r])[0]) for r in made[:4]],
                "chat": [s.text for s in answers(chat, made)],
                "folded": [s.text for s in answers(chat, [instructed(r) for r in made])],
                "too long": too_long,
                "stop": stop,
                "plain has chat": sampler.chat,
                "chat has chat": chat.chat,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
