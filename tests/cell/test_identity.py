import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcrd import config
from qcrd.cell import data
from qcrd.cell.identity import cell_id, discriminator_identity, needs_discriminator, teacher_samples
from qcrd.cell.resolved import resolve
from qcrd.config import Cell
from qcrd.fingerprint import fingerprint
from qcrd.grid.plan.factors import get_setting, setting_paths
from qcrd.losses import SCHEMES
from qcrd.methods import METHODS
from qcrd.tasks import TASKS
from qcrd.tasks.arithmetic import Arithmetic

TEACHER = {"engine": "vllm", "model": {"name": "embedded", "recipe": "r"}, "temperature": 0.7, "stop": ["\n"]}

# For every setting another value than the default; which methods' results depend on it is said below.
OTHER = {
    "task.name": "svamp",
    "task.source": "elsewhere",
    "task.train": 10,
    "task.validation": 10,
    "task.test": 10,
    "task.prompt": "other.txt",
    "task.seed": 1,
    "task.uncued": "last",
    "task.thinking": "both",
    "task.cues": ("own",),
    "task.normalisers": ("own",),
    "task.own.question": "question",  # these are only allowed where task.name is own: see below
    "task.own.label": "label",
    "task.own.label_after": None,
    "task.own.label_before": None,
    "task.own.label_is": None,
    "task.own.kind": "text",
    "task.own.choices": None,
    "task.own.keys": None,
    "task.own.rationale": None,
    "task.own.id": None,
    "task.own.drop": 0.0,
    "task.own.train_split": "train",
    "task.own.validation_split": None,
    "task.own.test_split": None,
    "task.own.subset": None,
    "task.own.revision": None,
    "teacher.engine": "vllm",
    "teacher.model": "other/model",
    "teacher.revision": "main",
    "teacher.path": None,
    "teacher.base_url": None,
    "teacher.dtype": "bfloat16",
    "teacher.quantization": "awq",
    "teacher.temperature": 1.0,
    "teacher.top_p": 0.9,
    "teacher.max_tokens": 9,
    "teacher.max_len": 9,
    "teacher.seed": 1,
    "teacher.accuracy": 0.5,
    "teacher.options": {"x": 1},  # read by plugins alone: see test_plugins
    "rationales.m": 6,
    "rationales.baseline_m": 2,
    "rationales.labels": "teacher",
    "rationales.denoise": "majority",
    "rationales.unread": "negative",
    "selection.rule": "random",
    "selection.n": 3,
    "selection.accuracy": False,
    "selection.diversity": False,
    "selection.threshold": 0.5,
    "selection.measured_by": "google/t5-v1_1-small",
    "selection.revision": "main",
    "student.checkpoint": "google/t5-v1_1-small",
    "student.revision": "main",
    "student.tokenizer": "google/t5-v1_1-small",
    "student.architecture.d_model": 32,
    "student.architecture.d_kv": 16,
    "student.architecture.d_ff": 64,
    "student.architecture.layers": 1,
    "student.architecture.heads": 4,
    "student.architecture.family": "llama",
    "student.adapter": {"r": 4},
    "student.prompt": "chat",
    "student.targets": "sequence",
    "student.dropout": 0.1,
    "student.max_input": 64,
    "student.max_rationale": 64,
    "student.max_label": 16,
    "student.unwritable": 0.5,
    "student.precision": "bf16",
    "method": None,
    "options": {"x": 1},
    "training.steps": 7,
    "training.batch": 7,
    "training.lr": 1e-3,
    "training.warmup": 7,
    "training.weight_decay": 0.1,
    "training.clip": None,
    "training.alpha1": 0.4,
    "training.alpha2": 0.4,
    "training.iteration": 7,
    "training.evaluate_every": 7,
    "training.max_tokens": 7,
    "training.gradient_checkpointing": True,
    "contrastive.scheme": "mean",
    "contrastive.beta": 0.3,
    "contrastive.delta": 3.0,
    "contrastive.negative": "printed",
    "contrastive.key_weight": 2.0,
    "selfplay.enabled": None,
    "selfplay.k": 2,
    "selfplay.tau": 1.0,
    "selfplay.top_k": 40,
    "selfplay.top_p": 0.9,
    "selfplay.lag": 4,
    "discriminator.enabled": False,
    "discriminator.checkpoint": "google/t5-v1_1-small",
    "discriminator.revision": "main",
    "discriminator.architecture.d_model": 32,
    "discriminator.architecture.d_kv": 16,
    "discriminator.architecture.d_ff": 64,
    "discriminator.architecture.layers": 1,
    "discriminator.architecture.heads": 4,
    "discriminator.architecture.family": "llama",
    "discriminator.loss": "printed",
    "discriminator.lr": 1e-3,
    "discriminator.batch": 7,
    "discriminator.max_tokens": 7,
    "discriminator.held_out": 0.3,
    "discriminator.calibration": "midpoint",
    "discriminator.pretrain_steps": 7,
    "discriminator.update_steps": 7,
    "discriminator.alpha3": 0.4,
    "discriminator.decay": 0.8,
    "discriminator.min_factor": 0.1,
    "discriminator.weights": "shuffled",
    "discriminator.augment": 1,
    "discriminator.augmentation": "words",
    "edit.duals": "prompted",
    "edit.first": 0.3,
    "edit.alpha": 0.5,
    "edit.beta": 0.1,
    "edit.delta": 3.0,
    "evaluation.votes": 4,
    "evaluation.temperature": 0.3,
    "evaluation.top_k": 7,
    "evaluation.top_p": 0.5,
    "seed": 1,
}
# Of the task and the teacher only what they bring counts (the arguments `data` and `teacher`), and a
# revision without a checkpoint is read by nobody. What a run refuses changes no result.
READING = {"task.uncued", "task.thinking", "task.cues", "task.normalisers"}
NEVER = {p for p in OTHER if p.startswith(("task.", "teacher."))} - {"task.name"} - READING
NEVER |= {"training.max_tokens", "training.gradient_checkpointing"}  # rounding alone
NEVER |= {f"evaluation.{name}" for name in ("temperature", "top_k", "top_p")}  # of votes, which none takes
NEVER |= {"options", "student.unwritable", "student.revision", "discriminator.revision", "selection.revision"}
QCRD_ONLY = {p for p in OTHER if p.startswith(("contrastive.", "selfplay.", "discriminator."))} - NEVER
SELECTING = {"dss", "qcrd", "morsd", "edit"}
READ_BY = {
    **dict.fromkeys(READING, set(METHODS) - {"finetuning"}),
    "rationales.m": {"qcrd", "morsd", "edit"},
    "rationales.denoise": {"qcrd", "morsd", "edit"},
    "rationales.unread": {"qcrd", "morsd", "edit"},
    "rationales.baseline_m": {"single_task", "dss"},
    "student.max_rationale": SELECTING | {"single_task"},
    "student.targets": {"qcrd", "morsd", "edit"},
    "training.alpha1": SELECTING,
    "training.alpha2": SELECTING,
    "training.iteration": {"qcrd", "morsd"},
    "selection.rule": SELECTING,
    "selection.accuracy": SELECTING,
    "selection.n": {"dss", "morsd"},  # qcrd and edit take all
    # Values that are their own, or that only a rule or a filter reads that they have not.
    "selection.diversity": {"morsd"},
    "selection.threshold": {"morsd"},
    "selection.measured_by": {"morsd"},
    **{path: {"edit"} for path in OTHER if path.startswith("edit.")},
}


def changed(cell: Cell, path: str, value) -> Cell:
    tree = cell.model_dump()
    *sections, name = path.split(".")
    inner = tree
    for section in sections:
        inner = inner[section]
    inner[name] = value
    return Cell.model_validate(tree)


def depends(method: str, path: str) -> bool:
    """Whether the result of `method` with gold labels depends on `path`."""
    if path in NEVER:
        return False
    if path in QCRD_ONLY:
        return method == "qcrd"
    return method in READ_BY.get(path, METHODS)


def test_every_setting_is_decided_upon():
    of_others = {f"{part}.architecture.kv_heads" for part in ("student", "discriminator")}  # a T5 has none
    assert set(OTHER) | of_others == set(setting_paths())


@pytest.mark.parametrize("method", METHODS)
def test_the_id_changes_with_what_the_method_reads_and_with_nothing_else(method):
    base = Cell(method=method)
    for path, value in OTHER.items():
        if path == "method":
            value = "dss" if method == "qcrd" else "qcrd"
        cell = (
            changed(base, "selfplay", {"enabled": False})
            if path == "selfplay.enabled"
            else changed(base, path, value)
        )
        unchanged = path in ("teacher.engine", "teacher.path", "teacher.base_url")
        assert get_setting(cell, path) != get_setting(base, path) or unchanged or path.startswith("task.own.")
        assert (cell_id(cell, "d", TEACHER) != cell_id(base, "d", TEACHER)) == depends(method, path), path


def test_how_own_answers_are_read_enters_the_id_and_where_the_fields_are_does_not():
    def own(**settings):
        return Cell.model_validate({"task": {"name": "own", "source": "a.jsonl", "own": settings}})

    ids = {kind: cell_id(own(kind=kind), "d", TEACHER) for kind in ("text", "equation")}
    assert ids["text"] != ids["equation"]
    judges = {discriminator_identity(own(kind=k), "d", TEACHER)["task"]["kind"] for k in ids}
    assert judges == set(ids)
    assert cell_id(own(question="body", id="key", test_split="held"), "d", TEACHER) == ids["text"]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_id_changes_with_the_data(method):
    cell = Cell(method=method)
    assert cell_id(cell, "d", TEACHER) != cell_id(cell, "e", TEACHER)


def test_only_cells_that_read_the_teacher_depend_on_it():
    other = {**TEACHER, "temperature": 1.0}
    by_labels = {
        labels: {
            name
            for name in ("finetuning", "single_task", "dss", "qcrd")
            if cell_id(changed(Cell(method=name), "rationales.labels", labels), "d", TEACHER)
            != cell_id(changed(Cell(method=name), "rationales.labels", labels), "d", other)
        }
        for labels in ("gold", "teacher")
    }
    assert by_labels["gold"] == {"single_task", "dss", "qcrd"}
    assert by_labels["teacher"] == {"finetuning", "single_task", "dss", "qcrd"}


def test_without_self_play_its_settings_do_not_matter():
    none = changed(Cell(), "selfplay", {"k": 0})
    for other in ({"k": 0, "tau": 0.7}, {"k": 0, "lag": 1}, {"k": 0, "top_k": None}, {"enabled": False}):
        assert cell_id(changed(Cell(), "selfplay", other), "d", TEACHER) == cell_id(none, "d", TEACHER)


def test_greedy_self_play_does_not_read_what_cuts_the_likeliest():
    greedy = changed(Cell(), "selfplay", {"tau": 0.0})
    for other in ({"tau": 0.0, "top_k": None}, {"tau": 0.0, "top_p": 0.5}):
        assert cell_id(changed(Cell(), "selfplay", other), "d", TEACHER) == cell_id(greedy, "d", TEACHER)


def test_a_discriminator_that_is_off_has_no_settings():
    off = changed(Cell(), "discriminator.enabled", False)
    assert cell_id(changed(off, "discriminator.lr", 0.1), "d", TEACHER) == cell_id(off, "d", TEACHER)


def test_a_scheme_with_weights_of_its_own_needs_no_discriminator():
    for scheme in SCHEMES:
        cell = changed(Cell(), "contrastive.scheme", scheme)
        assert needs_discriminator(cell) == (scheme != "mean")
        other = changed(cell, "discriminator.enabled", False)
        assert not needs_discriminator(other)
        assert (cell_id(other, "d", TEACHER) == cell_id(cell, "d", TEACHER)) == (scheme == "mean")
    assert not needs_discriminator(Cell(method="dss"))


def test_the_length_of_an_iteration_matters_to_self_play_and_the_discriminator_alone():
    alone = changed(Cell(), "discriminator.enabled", False)
    for cell, matters in ((Cell(), True), (alone, True), (changed(alone, "selfplay.k", 0), False)):
        other = changed(cell, "training.iteration", 7)
        assert (cell_id(other, "d", TEACHER) != cell_id(cell, "d", TEACHER)) == matters


def test_another_prompt_gives_other_answers_to_the_same_sampler(monkeypatch, tmp_path):
    class Polite(Arithmetic):
        def prompt(self, question, shots=None):
            return replace(super().prompt(question, shots), system="Please.")

    def answers():
        data.clear_caches()
        cell = resolve(settings)
        return cell.identity["rationales"]["teacher"], cell.discriminator_id

    (tmp_path / "answers").touch()
    sampler = {"engine": "recorded", "path": str(tmp_path / "answers")}
    settings = Cell.model_validate({"task": {"train": 4, "validation": 2, "test": 2}, "teacher": sampler})
    plain, judge = answers()
    assert answers() == (plain, judge)
    with monkeypatch.context() as patched:
        patched.setitem(TASKS, "arithmetic", Polite())
        polite, other_judge = answers()
    assert polite["sampler"] == plain["sampler"] and polite["prompts"] != plain["prompts"]
    assert other_judge != judge
    assert answers() == (plain, judge)


def selecting(method="qcrd", **settings) -> Cell:
    return Cell(method=method, selection=config.Selection(**settings))


def identities(*cells: Cell) -> set[str]:
    return {cell_id(cell, "d", TEACHER) for cell in cells}


def test_a_selection_said_outright_is_the_same_as_the_methods_own():
    said = {"accuracy": True, "diversity": False}
    assert len(identities(selecting(), selecting(rule="all", n=9, **said))) == 1
    assert len(identities(selecting("dss"), selecting("dss", rule="first", n=1, threshold=0.1, **said))) == 1
    mine = selecting("morsd", rule="min_rd", n=6, accuracy=True, diversity=True, threshold=0.8)
    assert len(identities(selecting("morsd"), mine)) == 1


def test_a_selection_counts_where_it_is_in_force():
    assert len(identities(selecting(), selecting(diversity=True), selecting(rule="first"))) == 3
    measured = selecting(rule="min_rd"), selecting(rule="min_rd", measured_by="google/t5-v1_1-small")
    assert len(identities(*measured)) == 2
    named = {"measured_by": "google/t5-v1_1-small", "revision": "v2"}
    assert len(identities(measured[1], selecting(rule="min_rd", **named))) == 2
    assert len(identities(selecting(), selecting(measured_by="google/t5-v1_1-small"))) == 1
    assert len(identities(selecting("finetuning"), selecting("finetuning", rule="random"))) == 1


@pytest.mark.parametrize(
    ("settings", "anew"),
    [
        ({"rule": "min_rd"}, True),
        ({"rule": "random"}, True),
        ({"rule": "first"}, False),
        ({"rule": "min_rd", "measured_by": "google/t5-v1_1-small"}, False),
    ],
)
def test_the_length_of_an_iteration_matters_where_each_selects_anew(settings, anew):
    cell = selecting("dss", **settings)
    assert len(identities(cell, changed(cell, "training.iteration", 7))) == 1 + anew


def test_denoising_said_outright_is_the_same_as_by_default():
    assert cell_id(changed(Cell(), "rationales.denoise", "gold"), "d", TEACHER) == cell_id(
        Cell(), "d", TEACHER
    )


def test_with_a_checkpoint_the_architecture_is_not_read_and_the_revision_is():
    cell = changed(Cell(), "student.checkpoint", "google/t5-v1_1-small")
    assert cell_id(changed(cell, "student.architecture.layers", 9), "d", TEACHER) == cell_id(
        cell, "d", TEACHER
    )
    assert cell_id(changed(cell, "student.revision", "v2"), "d", TEACHER) != cell_id(cell, "d", TEACHER)


@given(st.permutations(sorted(TEACHER)))
def test_the_order_of_keys_does_not_matter(keys):
    assert cell_id(Cell(), "d", {k: TEACHER[k] for k in keys}) == cell_id(Cell(), "d", TEACHER)


@pytest.mark.parametrize("place", ["student.tokenizer", "student.checkpoint", "discriminator.checkpoint"])
def test_a_folder_counts_by_its_content_not_by_its_place(tmp_path, place):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "config.json").write_text("{}")
    shutil.copytree(here, there)
    first = cell_id(changed(Cell(), place, str(here)), "d", TEACHER)
    assert cell_id(changed(Cell(), place, str(there)), "d", TEACHER) == first
    (there / "config.json").write_text('{"d_model": 8}')
    assert cell_id(changed(Cell(), place, str(there)), "d", TEACHER) != first


def test_cells_that_differ_in_training_alone_share_a_pretrained_discriminator():
    first = fingerprint(discriminator_identity(Cell(), "d", TEACHER))
    for path in (
        "contrastive.beta",
        "selfplay.k",
        "training.lr",
        "student.architecture.layers",
        "discriminator.decay",
        "discriminator.min_factor",
        "discriminator.weights",
    ):
        cell = changed(Cell(), path, OTHER[path])
        assert fingerprint(discriminator_identity(cell, "d", TEACHER)) == first, path
    for path in (
        "rationales.m",
        "rationales.denoise",
        "discriminator.loss",
        "discriminator.held_out",
        "discriminator.calibration",
        "student.tokenizer",
        "student.max_input",
        "seed",
    ):
        cell = changed(Cell(), path, OTHER[path])
        assert fingerprint(discriminator_identity(cell, "d", TEACHER)) != first, path


T5, MT5, QWEN = "google/t5-v1_1-small", "google/mt5-small", "Qwen/Qwen3-0.6B"


@pytest.mark.parametrize(
    "student, discriminator, read_with",
    [
        (None, None, None),
        (T5, None, T5),
        (T5, "google/t5-v1_1-base", T5),
        (T5, MT5, T5),
        (QWEN, None, QWEN),
        (QWEN, QWEN, QWEN),
        (T5, QWEN, QWEN),
        (None, QWEN, QWEN),
        (None, T5, T5),
    ],
)
def test_a_discriminator_depends_on_the_tokenizer_that_it_reads_with(student, discriminator, read_with):
    cell = changed(Cell(), "student.checkpoint", student)
    cell = changed(cell, "discriminator.checkpoint", discriminator)
    found = discriminator_identity(cell, "d", TEACHER)["tokenizer"]
    assert (found and found["hub"]) == read_with


def test_a_folder_s_family_says_whether_its_tokenizer_is_its_own(tmp_path):
    student = changed(Cell(), "student.checkpoint", T5)
    for family, own in (("t5", False), ("mt5", False), ("llama", True)):
        folder = tmp_path / family
        folder.mkdir()
        (folder / "config.json").write_text(f'{{"model_type": "{family}"}}')
        cell = changed(student, "discriminator.checkpoint", str(folder))
        assert ("content" in discriminator_identity(cell, "d", TEACHER)["tokenizer"]) == own
    packaged = changed(student, "discriminator.checkpoint", "smollm2-135m")
    assert "content" in discriminator_identity(packaged, "d", TEACHER)["tokenizer"]


def test_the_words_of_the_task_differ_between_t5_and_decoder_only_students():
    students = [changed(Cell(), "student.architecture.family", family) for family in ("t5", "llama", "qwen3")]
    t5, *others = (fingerprint(discriminator_identity(cell, "d", TEACHER)) for cell in students)
    assert t5 not in others
    assert len(set(others)) == 1


def test_baselines_read_their_own_number_of_samples_and_gold_finetuning_none():
    counts = {
        name: teacher_samples(Cell(method=name))
        for name in ("finetuning", "single_task", "dss", "qcrd", "edit")
    }
    assert counts == {"finetuning": 0, "single_task": 1, "dss": 1, "qcrd": 5, "edit": 5}
    assert teacher_samples(changed(Cell(method="finetuning"), "rationales.labels", "teacher")) == 1
