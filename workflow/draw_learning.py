"""Draw how the arms of an experiment learned: their losses and accuracies by epoch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.reporting.certificate_table import read_standings
from fewcase.reporting.display import write_display
from fewcase.reporting.experiment_plan import read_experiment
from fewcase.reporting.figures import save
from fewcase.reporting.learning_curves import read_learning
from fewcase.reporting.learning_figure import LearningFigure


def main(options: argparse.Namespace) -> None:
    standings = read_standings(options.certificates)
    experiment = read_experiment(options.experiment).certified(standings)
    learnings = [read_learning(folder, options.runs) for folder in options.arms]
    figure = LearningFigure.of(experiment, learnings)
    save(figure.draw(), options.svg, options.png)
    write_display(options.display, [figure.lay_out()], figure.caption())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--experiment",
        required=True,
        metavar="JSON",
        help="the experiment, see tabulate_experiment.py",
    )
    parser.add_argument(
        "--arms",
        type=Path,
        nargs="+",
        required=True,
        metavar="FOLDER",
        help="runs/ARM/SPLIT of its arms, with seed-*/fold-*/history.csv and options.json",
    )
    parser.add_argument(
        "--runs",
        nargs="*",
        default=[],
        metavar="SEED/FOLD",
        help="which runs of each arm; all that are there where none is named",
    )
    parser.add_argument(
        "--certificates",
        type=Path,
        nargs="*",
        default=[],
        help="certificates of the splits, which say whether they leak",
    )
    for name in ("svg", "png", "display"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
