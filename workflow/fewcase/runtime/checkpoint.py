"""Resume state: what a killed training continues from, whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

State = tuple[dict[str, torch.Tensor], dict[str, Any]]
_METADATA = "fewcase"


class ResumeFolder:
    """The resume states of one training, in a folder that belongs to it alone.

    A state is one safetensors file: its tensors, and in its header a JSON text with the values, the
    training's identity, the code's digest and a checksum over all of it. It is written to a
    temporary name and then renamed, and the state before it is kept: a kill at any moment leaves
    one that can be read, or none and the start.

    Parameters
    ----------
    folder
        Where the states lie; made when the first is written.
    identity
        What fixes the result besides the code: recipe, seed, fold, data. A state of another
        identity is not resumed. JSON values.
    code
        Digest of the code. A state of other code is resumed or not by `ignore_code_change`; the
        log says so in both cases.
    ignore_code_change
        Whether to resume from a state of other code.
    log
        Told about every state that is not taken, and why.
    """

    #: Digests of all code that had a part in the training, the newest last.
    codes: list[str]

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        code: str,
        ignore_code_change: bool,
        log: logging.Logger,
    ) -> None:
        self.folder = Path(folder)
        # Through JSON and back, so that it compares equal to what is read (tuples become lists).
        self.identity = json.loads(json.dumps(dict(identity), sort_keys=True))
        self.code = code
        self.codes = [code]
        self.ignore_code_change = ignore_code_change
        self.log = log

    def save(
        self, name: str, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]
    ) -> None:
        """Write the state `name`; the one before it stays as a second chance.

        `values` are JSON values, where NaN and infinity are allowed.
        """
        from safetensors.torch import save_file

        content = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        about = {"values": dict(values), "identity": self.identity, "codes": self.codes}
        about["checksum"] = _checksum(content, about)
        self.folder.mkdir(parents=True, exist_ok=True)
        current, previous, temporary = self._paths(name)
        # One key only: safetensors writes several in no fixed order.
        save_file(content, temporary, metadata={_METADATA: json.dumps(about)})
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        if current.exists():
            os.replace(current, previous)
        os.replace(temporary, current)

    def load(self, name: str) -> State | None:
        """Return tensors (on the CPU) and values of the newest state that is whole, or None."""
        current, previous, _ = self._paths(name)
        for path in (current, previous):
            if not path.exists():
                continue
            state = self._read(path)
            if state is not None:
                return state
        return None

    def delete(self) -> None:
        """Remove the folder: the training has succeeded and its outputs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            # Up to the first folder that holds the state of another training.
            os.removedirs(self.folder.parent)

    def _paths(self, name: str) -> tuple[Path, Path, Path]:
        return (
            self.folder / f"{name}.safetensors",
            self.folder / f"{name}.previous.safetensors",
            self.folder / f"{name}.unfinished",
        )

    def _read(self, path: Path) -> State | None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads(file.metadata()[_METADATA])
                # Copies: the file must not stay mapped, as it is renamed and removed later.
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            whole = about.pop("checksum") == _checksum(tensors, about)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            self.log.warning("%s: cannot be read (%s); not resumed from.", path, error)
            return None
        if not whole:
            self.log.warning("%s: its checksum does not fit; not resumed from.", path)
            return None
        return (tensors, about["values"]) if self._is_ours(path, about) else None

    def _is_ours(self, path: Path, about: Mapping[str, Any]) -> bool:
        if about["identity"] != self.identity:
            changed = sorted(
                key
                for key in {*self.identity, *about["identity"]}
                if about["identity"].get(key) != self.identity.get(key)
            )
            self.log.warning(
                "%s: of another training (%s differ); not resumed from.", path, ", ".join(changed)
            )
            return False
        if about["codes"] != [self.code]:
            self.log.warning(
                "%s: the code has changed since (training.ignore_code_change: %s); %s.",
                path,
                str(self.ignore_code_change).lower(),
                "resuming all the same" if self.ignore_code_change else "starting again",
            )
            if self.ignore_code_change:
                self.codes = list(dict.fromkeys([*about["codes"], self.code]))
            return self.ignore_code_change
        return True


def _checksum(tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for key in sorted(tensors):
        tensor = tensors[key]
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
