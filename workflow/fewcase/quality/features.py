"""Features by which images are judged: those of Inception, a timm model, or a run's classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fewcase.models.registry import build_model, is_convolutional
from fewcase.models.trained import at_rest, load_run
from fewcase.quality.inception import IMAGE_SIZE, PUBLISHED_SHA256, read_inception, trunk_of
from fewcase.quality.resizers import resize_as_trained, resize_clean, resize_legacy
from fewcase.runtime.precision import choose_precision, full_float32
from fewcase.study.errors import InputError

RESIZERS = ("clean", "legacy")

Float32 = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]
Map = Callable[[torch.Tensor], torch.Tensor]

_STANDARD_NAMES = {"frechet": "FID", "kid": "KID"}
_OTHER_NAMES = {"frechet": "Fréchet distance", "kid": "kernel distance"}
_CPU_BATCH = 32
_GPU_BATCH = 128


class Extractor:
    """A network that turns images into features.

    Parameters
    ----------
    name
        What tables call the features.
    resizer
        How images are brought to the network's size: ``clean`` (bicubic, antialiased, in floats),
        ``legacy`` (bilinear without antialiasing, as in the TensorFlow graph of 2015), or
        ``lanczos`` (as for training).
    prepare
        Takes uint8 (B, channels, H, W) to what the network takes.
    embed
        Takes that to features (B, d).
    channels
        Of the images that the network takes; grey ones are repeated for a network of three.
    device, precision
        See `fewcase.runtime.precision.choose_precision`.
    is_standard
        Whether distances of these features are FID and KID.
    dimension
        Number of features, d; by default a black image tells.
    """

    def __init__(
        self,
        name: str,
        resizer: str,
        prepare: Map,
        embed: Map,
        *,
        channels: int,
        device: str,
        precision: str,
        is_standard: bool = False,
        dimension: int | None = None,
    ) -> None:
        self.name = name
        self.resizer = resizer
        self.is_standard = is_standard
        self.channels = channels
        self.device = device
        self._precision = choose_precision(precision, device)
        self._prepare = prepare
        self._embed = embed
        if dimension is None:
            black = np.zeros((1, channels, 32, 32), np.uint8)
            dimension = next(self._apply(embed, black)).shape[1]
        self.dimension = dimension

    def metric_name(self, metric: str) -> str:
        """Return what tables call a metric of these features.

        Only distances of the standard network's features are FID and KID.

        Parameters
        ----------
        metric
            ``frechet``, ``kid``, or another, which is named as it is.
        """
        if self.is_standard and metric in _STANDARD_NAMES:
            return f"{_STANDARD_NAMES[metric]} ({self.resizer})"
        return f"{_OTHER_NAMES.get(metric, metric)} ({self.name})"

    def features(self, images: Images) -> Float32:
        """Return the features of all images.

        Parameters
        ----------
        images
            uint8 (n, 1 or `channels`, H, W), may be mapped from a file; read once, in chunks.

        Returns
        -------
        numpy.ndarray
            float32 (n, `dimension`).

        Raises
        ------
        InputError
            For images of another type or number of channels.
        """
        parts = list(self.chunks(images))
        return np.concatenate([np.zeros((0, self.dimension), np.float32), *parts])

    def chunks(self, images: Images) -> Iterator[Float32]:
        """Yield the features of some images at a time, in their order."""
        return self._apply(self._embed, images)

    def _apply(self, function: Map, images: Images) -> Iterator[Float32]:
        """Yield float32 results of a network on prepared images."""
        if images.ndim != 4 or images.dtype != np.uint8:
            raise InputError(
                f"images: {images.dtype} {images.shape}, expected uint8 (n, channels, height, "
                "width)."
            )
        if images.shape[1] not in (1, self.channels):
            raise InputError(
                f"images: {images.shape[1]} channels, but {self.name} takes {self.channels}. "
                "Choose another extractor."
            )
        on_gpu = torch.device(self.device).type == "cuda"
        size = _GPU_BATCH if on_gpu else _CPU_BATCH
        for start in range(0, len(images), size):
            # Copied: a mapped array is not to be written to, which torch insists on.
            batch = torch.from_numpy(np.array(images[start : start + size])).to(self.device)
            # Not yielded from within: whoever asks would compute in these modes meanwhile.
            with torch.inference_mode(), full_float32():
                prepared = self._prepare(batch.expand(-1, self.channels, -1, -1))
                with self._precision.autocast():
                    found = function(prepared).float().flatten(1).cpu().numpy()
            yield found


class Classifier(Extractor):
    """The classifier of a run: features of its first network, probabilities of all of them."""

    def __init__(self, *parts: Any, logits: Map, **options: Any) -> None:
        super().__init__(*parts, **options)
        self._logits = logits

    def probabilities(self, images: Images) -> Float32:
        """Return class probabilities (n, K), logits averaged over bags, of images as `features`."""
        logits = np.concatenate(list(self._apply(self._logits, images))).astype(np.float64)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


def inception_extractor(
    weights: Path, resizer: str = "clean", *, device: str = "cpu", precision: str = "float32"
) -> Extractor:
    """Return the extractor of FID and KID.

    Parameters
    ----------
    weights
        The ``.safetensors`` file that ``workflow/convert_inception.py`` makes. One that stems from
        another file than the published one is used, but not called FID.
    resizer
        ``legacy`` as torch-fidelity and the first implementations have it, ``clean`` as Parmar et
        al. (On aliased resizing and surprising subtleties in GAN evaluation, CVPR 2022).
    device, precision
        See `fewcase.runtime.precision.choose_precision`.

    Raises
    ------
    InputError
        For weights that cannot be read or do not fit.
    """
    if resizer not in RESIZERS:
        raise InputError(f"resizer: {resizer!r} is neither {' nor '.join(RESIZERS)}.")
    inception, source = read_inception(weights)
    trunk = at_rest(trunk_of(inception), device)
    is_standard = source == PUBLISHED_SHA256
    resize = resize_legacy if resizer == "legacy" else resize_clean
    return Extractor(
        "Inception 2015-12-05" if is_standard else f"Inception, other weights ({weights.name})",
        resizer,
        lambda pixels: ((resize(pixels, IMAGE_SIZE) - 128) / 128).contiguous(
            memory_format=torch.channels_last
        ),
        trunk,
        channels=3,
        device=device,
        precision=precision,
        is_standard=is_standard,
        dimension=2048,
    )


def timm_extractor(
    model: str,
    weights: str = "imagenet",
    *,
    image_size: int = 224,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "float32",
) -> Extractor:
    """Return an extractor of the pooled features that a timm model hands to its classifier.

    Parameters
    ----------
    model
        Its name.
    weights
        See `fewcase.models.registry.build_model`; ``none`` draws them from `seed`.
    image_size
        Height and width that images are resized to.
    seed
        Of weights that are drawn.
    device, precision
        See `fewcase.runtime.precision.choose_precision`.

    Raises
    ------
    InputError
        For a model or weights that cannot be had.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build_model(model, {}, 1, 3, image_size, weights)
    network = at_rest(built.network, device)
    return Extractor(
        f"{model}, {built.weights}",
        "clean",
        _preparation(
            network, lambda pixels: resize_clean(pixels, image_size), built.mean, built.std, device
        ),
        lambda images: _penultimate(network, images),
        channels=3,
        device=device,
        precision=precision,
    )


def classifier_of(
    run: Path, image_size: int, *, device: str = "cpu", precision: str = "float32"
) -> Classifier:
    """Return the classifier of a finished run.

    Parameters
    ----------
    run
        Folder with its ``weights.safetensors`` and ``options.json``.
    image_size
        Height and width of the study's images; what the recipe says of sizes goes before.
    device, precision
        See `fewcase.runtime.precision.choose_precision`.

    Raises
    ------
    InputError
        Where a file is missing, or the weights do not fit the network that the options describe.
    """
    trained = load_run(Path(run), image_size, device)
    return Classifier(
        f"{trained.model}, classifier of the study",
        "lanczos",
        _preparation(
            trained.networks[0],
            lambda pixels: resize_as_trained(pixels, trained.sizes),
            trained.mean,
            trained.std,
            device,
        ),
        lambda images: _penultimate(trained.networks[0], images),
        logits=trained.logits,
        channels=len(trained.mean),
        device=device,
        precision=precision,
    )


def _preparation(
    network: nn.Module,
    resize: Map,
    mean: Sequence[float],
    std: Sequence[float],
    device: str,
) -> Map:
    """Return the map from bytes to resized and normalised images."""
    shift = torch.tensor(mean, device=device)[:, None, None]
    scale = torch.tensor(std, device=device)[:, None, None]
    form = torch.channels_last if is_convolutional(network) else torch.contiguous_format

    def prepare(pixels: torch.Tensor) -> torch.Tensor:
        return ((resize(pixels) / 255 - shift) / scale).contiguous(memory_format=form)

    return prepare


def _penultimate(network: Any, images: torch.Tensor) -> torch.Tensor:
    features: torch.Tensor = network.forward_head(network.forward_features(images), pre_logits=True)
    return features
