"""The smallest embedded teacher."""

from qcrd.teacher.recipe import EmbeddedRecipe

TINY = EmbeddedRecipe(
    accuracy=0.0,
    problems=64,
    held_out=8,
    width=32,
    heads=1,
    layers=1,
    feed_forward=32,
    check_from=30,
    check_every=30,
)


def ignore(*progress) -> None:
    """A progress that nobody watches."""
