"""Dual rationales: a correct and a wrong rationale that are similar, and the key tokens in which they differ.

In EDIT (`qcrd.objectives.edit`) the key tokens are those that a minimum edit script from the wrong to the
correct rationale changes: inserted or replaced tokens of the correct one, deleted or replaced tokens of the
wrong one. The edit distance is over the student's tokens, because the loss acts on them. If several scripts
are minimal, rapidfuzz's choice is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Tokens = Sequence[int]


@dataclass(frozen=True, slots=True)
class Dual:
    """A pair of different rationales of one question, as token ids, with their key tokens."""

    right: Tokens
    wrong: Tokens
    right_keys: tuple[bool, ...]  # for each token of `right`: whether it was inserted or replaced
    wrong_keys: tuple[bool, ...]  # for each token of `wrong`: whether it was deleted or replaced
    distance: int  # edit distance, at least 1


def closest(pairs: Iterable[tuple[Tokens, Tokens]]) -> Dual | None:
    """Select the pair with the smallest edit distance; the first of equals.

    Pairs of equal rationales (with different answers) have no key tokens and are ignored.

    Args:
        pairs: (right, wrong) pairs.

    Returns:
        None if no pair is left.
    """
    pairs = list(pairs)
    nearest = _nearest([_distance(right, wrong) for right, wrong in pairs])
    return None if nearest is None else _dual(*pairs[nearest])


def key_weights(rights: Sequence[Tokens], wrongs: Sequence[Tokens], key: float) -> list[list[float]]:
    """Token weights of all rationales of a question, by comparing each with the nearest of the other side.

    Args:
        rights: correct rationales.
        wrongs: wrong rationales, of the teacher or the student.
        key: weight of key tokens; other tokens have weight 1.

    Returns:
        Token weights of each rationale, `rights` first; all 1 if the other side has no different rationale.
    """
    distances = [[_distance(r, w) for w in wrongs] for r in rights]
    key_masks = []
    for r, row in zip(rights, distances, strict=True):
        nearest = _nearest(row)
        key_masks.append([False] * len(r) if nearest is None else _dual(r, wrongs[nearest]).right_keys)
    for n, w in enumerate(wrongs):
        nearest = _nearest([row[n] for row in distances])
        key_masks.append([False] * len(w) if nearest is None else _dual(rights[nearest], w).wrong_keys)
    return [[key if is_key else 1.0 for is_key in mask] for mask in key_masks]


def dual_statistics(duals: Sequence[Dual | None]) -> dict[str, float]:
    """Statistics of the dual pairs.

    Args:
        duals: the pair of each question; None without one.

    Returns:
        `questions` (with a pair), `without` (a pair), `distance` (mean edit distance per pair), `key_right`
        and `key_wrong` (percentage of key tokens among the tokens of each side; in the paper 4.7).
    """
    pairs = [dual for dual in duals if dual is not None]
    return {
        "questions": len(pairs),
        "without": len(duals) - len(pairs),
        "distance": sum(dual.distance for dual in pairs) / max(len(pairs), 1),
        "key_right": _share([dual.right_keys for dual in pairs]),
        "key_wrong": _share([dual.wrong_keys for dual in pairs]),
    }


def _distance(right: Tokens, wrong: Tokens) -> int:
    from rapidfuzz.distance import Levenshtein  # imported here: only EDIT needs it

    return Levenshtein.distance(wrong, right)


def _nearest(distances: Sequence[int]) -> int | None:
    """Index of the smallest distance above 0, the first of equals; None if all are 0."""
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
