"""An own selection rule: the n shortest rationales of a question."""

from qcrd.rationales.select import SELECTIONS, Rule


def shortest(candidates, n, chance):
    """Numbers of the candidates with the fewest words; of equals the first drawn."""
    return sorted(range(len(candidates)), key=lambda i: len(candidates[i].text.split()))[:n]


SELECTIONS.register(Rule("shortest", shortest))
