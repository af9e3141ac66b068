"""Time and memory of every stage of a finished study, from what Snakemake recorded of its jobs.

snakemake --cores 2 all_images --configfile studies/ctg.yaml --config preset=full
python benchmarks/stages.py results/ctg/full
"""

import argparse
from pathlib import Path

import pandas as pd


def main() -> None:
    """Print one row per stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder results/{study}/{preset}")
    folder = parser.parse_args().results / "benchmarks"
    rows = []
    for path in sorted(folder.rglob("*.tsv")):
        stage = path.relative_to(folder).parts[0].removesuffix(".tsv")
        job = pd.read_csv(path, sep="\t", na_values="-").iloc[0]
        rows.append({"stage": stage, "s": job["s"], "rss": job["max_rss"]})
    if not rows:
        raise SystemExit(f"{folder}: no job has been recorded there.")
    print("| stage | jobs | seconds in all | seconds each | largest memory, MiB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for stage, jobs in pd.DataFrame(rows).groupby("stage", sort=False):
        total, each, memory = jobs["s"].sum(), jobs["s"].mean(), jobs["rss"].max()
        print(f"| {stage} | {len(jobs)} | {total:.1f} | {each:.2f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
