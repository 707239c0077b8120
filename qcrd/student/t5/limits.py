"""Limits of the student's memory that planning counts with too. Imports nothing."""

RECORDED = 4 * 2**30  # bytes that a recorded forward pass may take; beyond that, the chosen are run again
