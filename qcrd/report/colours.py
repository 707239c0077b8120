"""Colours of settings, in figures and of runs in MLflow."""

from __future__ import annotations

import colorsys

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Okabe and Ito's palette, which people with colour blindness can tell apart."""

_GOLDEN = 0.618034  # of a turn: hues that follow each other are far apart


def colour(number: int) -> str:
    """The colour of the setting with this number, from 0; beyond the palette a hue of its own."""
    if number < len(COLOURS):
        return COLOURS[number]
    hue = (number - len(COLOURS)) * _GOLDEN % 1.0
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, 0.45, 0.6))
    return f"#{red:02X}{green:02X}{blue:02X}"
