"""The Inception network of 2015-12-05, whose features alone make a FID, from a safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from fewcase.data.files import atomic_path
from fewcase.study.errors import InputError

PUBLISHED_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
IMAGE_SIZE = 299

_METADATA_KEY = "fewcase"
_REMEDY = "Make one by: python workflow/convert_inception.py --out inception.safetensors"


def build_inception(state: Mapping[str, torch.Tensor], where: str) -> nn.Module:
    """Build torch-fidelity's network with given weights.

    Parameters
    ----------
    state
        Every weight by its name.
    where
        What messages call their source.

    Raises
    ------
    InputError
        Where weights are missing, unknown or of another shape.
    """
    import torch_fidelity.feature_extractor_inceptionv3 as published

    # The class fetches its weights, a pickle, while it is made, and takes no others. For as long
    # as that takes, what it fetches them with hands it these.
    given = mock.patch.object(published, "load_state_dict_from_url", return_value=dict(state))
    try:
        with given, torch.random.fork_rng(devices=[]):
            return published.FeatureExtractorInceptionV3("inception", ["2048"])
    except RuntimeError as error:
        first = "; ".join(line.strip() for line in str(error).splitlines()[:3])
        raise InputError(
            f"{where}: not the weights of the Inception network of 2015-12-05: {first[:400]}. "
            f"{_REMEDY}"
        ) from None


def trunk_of(inception: nn.Module) -> nn.Sequential:
    """Return its layers up to the pooled features: (B, 3, 299, 299) to (B, 2048).

    The network itself begins with a resizing of its own that takes bytes alone. Its layers are
    its children in their order; the last is the classifier.
    """
    return nn.Sequential(*list(inception.children())[:-1], nn.Flatten())


def write_inception(path: Path, state: Mapping[str, torch.Tensor], sha256: str) -> None:
    """Check that weights fit the network, and write them with the digest of their source.

    Parameters
    ----------
    path
        Where to, a ``.safetensors`` file.
    state
        Every weight by its name.
    sha256
        Of the file that they were read from.

    Raises
    ------
    InputError
        Where `build_inception` refuses them.
    """
    from safetensors.torch import save

    network = build_inception(state, "the weights given")
    tensors = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    about = json.dumps({"source_sha256": sha256}, sort_keys=True)
    with atomic_path(path) as temporary:
        # Not save_file: what it writes is readable by its owner alone.
        temporary.write_bytes(save(tensors, metadata={_METADATA_KEY: about}))


def read_inception(path: Path) -> tuple[nn.Module, str]:
    """Read what `write_inception` wrote.

    Returns
    -------
    network
        On the CPU, for evaluation.
    sha256
        Of the file that the weights stem from; empty where the file does not say.

    Raises
    ------
    InputError
        Where the file is missing, of another kind, or holds other weights.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(
            f"{path}: not a .safetensors file. Files of other kinds can run code when they are "
            f"read. {_REMEDY} --file {path}"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file. Mend the path. {_REMEDY}")
    try:
        with safe_open(path, framework="pt") as content:
            state: dict[str, Any] = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
            about = (content.metadata() or {}).get(_METADATA_KEY, "{}")
    except SafetensorError as error:
        raise InputError(f"{path}: torn or not a safetensors file ({error}). {_REMEDY}") from None
    return build_inception(state, str(path)), str(json.loads(about).get("source_sha256", ""))
