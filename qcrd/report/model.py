"""What a table is made of: settings with the records of their cells, and the figures that they come to."""

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
    """One setting of a grid and where it stands in the table: all that its cells share but the seed."""

    group: str  # section of the table, such as the swept factor; "" for none
    label: str  # the setting within the section, such as the factor's value
    factor: str | None = None  # the swept setting, as a dotted path
    base: bool = False  # whether its section is compared with it
    combinations: Sequence[Mapping[str, str]] = ()  # values of product factors that it is the result of

    @property
    def name(self) -> str:
        """Section and label."""
        return f"{self.group} {self.label}".strip()

    def title(self, space: str = " ") -> str:
        """The label, and behind `space` whether it is the base."""
        return self.label + (f"{space}(base)" if self.base else "")


@dataclass(frozen=True, slots=True)
class Counterpart:
    """The paper's figure for a setting."""

    figure: float  # percent
    unlike: Sequence[str] = ()  # in what the cells are not what it is of; () where it can be subtracted
    source: str = ""  # where it stands and of what it is: "Table 1 (SVAMP, T5-base, gold labels)"


@dataclass(frozen=True, slots=True)
class TableRow:
    """A setting with what is known of its cells."""

    setting: Setting
    records: Sequence[CellRecord]  # of all cells that ended, diverged ones too
    n_test: int  # test questions
    train: int = 0  # training questions
    method: str = ""
    failed: Sequence[str] = ()  # why, one line for each cell that failed
    missing: int = 0  # planned cells that have not ended yet
    counterpart: Counterpart | None = None
    agreement: bool = False  # whether the validation labels are the teacher's
    predictions: Sequence[Sequence[Prediction]] = ()  # on the test set, one list a finished cell

    @property
    def finished(self) -> list[CellRecord]:
        """Records of the cells whose accuracies count."""
        return [record for record in self.records if record.status == "done"]

    @property
    def planned(self) -> int:
        """Number of cells that the setting has."""
        return len(self.records) + len(self.failed) + self.missing

    @property
    def complete(self) -> bool:
        """Whether all its cells count."""
        return 0 < len(self.finished) == self.planned

    @property
    def published(self) -> float | None:
        """The paper's figure, in percent."""
        return self.counterpart.figure if self.counterpart else None

    @property
    def unlike(self) -> tuple[str, ...]:
        """In what the cells are not what the paper's figure is of."""
        return tuple(self.counterpart.unlike) if self.counterpart else ()

    @property
    def source(self) -> str:
        """Where the paper's figure stands."""
        return self.counterpart.source if self.counterpart else ""

    @property
    def seconds(self) -> float | None:
        """Mean wall time of training and evaluation; None where no cell is done."""
        finished = self.finished
        return fmean(record.seconds for record in finished) if finished else None

    def accuracy(self, key: str) -> float | None:
        """Mean of an entry of `CellRecord.accuracy`, in percent; None where no cell has it."""
        values = [record.accuracy[key] for record in self.finished if key in record.accuracy]
        return fmean(values) if values else None

    def cost(self, name: str) -> float | None:
        """Mean of `cost/NAME`; None where a cell did not count it, as those of earlier versions."""
        values = [record.statistics.get(f"cost/{name}") for record in self.finished]
        counted = [value for value in values if value is not None]
        return fmean(counted) if counted and len(counted) == len(values) else None

    def active(self, source: str) -> float | None:
        """Share of a source's chosen negatives within the margin, 0 to 1; see `activity.active`."""
        return active(self.finished, source)


@dataclass(frozen=True, slots=True)
class TableLine:
    """A row with what its figures come to among the others."""

    row: TableRow
    test: Estimate | None  # at the step chosen on validation, in percent; None where no cell is done
    best: bool  # better than every other complete line of its section, with evidence for each
    versus_base: Difference | None  # None for the base, and without predictions of both
    corrected_p: float | None  # that difference's, for the number of comparisons in the table (Holm)
    marks: tuple[int, ...]  # numbers of its notes, from 1

    @property
    def setting(self) -> Setting:
        """The row's."""
        return self.row.setting

    @property
    def versus_published(self) -> float | None:
        """Points more than the paper; None where either is, and where they are not comparable."""
        if self.test is None or self.row.published is None or self.row.unlike:
            return None
        return self.test.mean - self.row.published

    @property
    def differs(self) -> bool:
        """Whether there is evidence that the setting, over its seeds, differs from the base."""
        difference = self._significant
        return difference is not None and not difference.of_students

    @property
    def students_differ(self) -> bool:
        """Whether the two students differ; with one seed each that is no evidence about their settings."""
        difference = self._significant
        return difference is not None and difference.of_students

    @property
    def _significant(self) -> Difference | None:
        """The difference from the base where there is evidence for it."""
        return self.versus_base if self.corrected_p is not None and self.corrected_p < LEVEL else None


@dataclass(frozen=True, slots=True)
class TeacherLine:
    """A teacher's answers to one split of a task; the upper half of the paper's Table 3."""

    teacher: str
    task: str
    split: str
    m: int  # answers per question
    questions: int
    samples: int  # recorded ones may be fewer than m a question
    single: Estimate  # accuracy of one answer, in percent
    vote: Estimate  # accuracy of the vote over m, a tie going to the first sampled
    agreement: float  # mean share of a question's votes that the winner has, in percent
    ties: int
    majority_right: int  # questions with a strict winner, by whether it is right
    majority_wrong: int
    unparsed: Mapping[str, int]  # reason to number of samples
    uncued: int = 0  # labels that were read without a cue
    published: tuple[float, float] | None = None  # the paper's teacher: one answer, vote; in percent


@dataclass(frozen=True, slots=True)
class Table:
    """A whole table, ready to be written in any format."""

    grid: str
    preset: str
    task: str
    about: tuple[str, ...]  # what the figures and intervals are
    lines: tuple[TableLine, ...]
    findings: tuple[str, ...]  # what the comparisons come to, in words
    notes: tuple[str, ...]  # what the figures leave out or mix; note i + 1 is the lines' mark i + 1
    cost: bool = False  # whether what a setting costs stands beside what it brings
    agreements: tuple[Agreement, ...] = ()  # with the paper's order, of each section that has figures
    teachers: tuple[TeacherLine, ...] = ()

    def sections(self) -> list[tuple[str, list[TableLine]]]:
        """Groups and their lines, in the order in which they first come."""
        groups: dict[str, list[TableLine]] = {}
        for line in self.lines:
            groups.setdefault(line.setting.group, []).append(line)
        return list(groups.items())
