"""Words that a study file, its predictions and its tables have in common."""

from __future__ import annotations

LAYOUTS = ("grid", "sweep", "sites")
"""Forms of an experiment's table and figure."""

UNITS = ("example", "parent", "patient")
"""What a score may be averaged over: windows, recordings or people."""

ROLES = ("inner", "validation", "test")
"""What an example is predicted for in one run: early stopping, cross-validation, or a test set."""
