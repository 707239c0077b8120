"""qcrd: distil chain-of-thought rationales into small students, and compare the ways of doing so."""

__version__ = "0.2.0"
