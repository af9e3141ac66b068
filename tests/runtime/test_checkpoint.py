import json
import logging

import pytest
import torch

from fewcase.runtime import checkpoint
from fewcase.runtime.checkpoint import ResumeFolder

LOG = logging.getLogger("fewcase.test")


@pytest.fixture
def folder(tmp_path):
    def make(identity=None, code="a", ignore_code_change=True):
        return ResumeFolder(
            tmp_path / "state", identity or {"seed": 1, "of": (1, 2)}, code, ignore_code_change, LOG
        )

    return make


def tensors(value=1.0):
    return {
        "matrix": torch.full((3, 4), value).to(memory_format=torch.contiguous_format),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "count": torch.tensor(7),
        "flags": torch.tensor([True, False]),
        "half": torch.full((2,), value, dtype=torch.bfloat16),
        "empty": torch.zeros(0, 2),
    }


def test_a_state_comes_back_as_it_was_written(folder):
    values = {"epoch": 3, "history": [{"auc": 0.5, "loss": float("-inf")}]}
    folder().save("running", tensors(), values)
    loaded, found = folder().load("running")
    assert found == values
    assert {k: (v.dtype, v.shape) for k, v in loaded.items()} == {
        k: (v.dtype, v.shape) for k, v in tensors().items()
    }
    assert all(torch.equal(loaded[key], tensor) for key, tensor in tensors().items())


def test_the_same_state_gives_the_same_bytes(folder, tmp_path):
    written = []
    for _ in range(2):
        folder().save("running", tensors(), {"b": 1, "a": 2})
        written.append((tmp_path / "state/running.safetensors").read_bytes())
    assert written[0] == written[1]


def test_nothing_is_resumed_where_nothing_was_saved(folder):
    assert folder().load("running") is None


@pytest.mark.parametrize("damage", ["cut", "flipped bit", "emptied", "no header"])
def test_a_damaged_state_is_noticed_and_the_one_before_taken(folder, tmp_path, caplog, damage):
    folder().save("running", tensors(1.0), {"epoch": 1})
    folder().save("running", tensors(2.0), {"epoch": 2})
    path = tmp_path / "state/running.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-5]
    elif damage == "flipped bit":
        content[-5] ^= 1
    elif damage == "emptied":
        content = bytearray()
    else:
        content[:8] = b"\xff" * 8
    path.write_bytes(content)
    assert folder().load("running")[1] == {"epoch": 1}
    assert "not resumed from" in caplog.text


def test_a_change_in_the_values_is_noticed_too(folder, tmp_path):
    folder().save("running", tensors(), {"epoch": 1})
    path = tmp_path / "state/running.safetensors"
    old = json.dumps({"epoch": 1})[1:-1].replace('"', '\\"').encode()
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, old.replace(b"1", b"9")))
    assert folder().load("running") is None


def test_a_kill_at_any_moment_of_writing_leaves_a_whole_state(folder, monkeypatch):
    folder().save("running", tensors(1.0), {"epoch": 1})

    class Killed(BaseException):
        pass

    steps = ["fsync", "replace"]
    for step in steps:
        for allowed in range(2):
            calls = []
            original = getattr(checkpoint.os, step)

            def stop(*arguments, calls=calls, allowed=allowed, original=original):
                calls.append(1)
                if len(calls) > allowed:
                    raise Killed
                return original(*arguments)

            with monkeypatch.context() as patch:
                patch.setattr(checkpoint.os, step, stop)
                try:
                    folder().save("running", tensors(2.0), {"epoch": 2})
                except Killed:
                    pass
            assert folder().load("running")[1]["epoch"] in (1, 2)


def test_a_state_of_another_training_is_not_resumed(folder, caplog):
    folder().save("running", tensors(), {})
    assert folder({"seed": 2, "of": (1, 2)}).load("running") is None
    assert "of another training (seed differ)" in caplog.text


def test_a_change_of_the_code_is_reported_and_resumed_only_if_asked_for(folder, caplog):
    folder().save("running", tensors(), {})
    assert folder(code="b").load("running") is not None
    assert "resuming all the same" in caplog.text
    assert folder(code="b", ignore_code_change=False).load("running") is None
    assert "starting again" in caplog.text


def test_the_folder_goes_when_the_training_is_done(folder, tmp_path):
    folder().save("bag-0", tensors(), {})
    folder().delete()
    assert not (tmp_path / "state").exists()
    folder().delete()
