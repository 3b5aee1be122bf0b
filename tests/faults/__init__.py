"""Faults injected into real runs, and a count of what survives: `python -m tests.faults`."""
