"""Make the table and the figure of one experiment from the scores of its arms."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.data.files import atomic_path
from fewcase.evaluation.experiments import Scores, read_experiment, tabulate
from fewcase.evaluation.figures import draw, save
from fewcase.evaluation.tables import lay_out, to_latex, to_markdown


def main(options: argparse.Namespace) -> None:
    experiment = read_experiment(options.experiment)
    numbers = tabulate(experiment, Scores.read(options.scores))
    table = lay_out(experiment, numbers)
    with atomic_path(options.csv) as temporary:
        numbers.to_csv(temporary, index=False, lineterminator="\n")
    for path, text in [
        (options.md, to_markdown(table)),
        (options.tex, to_latex(table, experiment.name)),
    ]:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    save(draw(experiment, numbers), options.svg, options.png)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--experiment",
        required=True,
        metavar="JSON",
        help="name, title, layout, vary, arms (arm, split, factors, leaky), simulated, leaky, "
        "published",
    )
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="CSV of each arm")
    for name in ("csv", "md", "tex", "svg", "png"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
