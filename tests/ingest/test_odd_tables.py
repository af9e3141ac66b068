"""Tables as hospitals export them: odd line ends, odd letters, odd names, wrong files."""

import dataclasses
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from fewcase.data.files import read_table
from fewcase.data.recordings import Recording, Refusal, read_recordings
from fewcase.ingest.ctg_table import read_ctg_table
from fewcase.ingest.store import write_recordings
from fewcase.study.errors import InputError
from fewcase.study.fields import read_section
from fewcase.study.sources import CtgTable
from fewcase.study.splits import HeldOut

COLUMNS = {"record": "record", "patient": "id", "file": "file", "site": "site"}
HEADER = "record,id,site,file,apgar1\n"


def read(folder: Path, content: str | bytes, name: str = "t.csv", **changes):
    """Read one table beside the signal file s.npy."""
    np.save(folder / "s.npy", np.stack([np.full(1200, 140.0), np.zeros(1200)]))
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(raw)
    section = {"table": name, "columns": COLUMNS, "sampling_hz": 4, **changes}
    return list(read_ctg_table(read_section(CtgTable, section, "ctg_table"), folder))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\n\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_make_no_difference(tmp_path, end, mark):
    lines = ["record,id,site,file", "1,007,A,s.npy", "2,7,A,s.npy", ""]
    items = read(tmp_path, mark + end.join(lines))
    assert [(item.record, item.patient) for item in items] == [("A/1", "A/007"), ("A/2", "A/7")]


def test_patients_keep_their_leading_zeros_until_the_store(tmp_path):
    rows = "".join(f"{i},{patient},A,s.npy,9\n" for i, patient in enumerate(["7", "007", "7.0"]))
    write_recordings(read(tmp_path, HEADER + rows), tmp_path / "out")
    assert read_recordings(tmp_path / "out")[0]["patient"].tolist() == ["A/7", "A/007", "A/7.0"]


def test_names_that_look_alike_are_one_name(tmp_path):
    composed = unicodedata.normalize("NFC", "ガé")
    in_pieces = unicodedata.normalize("NFD", "ガé")
    assert composed != in_pieces
    rows = f"1,{composed},{composed},s.npy,9\n2,{in_pieces}\u200b,\ufeff{in_pieces},s.npy,9\n"
    items = read(tmp_path, HEADER + rows)
    assert {item.patient for item in items} == {f"{composed}/{composed}"}
    assert {item.site for item in items} == {composed, HeldOut(in_pieces).site}


def test_a_column_is_found_however_its_letters_are_composed(tmp_path):
    header = unicodedata.normalize("NFC", "ガ,id,site,file\n")
    columns = {**COLUMNS, "record": unicodedata.normalize("NFD", "ガ")}
    assert read(tmp_path, header + "1,p,A,s.npy\n", columns=columns)[0].record == "A/1"


@pytest.mark.parametrize("blank", ["", " ", "\u3000", "\u00a0", "\u200b", "NA", "-"])
def test_a_patient_without_a_name_is_refused_with_file_and_row(tmp_path, blank):
    items = read(tmp_path, HEADER + f"1,p,A,s.npy,9\n2,{blank},A,s.npy,9\n")
    write_recordings(items, tmp_path / "out")
    refused = read_table(tmp_path / "out" / "rejected.parquet").iloc[0]
    assert (refused["record"], refused["reason"]) == ("A/2", "blank patient")
    assert f"{tmp_path / 't.csv'}, row 2, A/2: patient is ''" in refused["detail"]


def test_what_is_wrong_with_a_row_is_told_with_file_and_row(tmp_path):
    columns = {**COLUMNS, "apgar1": "apgar1"}
    rows = "1,p,A,s.npy,9\n2,q,A,s.npy,11\n3,r,A,s.npy,9\n3,s,A,s.npy,9\n"
    write_recordings(read(tmp_path, HEADER + rows, columns=columns), tmp_path / "out")
    details = read_table(tmp_path / "out" / "rejected.parquet")["detail"].tolist()
    where = f"{tmp_path / 't.csv'}, row"
    assert details == [
        f"{where} 2, A/2: apgar1 is 11.0, expected a whole number from 0 to 10.",
        f"{where} 3, A/3: 2 recordings have this name, expected one.",
        f"{where} 4, A/3: 2 recordings have this name, expected one.",
    ]


def test_names_with_separators_quotes_and_dots_are_names_like_others(tmp_path):
    names = ["../../up", "a/b", "x\\y", "$HOME", "{x}", "it's", ";rm", "*"]
    rows = "".join(f"{name},{name},A {name},s.npy,9\n" for name in names)
    before = {path for path in tmp_path.parent.rglob("*") if tmp_path not in path.parents}
    write_recordings(read(tmp_path, HEADER + rows), tmp_path / "out")
    table, _ = read_recordings(tmp_path / "out")
    assert table["record"].tolist() == [f"A {name}/{name}" for name in names]
    assert table["site"].tolist() == [f"A {name}" for name in names]
    after = {path for path in tmp_path.parent.rglob("*") if tmp_path not in path.parents}
    assert after == before


@pytest.mark.parametrize(
    "name", ["x" * 400 + ".npy", "x" * 400 + ".csv", "x" * 400, "no\0.npy", "."]
)
def test_a_file_name_that_no_file_can_have_is_refused(tmp_path, name):
    (item,) = read(tmp_path, HEADER + f"1,p,A,{name},9\n")
    assert isinstance(item, Refusal)
    assert item.reason == "missing file"


def test_a_signal_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "secret.csv").write_text("fhr,uc\n140,10\n")
    plain_read = Path.read_bytes

    def read_bytes(path):
        if path.name == "secret.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return plain_read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    (item,) = read(tmp_path, HEADER + "1,p,A,secret.csv,9\n")
    assert (item.reason, "Permission denied" in item.detail) == ("unreadable file", True)


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (b"PK\x03\x04\x14\x00\x06\x00", {}, r"t\.csv: an Excel or zip file\. Save .* as CSV"),
        (HEADER.encode("utf-16"), {}, r"not text in the encoding .*encoding: utf-16"),
        (b"", {}, r"t\.csv: no column 'record'"),
        (b"no parquet", {"name": "t.parquet"}, r"t\.parquet: not a parquet table\. Save it as one"),
        (HEADER, {"encoding": "base64"}, r"ctg_table\.encoding: 'base64' is no encoding"),
        (
            HEADER,
            {"outcomes": {"start": "apgar1"}},
            r"outcomes\.start: every record has a column of this name; call 'apgar1' something",
        ),
    ],
)
def test_a_table_that_is_none_stops_the_study(tmp_path, content, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, content, **changes)
    assert "Delete it" not in str(caught.value), "a hospital's own table must not be deleted"


def test_a_recording_tells_where_it_was_read(tmp_path):
    (item,) = read(tmp_path, HEADER + "1,p,A,s.npy,9\n")
    assert isinstance(item, Recording)
    assert item.where == f"{tmp_path / 't.csv'}, row 1, A/1"
    assert dataclasses.replace(item, origin="").where == "A/1"
