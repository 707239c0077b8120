"""What the paper reports, as data: its Tables 1-7 in percent, Table 9 in counts of 50.

Each table maps a key (names of the things it varies, with their values) to the printed figure.
"""

from __future__ import annotations

from typing import Any

Value = str | int | float | bool

_TASKS = ("svamp", "cqa", "anli1", "esnli")


def published(table: str, **key: Value) -> float | None:
    """The paper's figure for `key` in `table`, None where the paper has none.

    For example `published("table1", method="qcrd", task="svamp")` or `published("table6", k=1)`.

    Raises:
        ValueError: for a table that is not here, or names by which it is not keyed.
    """
    if table not in TABLES:
        raise ValueError(f"table is {table!r}; allowed: {', '.join(TABLES)}")
    entries = TABLES[table]
    names = {tuple(sorted(dict(entry))) for entry in entries}
    if tuple(sorted(key)) not in names:
        allowed = " or ".join("(" + ", ".join(each) + ")" for each in sorted(names))
        raise ValueError(f"{table} is keyed by {allowed}, not by ({', '.join(sorted(key))})")
    return entries.get(frozenset(key.items()))


def _by_task(
    name: str, tasks: tuple[str, ...], rows: dict[Value, tuple[float, ...]]
) -> dict[frozenset, float]:
    return {
        frozenset({name: row, "task": task}.items()): figure
        for row, figures in rows.items()
        for task, figure in zip(tasks, figures, strict=True)
    }


def _by(name: str, figures: dict[Value, float]) -> dict[frozenset, float]:
    return {frozenset({name: value}.items()): figure for value, figure in figures.items()}


def _judged(figures: dict[float, tuple[tuple[int, int, int], ...]]) -> dict[frozenset, float]:
    return {
        frozenset({"tau": tau, "task": task, "better": better}.items()): float(count)
        for tau, row in figures.items()
        for task, counts in zip(_TASKS, row, strict=True)
        for better, count in zip(("dss", "both", "qcrd"), counts, strict=True)
    }


TABLES: dict[str, dict[frozenset[tuple[str, Any]], float]] = {
    # T5-base, gold labels
    "table1": _by_task(
        "method",
        _TASKS,
        {
            "finetuning": (63.0, 62.19, 43.58, 88.38),
            "single_task": (59.0, 63.11, 47.90, 88.77),
            "dss": (65.5, 63.23, 52.80, 90.09),
            "qcrd": (69.0, 63.64, 54.00, 90.15),
        },
    ),
    # T5-small, gold labels
    "table2": _by_task(
        "method",
        _TASKS,
        {
            "finetuning": (45.00, 43.16, 42.00, 82.90),
            "dss": (48.00, 45.21, 42.80, 84.23),
            "qcrd": (50.50, 46.11, 44.10, 85.30),
        },
    ),
    # T5-base, the teacher's labels; `teacher` is GPT-3.5 by one sample, `vote` by self-consistency
    "table3": _by_task(
        "method",
        _TASKS[1:],
        {
            "teacher": (66.30, 78.21, 66.27),
            "vote": (69.05, 80.15, 67.08),
            "dss": (59.15, 44.10, 74.88),
            "qcrd": (59.80, 46.70, 74.88),
        },
    ),
    # T5-base on SVAMP, as are Tables 5-7. The printed columns say "w/o", but a tick there must mean
    # "with": all ticked is QCRD's figure of Table 1, none ticked is DSS's
    "table4": {
        frozenset({"ed": ed, "nk": nk, "qj": qj}.items()): figure
        for ed, nk, qj, figure in (
            (False, False, False, 65.5),
            (True, False, False, 67.0),
            (True, True, False, 68.5),
            (True, True, True, 69.0),
        )
    },
    "table5": _by("scheme", {"minmax": 69.0, "maxmin": 67.0, "sampling": 66.5, "mean": 65.0, "wmean": 66.0}),
    "table6": _by("m", {1: 67.5, 5: 69.0, 10: 68.0, 20: 68.5})
    | _by("k", {0: 67.0, 1: 69.0, 2: 68.5, 3: 66.0}),
    "table7": _by("tau", {0: 65.0, 0.7: 64.5, 1: 67.5, 1.5: 69.0, 2: 67.5}),
    # of 50 pairs of T5-base's rationales, how many a judge found better: DSS's, both, QCRD's
    "table9": _judged(
        {
            0: ((21, 0, 29), (19, 6, 25), (26, 1, 23), (17, 11, 22)),
            0.7: ((22, 0, 28), (20, 6, 24), (25, 1, 24), (14, 3, 33)),
        }
    ),
}
