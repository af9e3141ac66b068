"""Write the plan of a study: every arm spelled out, and the study file as it was in effect."""

import argparse
import csv
import json
import sys
from pathlib import Path

from fewcase.data.files import atomic_path, write_json
from fewcase.data.stage import run


def parse() -> argparse.ArgumentParser:
    """Return the stage's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", required=True, metavar="JSON", help="recipes by name of the arm")
    parser.add_argument("--study", required=True, metavar="JSON", help="the study in effect")
    parser.add_argument("--out-arms", type=Path, required=True, help="CSV, one row per arm")
    parser.add_argument("--out-study", type=Path, required=True, help="JSON of the study")
    return parser


def main(options: argparse.Namespace) -> None:
    """Write both files."""
    arms = json.loads(options.arms)
    factors = list(next(iter(arms.values())))
    with (
        atomic_path(options.out_arms) as path,
        path.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, ["arm", *factors], lineterminator="\n")
        writer.writeheader()
        for name, recipe in arms.items():
            writer.writerow({"arm": name, **{k: _cell(v) for k, v in recipe.items()}})
    write_json(options.out_study, json.loads(options.study))


def _cell(value: object) -> object:
    return json.dumps(value, sort_keys=True) if isinstance(value, (dict, bool)) else value


if __name__ == "__main__":
    sys.exit(run(main, parse()))
