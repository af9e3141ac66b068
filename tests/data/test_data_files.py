"""Claims about files that appear whole or not at all."""

import hashlib
import os
import stat

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import (
    atomic_path,
    content_digest,
    read_json,
    read_table,
    table_metadata,
    write_digest,
    write_json,
    write_table,
)
from fewcase.study.errors import InputError


def test_a_file_appears_only_once_it_is_whole(tmp_path):
    path = tmp_path / "made" / "on the way" / "array.npy"
    with atomic_path(path) as temporary:
        np.save(temporary, np.arange(3))
        assert not path.exists()
        assert temporary.parent == path.parent
    assert np.load(path).tolist() == [0, 1, 2]
    assert os.listdir(path.parent) == ["array.npy"]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_written_file_has_the_rights_of_any_new_file(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    write_json(tmp_path / "ours.json", {})
    ours = stat.S_IMODE((tmp_path / "ours.json").stat().st_mode)
    assert ours == stat.S_IMODE(plain.stat().st_mode)


def test_json_comes_back_and_has_no_nan(tmp_path):
    content = {"b": [1, 2.5, None], "a": "男"}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    assert "男" in (tmp_path / "a.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"score": float("nan")})
    assert read_json(tmp_path / "a.json") == content


def test_a_digest_file_does_not_depend_on_the_order_of_its_keys(tmp_path):
    write_digest(tmp_path / "one.hash", {"shape": [2, 3], "content": "ab"})
    write_digest(tmp_path / "two.hash", {"content": "ab", "shape": [2, 3]})
    assert (tmp_path / "one.hash").read_bytes() == (tmp_path / "two.hash").read_bytes()


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "record": pd.Series(["a", "b", None], dtype="str"),
            "site": pd.Categorical(["X", "Y", "X"]),
            "date": pd.to_datetime(["2018-03-04 10:15", None, "2019-01-01 00:00"]),
            "ph": [7.25, np.nan, 7.1],
            "label": np.array([0, 1, 1], dtype=np.int8),
            "known": [True, False, True],
        }
    )


def test_a_table_comes_back_with_its_types(tmp_path, table):
    write_table(tmp_path / "t.parquet", table, {"fewcase": "{}"})
    back = read_table(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(back, table.assign(site=table["site"].astype("str")))
    assert table_metadata(tmp_path / "t.parquet") == {"fewcase": "{}"}
    assert read_table(tmp_path / "t.parquet", ["ph"]).columns.tolist() == ["ph"]


def test_the_same_table_gives_the_same_bytes_whatever_its_index(tmp_path, table):
    write_table(tmp_path / "one.parquet", table, {"a": "1", "b": "2"})
    write_table(tmp_path / "two.parquet", table.set_index(table.index + 7), {"b": "2", "a": "1"})
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_reading_names_what_is_wrong_with_the_file(tmp_path, table):
    with pytest.raises(InputError, match=r"none\.parquet: no such file"):
        read_table(tmp_path / "none.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"torn\.parquet: not a parquet table"):
        read_table(tmp_path / "torn.parquet")
    write_table(tmp_path / "t.parquet", table)
    with pytest.raises(InputError, match=r"no column 'records'\. Did you mean 'record'"):
        read_table(tmp_path / "t.parquet", ["records"])
    (tmp_path / "torn.json").write_text('{"a": ')
    with pytest.raises(InputError, match=r"torn\.json: not a JSON file"):
        read_json(tmp_path / "torn.json")
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "none.json")


def test_a_content_digest_tells_arrays_apart_by_values_type_and_shape():
    values = np.arange(6, dtype=np.float32)
    digests = {
        content_digest(values),
        content_digest(values[::-1]),
        content_digest(values.astype(np.float64)),
        content_digest(values.reshape(2, 3)),
        content_digest(values[:3], values[3:]),
        content_digest(values[:4], values[4:]),
        content_digest(b"ab", b"c"),
        content_digest(b"a", b"bc"),
        content_digest(),
    }
    assert len(digests) == 9
    assert all(len(digest) == hashlib.sha256().digest_size * 2 for digest in digests)


def test_a_content_digest_does_not_depend_on_the_layout_in_memory(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "a.npy", values)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    expected = content_digest(values)
    assert content_digest(np.asfortranarray(values)) == expected
    assert content_digest(mapped) == expected
    assert content_digest(np.arange(24, dtype=np.float32).reshape(3, 8)[:, ::2] / 2) == expected
    with pytest.raises(TypeError):
        content_digest(np.array([object()]))
