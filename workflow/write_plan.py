"""Write the plan of a study: every arm spelled out, and the study file as it was in effect."""

import argparse
import csv
import json
import sys
from pathlib import Path

from fewcase.data.files import atomic_path, write_json
from fewcase.data.stage import run
from fewcase.study.plan import read_study
from fewcase.study.recipe import CLASSICAL_FACTORS, FACTORS


def parse() -> argparse.ArgumentParser:
    """Return the stage's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, metavar="JSON", help="the study in effect")
    parser.add_argument("--out-arms", type=Path, required=True, help="CSV, one row per arm")
    parser.add_argument("--out-study", type=Path, required=True, help="JSON of the study")
    return parser


def main(options: argparse.Namespace) -> None:
    """Write both files."""
    effective = json.loads(options.study)
    arms = read_study({**effective, "presets": {effective["preset"]: {}}}).arms
    with (
        atomic_path(options.out_arms) as path,
        path.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, ["arm", *FACTORS], lineterminator="\n")
        writer.writeheader()
        for name, recipe in arms.items():
            factors = CLASSICAL_FACTORS if recipe.is_classical else FACTORS
            writer.writerow({"arm": name, **{k: _cell(getattr(recipe, k)) for k in factors}})
    write_json(options.out_study, effective)


def _cell(value: object) -> object:
    return json.dumps(value, sort_keys=True) if isinstance(value, (dict, bool)) else value


if __name__ == "__main__":
    sys.exit(run(main, parse()))
