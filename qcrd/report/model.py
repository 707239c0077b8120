"""Data of a table: settings with the records of their cells, and the statistics computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from qcrd.report.activity import active
from qcrd.report.agreement import Agreement
from qcrd.report.comparison import Difference
from qcrd.report.statistics import LEVEL, Estimate
from qcrd.types import CellRecord, Prediction


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a grid (what its cells share except the seed) and its position in the table."""

    group: str  # section of the table, such as the swept factor; "" for none
    label: str  # the setting within the section, such as the factor's value
    factor: str | None = None  # the swept setting, as a dotted path
    base: bool = False  # whether the other settings of its section are compared with it
    combinations: Sequence[Mapping[str, str]] = ()  # values of the product's factors that give this setting

    @property
    def name(self) -> str:
        """Section and label."""
        return f"{self.group} {self.label}".strip()

    def title(self, space: str = " ") -> str:
        """The label; for the base, followed by `space` and "(base)"."""
        return self.label + (f"{space}(base)" if self.base else "")


@dataclass(frozen=True, slots=True)
class Counterpart:
    """The paper's result for a setting."""

    figure: float  # percent
    deviations: Sequence[str] = ()  # of our cells from the paper's setup; () if the two are comparable
    source: str = ""  # table and setup, such as "Table 1 (SVAMP, T5-base, gold labels)"


@dataclass(frozen=True, slots=True)
class TableRow:
    """A setting with the results of its cells."""

    setting: Setting
    records: Sequence[CellRecord]  # of all cells that ended, including diverged ones
    n_test: int  # test questions
    train: int = 0  # training questions
    method: str = ""
    failed: Sequence[str] = ()  # one reason for each cell that failed
    missing: int = 0  # planned cells that have not ended yet
    counterpart: Counterpart | None = None
    agreement: bool = False  # whether validation measures agreement with the teacher's labels
    predictions: Sequence[Sequence[Prediction]] = ()  # on the test set, one list per finished cell

    @property
    def finished(self) -> list[CellRecord]:
        """Records of the cells that ended without diverging."""
        return [record for record in self.records if record.status == "done"]

    @property
    def planned(self) -> int:
        """Number of cells of the setting, in any state."""
        return len(self.records) + len(self.failed) + self.missing

    @property
    def complete(self) -> bool:
        """Whether all cells are finished."""
        return 0 < len(self.finished) == self.planned

    @property
    def published(self) -> float | None:
        """The paper's result, in percent."""
        return self.counterpart.figure if self.counterpart else None

    @property
    def deviations(self) -> tuple[str, ...]:
        """Deviations of the cells from the paper's setup."""
        return tuple(self.counterpart.deviations) if self.counterpart else ()

    @property
    def source(self) -> str:
        """Table and setup of the paper's result."""
        return self.counterpart.source if self.counterpart else ""

    @property
    def seconds(self) -> float | None:
        """Mean wall time of training and evaluation; None if no cell is finished."""
        finished = self.finished
        return fmean(record.seconds for record in finished) if finished else None

    def accuracy(self, key: str) -> float | None:
        """Mean of an entry of `CellRecord.accuracy`, in percent; None if no cell has it."""
        values = [record.accuracy[key] for record in self.finished if key in record.accuracy]
        return fmean(values) if values else None

    def cost(self, name: str) -> float | None:
        """Mean of the statistic `cost/NAME`; None if a cell lacks it (records of earlier versions)."""
        values = [record.statistics.get(f"cost/{name}") for record in self.finished]
        counted = [value for value in values if value is not None]
        return fmean(counted) if counted and len(counted) == len(values) else None

    def active(self, source: str) -> float | None:
        """Share of a source's chosen negatives within the margin, 0 to 1 (`activity.active`)."""
        return active(self.finished, source)


@dataclass(frozen=True, slots=True)
class TableLine:
    """A row with statistics that compare it with other rows."""

    row: TableRow
    test: Estimate | None  # at the step chosen on validation, in percent; None if no cell is finished
    best: bool  # significantly better than every other complete line of its section
    versus_base: Difference | None  # None for the base, and if either has no predictions
    corrected_p: float | None  # its p, corrected for all comparisons in the table (Holm)
    marks: tuple[int, ...]  # 1-based numbers of its notes
    voted: Estimate | None = None  # test accuracy of the majority of `evaluation.votes` answers

    @property
    def setting(self) -> Setting:
        """The row's setting."""
        return self.row.setting

    @property
    def versus_published(self) -> float | None:
        """Points above the paper's result; None if either is missing or they are not comparable."""
        if self.test is None or self.row.published is None or self.row.deviations:
            return None
        return self.test.mean - self.row.published

    @property
    def differs(self) -> bool:
        """Whether the setting differs significantly from the base, over seeds."""
        difference = self._significant
        return difference is not None and not difference.of_students

    @property
    def students_differ(self) -> bool:
        """Whether the two students differ significantly, with one seed each: no evidence about settings."""
        difference = self._significant
        return difference is not None and difference.of_students

    @property
    def _significant(self) -> Difference | None:
        """The difference from the base if it is significant."""
        return self.versus_base if self.corrected_p is not None and self.corrected_p < LEVEL else None


@dataclass(frozen=True, slots=True)
class TeacherLine:
    """Accuracy of a teacher's answers on one split of a task (upper half of the paper's Table 3)."""

    teacher: str
    task: str
    split: str
    m: int  # answers per question, at most
    questions: int
    samples: int  # in total; a recording may have fewer than m per question
    single: Estimate  # accuracy of one answer, in percent
    vote: Estimate  # accuracy of the majority vote over m; ties go to the first sampled answer
    agreement: float  # mean share of the winner among a question's votes, in percent
    ties: int
    majority_right: int  # questions whose majority answer, without a tie, is right
    majority_wrong: int  # the same, wrong
    unparsed: Mapping[str, int]  # number of samples by reason
    uncued: int = 0  # labels that were parsed without a cue such as "the answer is"
    published: tuple[float, float] | None = None  # the paper's teacher: single answer, vote; in percent


@dataclass(frozen=True, slots=True)
class Table:
    """A complete table, ready for rendering in any format."""

    grid: str
    preset: str
    task: str
    about: tuple[str, ...]  # explanations of the columns
    lines: tuple[TableLine, ...]
    findings: tuple[str, ...]  # results of the comparisons, in words
    notes: tuple[str, ...]  # such as missing cells; `notes[i]` has the mark i + 1
    cost: bool = False  # whether there are columns for teacher tokens, FLOPs and minutes
    agreements: tuple[Agreement, ...] = ()  # of each section with results of the paper
    teachers: tuple[TeacherLine, ...] = ()

    def sections(self) -> list[tuple[str, list[TableLine]]]:
        """Groups and their lines, in order of first appearance."""
        groups: dict[str, list[TableLine]] = {}
        for line in self.lines:
            groups.setdefault(line.setting.group, []).append(line)
        return list(groups.items())
