"""Dual chains of thought: a right and a wrong rationale with similar paths, and the key steps between them.

EDIT (`qcrd.objectives.edit`) takes as key steps what a minimum edit script from the wrong rationale to the
right one changes: tokens inserted or replaced on the right side, deleted or replaced on the wrong one. Edits
are counted in the student's tokens, whose likelihood is what is raised and lowered; of several shortest
scripts it is rapidfuzz's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Tokens = Sequence[int]


@dataclass(frozen=True, slots=True)
class Dual:
    """Two different rationales of one question, as token ids, with their key tokens."""

    right: Tokens
    wrong: Tokens
    right_keys: tuple[bool, ...]  # for each token of `right` whether it was inserted or replaced
    wrong_keys: tuple[bool, ...]  # for each token of `wrong` whether it was deleted or replaced
    distance: int  # edits between them, at least 1


def closest(pairs: Iterable[tuple[Tokens, Tokens]]) -> Dual | None:
    """Of (right, wrong) pairs the one with the fewest edits, the first of equals.

    Equal rationales (with different answers) have no step between them: such a pair counts for nothing.

    Returns:
        None where there is no pair.
    """
    pairs = list(pairs)
    nearest = _nearest([_distance(right, wrong) for right, wrong in pairs])
    return None if nearest is None else _dual(*pairs[nearest])


def key_weights(rights: Sequence[Tokens], wrongs: Sequence[Tokens], key: float) -> list[list[float]]:
    """Weights of the tokens of all of a question's rationales, each beside the nearest of the other side.

    Args:
        rights: right rationales.
        wrongs: wrong ones, of the teacher or of the student.
        key: weight of a key token; another has 1.

    Returns:
        For each of `rights`, then for each of `wrongs`, the weights of its tokens; 1 for all where the other
        side has nothing else than this rationale.
    """
    distances = [[_distance(r, w) for w in wrongs] for r in rights]  # of use to both sides
    found = []
    for r, row in zip(rights, distances, strict=True):
        nearest = _nearest(row)
        found.append([False] * len(r) if nearest is None else _dual(r, wrongs[nearest]).right_keys)
    for n, w in enumerate(wrongs):
        nearest = _nearest([row[n] for row in distances])
        found.append([False] * len(w) if nearest is None else _dual(rights[nearest], w).wrong_keys)
    return [[key if marked else 1.0 for marked in keys] for keys in found]


def dual_statistics(duals: Sequence[Dual | None]) -> dict[str, float]:
    """What there is to learn key steps from, over the questions.

    Returns:
        `questions` with a pair and `without`; `distance`, the mean of edits per pair; `key_right` and
        `key_wrong`, the percentage of key tokens among the tokens of a side (the paper: 4.7).
    """
    found = [dual for dual in duals if dual is not None]
    return {
        "questions": len(found),
        "without": len(duals) - len(found),
        "distance": sum(dual.distance for dual in found) / max(len(found), 1),
        "key_right": _share([dual.right_keys for dual in found]),
        "key_wrong": _share([dual.wrong_keys for dual in found]),
    }


def _distance(right: Tokens, wrong: Tokens) -> int:
    from rapidfuzz.distance import Levenshtein  # no other method needs it

    return Levenshtein.distance(wrong, right)


def _nearest(distances: Sequence[int]) -> int | None:
    """Number of the least distance that is not 0, the first of equals; None where all are 0."""
    return min((n for n, d in enumerate(distances) if d), key=distances.__getitem__, default=None)


def _dual(right: Tokens, wrong: Tokens) -> Dual:
    from rapidfuzz.distance import Levenshtein

    right_keys, wrong_keys = [False] * len(right), [False] * len(wrong)
    script = Levenshtein.editops(wrong, right)
    for edit in script:
        if edit.tag != "delete":
            right_keys[edit.dest_pos] = True
        if edit.tag != "insert":
            wrong_keys[edit.src_pos] = True
    return Dual(right, wrong, tuple(right_keys), tuple(wrong_keys), len(script))


def _share(keys: Sequence[Sequence[bool]]) -> float:
    return 100 * sum(map(sum, keys)) / max(sum(map(len, keys)), 1)
