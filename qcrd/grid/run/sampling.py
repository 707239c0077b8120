"""Draws the teacher samples that a grid's cells require, with engines in Ray actors or in this process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qcrd.cell.data import task_data
from qcrd.cell.teacher_accuracy import TeacherAccuracy
from qcrd.config import Task, Teacher
from qcrd.grid.cluster.capacity import check_capacity
from qcrd.grid.cluster.shares import Node, Shares
from qcrd.grid.console import say
from qcrd.grid.plan.expansion import SampleNeed
from qcrd.grid.plan.study import Study
from qcrd.grid.run.drawing import draw_need
from qcrd.grid.run.teachers import hub_commit, sampler
from qcrd.report.teachers import sentence, teacher_line
from qcrd.samples.requests import Request
from qcrd.samples.store import SampleStore

Need = tuple[SampleNeed, SampleStore, list[Request] | None, list[Request]]
"""A need, its store, all its requests (None: not known yet) and the missing ones, as from `Study.samples`."""


def draw_missing(
    study: Study,
    shares: Shares,
    nodes: Sequence[Node],
    wanted: set[tuple[Task, Teacher]] | None = None,
    splits: Sequence[str] = (),
) -> None:
    """Draw missing samples, then missing dual rationales, which depend on the samples.

    Args:
        study: the grid.
        shares: CPUs and GPUs of an engine.
        nodes: nodes of the cluster.
        wanted: tasks and teachers to draw for; None: all.
        splits: further splits to sample.
    """
    draw_needs(study, shares, nodes, study.samples(splits), wanted)
    draw_needs(study, shares, nodes, study.duals(), wanted)


def draw_needs(
    study: Study,
    shares: Shares,
    nodes: Sequence[Node],
    needs: Iterable[Need],
    wanted: set[tuple[Task, Teacher]] | None = None,
) -> None:
    """Draw the missing samples; tasks with the same teacher and stop strings share its engines.

    Args:
        study: the grid.
        shares: CPUs and GPUs of an engine.
        nodes: nodes of the cluster.
        needs: what to draw.
        wanted: tasks and teachers to draw for; None: all.
    """
    groups: dict[tuple[Teacher, tuple[str, ...]], list[tuple[SampleNeed, SampleStore, list[Request]]]] = {}
    all_missing: dict[tuple[Teacher, tuple[str, ...]], list[Request]] = {}
    for need, store, requests, missing in needs:
        if requests and missing and (wanted is None or (need.task, need.teacher) in wanted):
            key = need.teacher, task_data(need.task).task.stop
            groups.setdefault(key, []).append((need, store, requests))
            all_missing.setdefault(key, []).extend(missing)
    resources = study.grid.resources
    for teacher, _ in groups:
        check_capacity(teacher, resources, nodes)
    for (teacher, stop), group in groups.items():
        requests = [request for _, _, own in group for request in own]
        missing = all_missing[teacher, stop]
        kind = "dual rationales" if any(need.duals for need, *_ in group) else "samples"
        say(f"teacher: {teacher.name} ({teacher.engine}) for {len(missing)} of {len(requests)} {kind}")
        commit = hub_commit(teacher)
        if commit is not None:  # all engines load the same commit, even if the revision moves meanwhile
            teacher = teacher.model_copy(update={"revision": commit})
        with sampler(teacher, stop, requests, resources, shares, study.home, say, missing) as sample:
            for need, store, own in group:
                if commit is not None:
                    store.note_commit(commit)
                draw_need(need, store, own, sample, study.home)


def say_accuracies(accuracies: Iterable[TeacherAccuracy]) -> None:
    """Print each teacher's accuracy, and a hint if most of its answers cannot be read."""
    for accuracy in accuracies:
        line = teacher_line(accuracy.teacher, accuracy.task, accuracy.split, accuracy.m, accuracy.statistics)
        say(f"teacher: {sentence(line)}")
        unparsed = sum(line.unparsed.values())
        if 2 * unparsed > line.samples:
            truncated = line.unparsed.get("truncated", 0)
            mostly_truncated = 2 * truncated > unparsed
            hint = f"; {truncated} were truncated; raise teacher.max_tokens" if mostly_truncated else ""
            say(f"teacher: most of these answers cannot be read; see `qcrd samples show`{hint}")
