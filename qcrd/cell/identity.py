"""What a cell's result depends on, and nothing else: the id under which it is kept and found again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcrd import tasks
from qcrd.config import Architecture, Cell, Selection
from qcrd.errors import ConfigError
from qcrd.fingerprint import fingerprint, fingerprint_path
from qcrd.hub.places import T5, model_type
from qcrd.hub.smollm2 import MODELS
from qcrd.rationales.select import SELECTIONS, renewed, rule_of
from qcrd.registry import Registry
from qcrd.tasks.extensions import CUES, NORMALISERS

if TYPE_CHECKING:
    from qcrd.methods.base import Method

RESULT_VERSION = 4
"""Part of every id. Raise it by one with each change of the code that changes a trained cell's figures
(losses, data order, initialisation, the student's prompts, parsing, decoding, evaluation), so that old
results are not taken for new ones; not for changes of speed, logging or layout that leave the figures alone.
The teacher's prompts are part of the id themselves."""

_READ_BY_SOME = {"alpha1", "alpha2", "max_rationale"}
"""Settings in sections that every method reads, but which only those methods read that name them."""
_ROUNDING = {"max_tokens", "gradient_checkpointing"}
"""Settings of `training` that change a result by rounding alone."""


def cell_identity(cell: Cell, data: str, teacher: dict[str, Any]) -> dict[str, Any]:
    """All that changes the cell's result.

    Settings that its method does not read are left out, so that a baseline beside a sweep of beta is one
    cell. Places (sources, folders) enter by their content.

    Args:
        cell: the cell.
        data: fingerprint of the task's `Splits`; stands for all of `cell.task` but its name and how
            own answers are read.
        teacher: identity of the teacher's answers, sampler and prompts; stands for all of `cell.teacher`.
    """
    method = _method(cell)
    uses = method.uses
    unread = _READ_BY_SOME - uses
    if method.chooses_sequence(cell.student):
        unread |= {"alpha1", "alpha2"}  # one loss
    if not ("iteration" in uses or _plays_itself(cell) or needs_discriminator(cell) or _selects_anew(cell)):
        unread |= {"iteration"}
    identity = {
        "version": RESULT_VERSION,
        "method": cell.method,
        "task": task_identity(cell, data),
        "student": _student(cell, unread),
        "training": cell.training.model_dump(exclude=unread | _ROUNDING),
        "labels": cell.rationales.labels,
        "seed": cell.seed,
    }
    if teacher_samples(cell) or method.written(cell.student) == "sequence":
        identity["reading"] = reading_identity(cell)
    if teacher_samples(cell):
        identity["rationales"] = _rationales(cell, teacher)
    if (chosen := selection_of(cell)) is not None and method.own is not None:
        selection = _selection(chosen)
        if "selection" in uses or selection != _selection(method.own):
            identity["selection"] = selection
    if method.contrasts:
        identity["contrastive"] = _contrastive(cell)
    if method.plays_itself:
        identity["selfplay"] = _selfplay(cell)
    if method.needs_discriminator:
        identity["discriminator"] = _discriminator(cell)
    if method.edits:
        identity["edit"] = cell.edit.model_dump()
    if (options := method.settings(cell)) is not None:
        identity["options"] = options.model_dump(mode="json")
    if cell.evaluation.votes is not None:
        identity["evaluation"] = cell.evaluation.model_dump()
    if code := _plugins(cell):
        identity["plugins"] = code
    return identity


def cell_id(cell: Cell, data: str, teacher: dict[str, Any]) -> str:
    """Fingerprint of `cell_identity`."""
    return fingerprint(cell_identity(cell, data, teacher))


def discriminator_identity(cell: Cell, data: str, teacher: dict[str, Any]) -> dict[str, Any]:
    """All that changes the discriminator as it is after pretraining; the arguments are `cell_identity`'s.

    Cells that differ in the student, the losses or self-play share one.
    """
    settings = _discriminator(cell)
    for after in ("update_steps", "alpha3", "decay", "min_factor", "weights"):  # read in training only
        settings.pop(after, None)
    return {
        "version": RESULT_VERSION,
        "task": task_identity(cell, data),
        "reading": reading_identity(cell),
        "rationales": _rationales(cell, teacher),
        "discriminator": settings,
        "tokenizer": _discriminator_tokenizer(cell),
        "max_input": cell.student.max_input,
        "max_rationale": cell.student.max_rationale,
        "precision": cell.student.precision,
        "seed": cell.seed,
    }


def teacher_samples(cell: Cell) -> int:
    """Teacher samples per question that the cell reads; 0 where it needs no teacher."""
    method = _method(cell)
    if not method.needs_teacher and cell.rationales.labels == "gold":
        return 0
    return method.samples(cell.rationales)


def needs_discriminator(cell: Cell) -> bool:
    """Whether the cell's result depends on a discriminator: not where its scheme has weights of its own."""
    from qcrd.losses import SCHEMES  # as in `_method`

    weighted = SCHEMES[cell.contrastive.scheme].weighted
    return _method(cell).needs_discriminator and cell.discriminator.enabled and weighted


def asks_for_duals(cell: Cell) -> bool:
    """Whether the teacher is asked again, about its first answers, for the cell's dual rationales."""
    return _method(cell).edits and cell.edit.duals == "prompted"


def _plays_itself(cell: Cell) -> bool:
    return _method(cell).plays_itself and cell.selfplay.k > 0


def _selects_anew(cell: Cell) -> bool:
    chosen = selection_of(cell)
    return chosen is not None and renewed(chosen)


def selection_of(cell: Cell) -> Selection | None:
    """Its selection, None where the method selects nothing."""
    method = _method(cell)
    return method.selection(cell.selection) if method.selects else None


def _selection(section: Selection) -> dict[str, Any]:
    """What of a selection's settings is in force."""
    rule, settings = rule_of(section), {"rule", "accuracy", "diversity"}
    settings |= ({"n"} if rule.counts else set()) | ({"threshold"} if section.diversity else set())
    found = section.model_dump(include=settings)
    if rule.measures and section.measured_by is not None:
        found["measured_by"] = _model(section.measured_by, section.revision)
    return found


def _method(cell: Cell) -> Method:
    from qcrd.methods import METHODS  # imports torch, which reading a configuration should not wait for

    return METHODS[cell.method]


def task_identity(cell: Cell, data: str) -> dict[str, Any]:
    """The questions, and how answers to them are read, which the name says of all but own data sets.

    And but plugins' tasks, which may change under their name: their code enters.
    """
    task = cell.task
    own = {"kind": task.own.kind} if task.name == "own" else {}
    code = tasks.TASKS.code(task.name)
    return {"name": task.name, "data": data, **own, **({"code": code} if code else {})}


def reading_identity(cell: Cell) -> dict[str, Any]:
    """How answers with reasoning in them are read: the teacher's, and those of a student that writes any."""
    task = cell.task
    found: dict[str, Any] = task.model_dump(include={"uncued", "thinking"})
    for registry, names in ((CUES, task.cues), (NORMALISERS, task.normalisers)):
        if names:
            found[registry.setting] = [[name, registry.code(name)] for name in names]
    return found


def _plugins(cell: Cell) -> dict[str, str]:
    """Fingerprints of the plugins' code that trains the cell, by the setting that names it."""
    from qcrd.losses import SCHEMES  # as in `_method`
    from qcrd.methods import METHODS

    used: list[tuple[Registry[Any], str]] = [(METHODS, cell.method)]
    if _method(cell).contrasts:
        used.append((SCHEMES, cell.contrastive.scheme))
    if (chosen := selection_of(cell)) is not None:
        used.append((SELECTIONS, rule_of(chosen).name))
    found = {registry.setting: registry.code(name) for registry, name in used}
    return {setting: code for setting, code in found.items() if code is not None}


def _rationales(cell: Cell, teacher: dict[str, Any]) -> dict[str, Any]:
    method = _method(cell)
    return {
        "teacher": teacher,
        "samples": method.samples(cell.rationales),
        "denoise": method.denoise(cell.rationales),
        "unread": method.unread(cell.rationales, cell.student),
    }


def _student(cell: Cell, unread: set[str]) -> dict[str, Any]:
    student = cell.student
    apart = {"checkpoint", "revision", "tokenizer", "architecture", "unwritable"}
    of_some = {"adapter", "prompt", "targets"}  # not in force where they have their default
    identity: dict[str, Any] = {
        "model": _model(student.checkpoint, student.revision) or _architecture(student.architecture),
        "tokenizer": _tokenizer(cell),
        **student.model_dump(exclude=apart | of_some | unread),
    }
    if _method(cell).chooses_sequence(student):
        identity["targets"] = "sequence"
    if student.adapter is not None:
        identity["adapter"] = student.adapter.model_dump()
    if student.prompt == "chat":
        identity["prompt"] = "chat"  # the template is part of the tokenizer
    elif student.prompt != "plain":
        if not Path(student.prompt).is_file():
            allowed = "plain, chat, or a text file"
            raise ConfigError(f"student.prompt: no file {student.prompt!r}; allowed: {allowed}")
        identity["prompt"] = {"content": fingerprint_path(Path(student.prompt))}
    return identity


def _architecture(section: Architecture) -> dict[str, Any]:
    """Sizes of random weights; without those that a T5 does not have."""
    return section.model_dump(exclude={"family", "kv_heads"} if section.family == "t5" else None)


def _contrastive(cell: Cell) -> dict[str, Any]:
    plain = {"key_weight"} if cell.contrastive.key_weight == 1 else set()
    return cell.contrastive.model_dump(exclude=plain)


def _selfplay(cell: Cell) -> dict[str, Any]:
    read = {"k", "tau", "lag"} if cell.selfplay.k else {"k"}
    read |= {"top_k", "top_p"} if cell.selfplay.k and cell.selfplay.tau > 0 else set()  # greedy draws nothing
    return cell.selfplay.model_dump(include=read)


def _discriminator(cell: Cell) -> dict[str, Any]:
    section = cell.discriminator
    if not needs_discriminator(cell):
        return {"enabled": False}
    return {
        "enabled": True,
        "model": _model(section.checkpoint, section.revision) or _architecture(section.architecture),
        **section.model_dump(exclude={"enabled", "checkpoint", "revision", "architecture"}),
    }


def _tokenizer(cell: Cell) -> dict[str, Any] | None:
    """None is the task's own vocabulary, which goes with its name."""
    return _model(cell.student.tokenizer, None) or _model(cell.student.checkpoint, cell.student.revision)


def _discriminator_tokenizer(cell: Cell) -> dict[str, Any] | None:
    """The student's without a checkpoint, and for a T5 beside named tokens, most likely T5's; else its own.

    A checkpoint that brings its own tokenizer is in the identity itself, so that the student's in its place
    only keeps apart what could be shared.
    """
    section, students = cell.discriminator, _tokenizer(cell)
    if section.checkpoint is None and students is None and cell.student.architecture.family != "t5":
        return {"words": "decoder-only"}  # the task's vocabulary has other words for these students' prompts
    if section.checkpoint is None or (students is not None and _is_t5(section.checkpoint)):
        return students
    return _model(section.checkpoint, section.revision)


def _is_t5(name: str) -> bool:
    """Whether a checkpoint is a T5; of a Hub id by its name, since an id must not depend on a connection."""
    if name in MODELS or Path(name).is_dir():
        return model_type(name, None) in T5
    return "t5" in name.rpartition("/")[2].lower()


def _model(name: str | None, revision: str | None) -> dict[str, Any] | None:
    """A checkpoint: a folder or packaged model by its content, a Hub id by name and revision."""
    if name is None:
        return None
    if name in MODELS:
        return {"content": MODELS[name].content}
    folder = Path(name)
    return {"content": fingerprint_path(folder)} if folder.is_dir() else {"hub": name, "revision": revision}
