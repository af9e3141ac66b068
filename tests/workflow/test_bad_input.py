"""Bad recordings and broken splits as a user meets them: by the commands of the stages."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from fewcase.data.files import read_table, table_metadata, write_table

SCRIPTS = Path(__file__).parents[2] / "workflow"
TARGET = json.dumps({"rule": "apgar"})


def stage(name: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a stage's script; a list gives an option several values."""
    command = [sys.executable, str(SCRIPTS / f"{name}.py")]
    for key, value in options.items():
        values = value if isinstance(value, list) else [value]
        command += [f"--{key.replace('_', '-')}", *map(str, values)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def told(process: subprocess.CompletedProcess[str]) -> str:
    """Return the one message of a stage that stopped."""
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    errors = [line for line in process.stderr.splitlines() if " ERROR " in line]
    assert len(errors) == 1
    return errors[0].partition(" ERROR ")[2]


def cohort(folder: Path, source: str, options: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run the stages up to the labelled examples; return them, and all refusals."""
    recordings, window = folder / "recordings", folder / "window"
    records, examples = recordings / "records.parquet", folder / "examples.parquet"
    unlabelled, rejected = folder / "unlabelled.parquet", folder / "rejected.parquet"
    for done in (
        stage("ingest", source=source, options=json.dumps(options), data=folder, out=recordings),
        stage("process_signal", recordings=recordings, options='{"minutes": 10}', out=window),
        stage(
            "cohort", records=records, examples=window / "examples.parquet",
            quality=window / "quality.parquet", target=TARGET, max_missing=0.5,
            out=examples, out_digest=folder / "examples.hash", out_refused=unlabelled,
        ),
        stage(
            "flow", records=records, examples=examples, target=TARGET,
            rejected=[recordings / "rejected.parquet", window / "rejected.parquet", unlabelled],
            out_rejected=rejected, out_flow=folder / "flow.csv",
        ),
    ):  # fmt: skip
        assert done.returncode == 0, done.stderr
    return read_table(examples), read_table(rejected)


def pair(minutes: float = 12) -> np.ndarray:
    """Return FHR and UC at 4 Hz, (2, n)."""
    time = np.arange(round(240 * minutes))
    return np.stack([140 + 8 * np.sin(time / 90), 30 + 20 * np.sin(time / 200)])


def test_every_bad_row_of_a_hospital_s_table_is_rejected_with_its_reason(tmp_path: Path) -> None:
    def with_samples(value: float, samples: slice) -> np.ndarray:
        signals = pair()
        signals[0, samples] = value
        return signals

    good = {"apgar1": 9, "apgar5": 9}
    bad = {
        "infinite": ({**good, "signals": with_samples(np.inf, slice(7, 9))}, "infinite samples"),
        "zeros": ({**good, "signals": with_samples(0, slice(None))}, "no heart rate"),
        "lost": ({**good, "signals": with_samples(np.nan, slice(0, 2000))}, "too much signal lost"),
        "short": ({**good, "signals": pair(5)}, "too short"),
        "hertz": ({**good, "signals": pair() / 60}, "wrong units"),
        "eleven": ({**good, "apgar1": 11}, "impossible outcome"),
        "silent": ({"apgar1": None, "apgar5": None}, "no label"),
        "nobody": ({**good, "patient": " "}, "blank patient"),
        "torn": ({**good, "signals": None}, "unreadable file"),
        "twin": (good, "duplicate name"),
        "twin ": (good, "duplicate name"),
    }
    kept = {"one": (good, ""), "two": ({**good, "apgar1": 4}, "")}
    kept["gaps"] = ({**good, "signals": with_samples(np.nan, slice(0, 100))}, "")
    rows = []
    for name, (cells, _) in {**kept, **bad}.items():
        cells = dict(cells)
        signals = cells.pop("signals", pair())
        file = f"{len(rows)}.npy"
        if signals is None:
            (tmp_path / file).write_bytes(b"\x93NUMPY torn")
        else:
            np.save(tmp_path / file, signals)
        rows.append({"record": name, "patient": f"p {name}", "file": file, **cells})
    pd.DataFrame(rows).to_csv(tmp_path / "births.csv", index=False)
    columns = {name: name for name in ("record", "patient", "file", "apgar1", "apgar5")}
    options = {"table": "births.csv", "columns": columns, "site": "A", "sampling_hz": 4}
    examples, rejected = cohort(tmp_path, "ctg_table", options)
    assert examples["example"].tolist() == [f"A/{name}" for name in kept]
    expected = [(f"A/{name.strip()}", reason) for name, (_, reason) in bad.items()]
    found = rejected[["record", "reason"]].itertuples(index=False, name=None)
    assert sorted(found) == sorted(expected)
    told_of_eleven = rejected["detail"][rejected["record"] == "A/eleven"].item()
    assert "births.csv, row 9, A/eleven: apgar1 is 11.0, expected a whole" in told_of_eleven


def test_every_bad_wfdb_record_is_rejected_with_its_reason(tmp_path: Path) -> None:
    changes = {
        "1001": ("", ""), "1002": ("Apgar1 9", "Apgar1 5"), "1003": ("Apgar1 9", ""),
        "1004": ("Apgar1 9", "Apgar1 11"), "1005": ("", ""),
    }  # fmt: skip
    for name, (old, new) in changes.items():
        wfdb.wrsamp(
            name, fs=4, units=["bpm", "nd"], sig_name=["FHR", "UC"], p_signal=pair().T,
            fmt=["16", "16"], comments=["Apgar1 9", "Apgar5 9"], write_dir=str(tmp_path),
        )  # fmt: skip
        header = tmp_path / f"{name}.hea"
        header.write_text(header.read_text().replace(old, new, 1) if old else header.read_text())
    signal = tmp_path / "1005.dat"
    signal.write_bytes(signal.read_bytes()[:-100])
    examples, rejected = cohort(tmp_path, "ctu_uhb", {})
    assert examples["example"].tolist() == ["1001", "1002"]
    assert dict(zip(rejected["record"], rejected["reason"], strict=True)) == {
        "1003": "no label", "1004": "impossible outcome", "1005": "truncated signal",
    }  # fmt: skip
    details = dict(zip(rejected["record"], rejected["detail"], strict=True))
    assert details["1003"] == "1003: apgar1 is unknown"
    assert f"{tmp_path / '1004'}.hea, 1004: apgar1 is 11.0" in details["1004"]
    assert f"{signal}: 11420 bytes, expected 11520" in details["1005"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("empty", "holds no WFDB record (no .hea file). Set data="),
        ("nowhere", "no such folder. Set data="),
        ("file", "a file, expected a folder. Set data="),
    ],
)
def test_data_that_is_no_folder_of_recordings_stops_ingest(
    tmp_path: Path, data: str, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    done = stage("ingest", source="ctu_uhb", data=tmp_path / data, out=tmp_path / "out")
    assert told(done).startswith(f"{tmp_path / data}: {words}")
    assert not list(tmp_path.glob("out/*"))


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Return 24 labelled examples of two sites."""
    rows = [
        {
            "row": i, "example": f"r{i}", "parent": f"r{i}", "patient": f"p{i}",
            "site": "north" if i % 2 else "it's \"south\"/1", "date": pd.NaT, "label": i // 2 % 2,
        }
        for i in range(24)
    ]  # fmt: skip
    table = pd.DataFrame(rows).astype({"date": "datetime64[us]", "label": "int8"})
    write_table(tmp_path / "examples.parquet", table)
    return tmp_path / "examples.parquet"


def split_options(site: str, **changes: object) -> str:
    return json.dumps(
        {"target": "risk", "hold_out": [{"site": site}], "folds": 2, "inner_folds": 0, **changes}
    )


def break_split(path: Path, name: str) -> None:
    """Do to a split file what its reader must notice."""
    split, metadata = read_table(path), table_metadata(path)
    trained = split.index[split["fold"] >= 0]
    if name == "patient":
        one, other = split.index[split["fold"] == 0][0], split.index[split["fold"] == 1][0]
        split.loc[[one, other], "patient"] = "p 007"
    elif name == "site":
        split.loc[trained[0], "site"] = "north"
    else:
        split.loc[trained[0], "fold"] = 7
    write_table(path, split, metadata)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("patient", "patient 'p 007' is in two folds, 0 and 1"),
        ("site", "site 'north' (north) is held out but in a fold"),
        ("fold", "has a fold that is out of range: expected 0 to 1, or -1 for none, fold 7"),
    ],
)
def test_a_broken_split_file_stops_the_stage_that_reads_it(
    examples: Path, tmp_path: Path, name: str, words: str
) -> None:
    split, out = tmp_path / "split.parquet", tmp_path / "sample.parquet"
    done = stage("split", examples=examples, options=split_options("north"), seed=0, out=split)
    assert done.returncode == 0, done.stderr
    break_split(split, name)
    options = '{"neg_per_pos": 1, "bags": 1}'
    message = told(stage("sample", split=split, options=options, seed=0, out=out))
    assert message.startswith(f"{split}: ")
    assert words in message
    assert message.endswith("Delete the file and run the split stage again.")
    assert not out.exists()


def test_a_site_of_any_name_can_be_held_out_and_one_that_is_not_there_is_named(
    examples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "split.parquet"
    odd = split_options('it\'s "south"/1')
    assert stage("split", examples=examples, options=odd, seed=0, out=out).returncode == 0
    assert set(read_table(out).query("test_set == 'external'")["site"]) == {'it\'s "south"/1'}
    done = stage("split", examples=examples, options=split_options("nort"), seed=0, out=out)
    assert told(done).startswith(
        "hold_out: no example is of site 'nort'. Did you mean 'north'? Or all of its recordings"
    )


def test_a_cohort_of_one_class_stops_the_split(examples: Path, tmp_path: Path) -> None:
    write_table(examples, read_table(examples).assign(label=np.int8(0)))
    out = tmp_path / "split.parquet"
    done = stage("split", examples=examples, options=split_options("north"), seed=0, out=out)
    assert "all 24 examples of target 'risk' have the label 0; check the target's" in told(done)
