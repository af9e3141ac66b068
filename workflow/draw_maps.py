"""Draw a contact sheet of explanation maps: surest and right, surest and wrong, most divided."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fewcase.data import stage
from fewcase.explain.map_files import read_maps
from fewcase.reporting.certificate_table import read_standings
from fewcase.reporting.display import write_display
from fewcase.reporting.figures import save
from fewcase.reporting.map_sheet import MapSheet
from fewcase.reporting.performance import read_subject


def main(options: argparse.Namespace) -> None:
    subject = read_subject(options.content).certified(read_standings(options.certificates))
    sheet = MapSheet.of(subject, [read_maps(folder).held_out() for folder in options.maps])
    save(sheet.draw(), options.svg, options.png)
    write_display(options.display, [sheet.lay_out()], sheet.caption())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--content", required=True, metavar="JSON", help="see tabulate_performance.py")
    add("--maps", type=Path, nargs="+", required=True, metavar="FOLDER", help="of each run")
    add("--certificates", type=Path, nargs="*", default=[], help="certificates of the split")
    for name in ("svg", "png", "display"):
        add(f"--{name}", type=Path, required=True)
    sys.exit(stage.run(main, parser))
