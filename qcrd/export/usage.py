"""How an exported student is loaded and asked by plain transformers, as code for its model card."""

from __future__ import annotations

from dataclasses import dataclass

from qcrd.cell.base import Base
from qcrd.config import Student as Section
from qcrd.student.base import Kind, Student
from qcrd.student.causal.prompts import INSTRUCTIONS
from qcrd.student.causal.student import CausalStudent

BASE = "base"  # subfolder with the base of an adapter on random weights


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing that a student can be asked for."""

    kind: Kind
    limit: int  # most tokens of its answer


def code(student: Student, section: Section, asks: dict[str, Ask], base: Base | None) -> str:
    """Python that loads the student and asks it, with the prompts and limits of its evaluation.

    Args:
        student: as it was evaluated.
        section: its settings.
        asks: what it can be asked for, by the name of the function.
        base: of an adapter; None for whole weights.
    """
    t5 = not isinstance(student, CausalStudent)
    auto = "AutoModelForSeq2SeqLM" if t5 else "AutoModelForCausalLM"
    lines = [f"from transformers import {auto}, AutoTokenizer", ""]
    if base is not None:
        lines.insert(0, "from peft import PeftModel")
    lines += ['folder = "."  # this folder, or its id on the Hub']
    lines += ["tokenizer = AutoTokenizer.from_pretrained(folder)"]
    if base is None:
        lines += [f'model = {auto}.from_pretrained(folder, dtype="float32")']
    else:
        lines += [
            f'base = {auto}.from_pretrained({_place(base)}, dtype="float32")',
            "model = PeftModel.from_pretrained(base, folder)",
        ]
    lines += ["model.eval()"]
    for name, ask in asks.items():
        lines += ["", "", f"def {name}(question):"]
        lines += [f"    {line}" for line in _body(student, section, ask, t5)]
    return "\n".join(lines)


def _place(base: Base) -> str:
    if base.kind == "random":
        return f'folder + "/{BASE}"'
    revision = f', revision="{base.commit}"' if base.commit else ""
    return f'"{base.name}"{revision}'


def _body(student: Student, section: Section, ask: Ask, t5: bool) -> list[str]:
    """Lines of a function that answers a question greedily."""
    prompt = student.prompt(ask.kind, "{question}")
    add = ""
    lines = []
    if chat := _chat(student, section, ask.kind):
        lines += [
            f'messages = [{{"role": "user", "content": question + {chat!r}}}]',
            "prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)",
        ]
    else:
        lines += [f'prompt = {prompt!r}.replace("{{question}}", question)']
    if section.prompt == "chat":
        add = ", add_special_tokens=False"
    if t5:
        add = f", truncation=True, max_length={section.max_input}"
    lines += [f'inputs = tokenizer(prompt{add}, return_tensors="pt")']
    lines += [f"output = model.generate(**inputs, do_sample=False, max_new_tokens={ask.limit})[0]"]
    if not t5:
        lines += ['output = output[inputs["input_ids"].shape[1] :]']
    return [*lines, "return tokenizer.decode(output, skip_special_tokens=True).strip()"]


def _chat(student: Student, section: Section, kind: Kind) -> str | None:
    """What a question is followed by in a chat; None where the template is not used, or opens otherwise."""
    if section.prompt != "chat":
        return None
    behind = f"\n{INSTRUCTIONS[kind]}"
    messages = [{"role": "user", "content": "{question}" + behind}]
    text = student.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return behind if text == student.prompt(kind, "{question}") else None
