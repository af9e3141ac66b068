"""Words that a study file, its predictions and its tables have in common."""

from __future__ import annotations

LAYOUTS = ("grid", "sweep", "sites", "audit")
"""Forms of an experiment's table and figure."""

UNITS = ("example", "parent", "patient")
"""What a score may be averaged over: windows, recordings or people."""

ROLES = ("inner", "validation", "test")
"""What an example is predicted for in one run: early stopping, cross-validation, or a test set."""

DUPLICATE_POLICIES = ("group", "drop", "fail", "ignore")
"""What is done with copies of an example under other names."""

SHORTCUTS = ("prior", "file", "signal", "four_features", "pixels", "metadata")
"""Cheap baselines that stand beside every model, in the order in which tables list them."""

METADATA_COLUMNS = ("site", "year", "maternal_age", "gestational_weeks")
"""Columns of a record that the shortcut `metadata` looks at unless a study names its own."""

SHORTCUT_PREFIX = "shortcut:"
"""What the name of a shortcut begins with where it stands among the names of arms."""
