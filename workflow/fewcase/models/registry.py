"""Networks by their timm name, and our own, with ImageNet weights, those of a file, or none."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from fewcase.models.encoder_unet import OPTIONS, EncoderUNet
from fewcase.models.unet_classifier import FibrosisUNet
from fewcase.study.errors import InputError
from fewcase.study.fields import nearest
from fewcase.study.models import FIBROSIS_UNET, encoder_of

#: The networks of Table 5 of the CTG study and their parameters there, in millions (1,000 classes).
PAPER_MODELS = {
    "vit_small_patch16_224": 22,
    "vit_base_patch16_224": 86,
    "poolformerv2_s24": 21,
    "poolformerv2_m48": 73,
    "swin_tiny_patch4_window7_224": 28,
    "swin_base_patch4_window7_224": 88,
    "resnet50": 25,
    "resnet152": 60,
}

_HUB_FILE = "model.safetensors"
_HUB_TIMEOUT_S = 5.0


@dataclasses.dataclass(frozen=True)
class BuiltModel:
    """A network and what has to be known to use and report it.

    Attributes
    ----------
    network
        float32, on the CPU, in training mode; (B, channels, H, W) to logits (B, classes).
    weights
        Where its weights come from, for `options.json` and the tables.
    mean, std
        Normalisation per channel, on the scale where black is 0 and white is 1: the one that the
        weights were trained with.
    """

    network: nn.Module
    weights: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def build_model(
    name: str,
    options: Mapping[str, Any],
    classes: int,
    channels: int,
    image_size: int,
    weights: str,
) -> BuiltModel:
    """Build a network of timm, or one of our own that gives masks as well.

    What is not loaded (the classifier, and everything without weights) is drawn from torch's
    global generator.

    Parameters
    ----------
    name
        A model of timm, with or without the tag of its weights; ``fibrosis_unet``; or ``unet_``
        and a model of timm that becomes the encoder of a U-Net.
    options
        Further keyword arguments of the model, such as ``depth``; for ``unet_…`` of
        `EncoderUNet` or of the encoder.
    classes, channels
        Numbers of outputs and of input channels; the first layer's weights are adapted to the
        channels as timm does it.
    image_size
        Height and width in pixels. Networks with positions built in (ViT, Swin and others) are
        made for this size and their positions interpolated.
    weights
        ``imagenet`` (from the Hugging Face hub or its cache), ``none``, or the path of a
        ``.safetensors`` file as timm writes it, classifier included. For ``unet_…`` those of the
        encoder; ``fibrosis_unet`` has none of ImageNet, and takes a file of its own.

    Raises
    ------
    InputError
        For a model that timm doesn't know, options or a size that it doesn't take, and weights
        that cannot be reached or do not fit.
    """
    if name == FIBROSIS_UNET:
        return _fibrosis_unet(options, classes, channels, image_size, weights)
    encoder = encoder_of(name)
    if encoder is None:
        return _timm_model(name, options, classes, channels, image_size, weights)
    ours = {key: value for key, value in options.items() if key in OPTIONS}
    theirs = {key: value for key, value in options.items() if key not in OPTIONS}
    built = _timm_model(encoder, theirs, classes, channels, image_size, weights)
    sizes = {"channels": channels, "classes": classes, "image_size": image_size}
    network = _create(name, {**ours, **sizes}, functools.partial(EncoderUNet, built.network))
    return dataclasses.replace(built, network=network)


def _fibrosis_unet(
    options: Mapping[str, Any], classes: int, channels: int, image_size: int, weights: str
) -> BuiltModel:
    """Build the liver study's network, for grey levels from -1 to 1."""
    sizes = {"channels": channels, "classes": classes, "image_size": image_size}
    half = (0.5,) * channels
    if weights == "imagenet":
        raise InputError(
            f"weights: there are no ImageNet weights of {FIBROSIS_UNET}. Give weights: none, or a "
            "U-Net with an encoder that has some, such as unet_resnet34."
        )
    network = _create(FIBROSIS_UNET, {**options, **sizes}, FibrosisUNet)
    if weights == "none":
        return BuiltModel(network, "none (random)", half, half)
    file, said = _local_weights(weights)
    fresh = {key: value for key, value in network.state_dict().items() if key.startswith("head.")}
    try:
        network.load_state_dict({**load_file(file), **fresh})
    except (SafetensorError, RuntimeError) as error:
        raise _misfit(file, FIBROSIS_UNET, error) from error
    return BuiltModel(network, said, half, half)


def _timm_model(
    name: str,
    options: Mapping[str, Any],
    classes: int,
    channels: int,
    image_size: int,
    weights: str,
) -> BuiltModel:
    config = _config_of(name)
    arguments = dict(options, in_chans=channels)
    if config.fixed_input_size:
        # The other families take any size, and no such argument.
        arguments["img_size"] = image_size
    mean, std = _normalisation(config, channels)
    if weights == "none":
        made = _create(name, {**arguments, "num_classes": classes}, _timm(name))
        return BuiltModel(made, "none (random)", mean, std)
    if weights == "imagenet":
        file, said = _hub_weights(name, config)
    else:
        file, said = _local_weights(weights)
    network: Any = _create_from_file(name, arguments, config, file)
    network.reset_classifier(classes)
    return BuiltModel(network, said, mean, std)


def half_normalised(built: BuiltModel) -> BuiltModel:
    """Return the model with grey levels brought to -1 … 1, whatever its weights were used to."""
    half = (0.5,) * len(built.mean)
    return dataclasses.replace(built, mean=half, std=half)


def is_convolutional(network: nn.Module) -> bool:
    """Whether most parameters are in convolutions, as channels-last memory needs to pay."""
    kernels = sum(
        module.weight.numel() for module in network.modules() if isinstance(module, nn.Conv2d)
    )
    return kernels > 0.5 * sum(parameter.numel() for parameter in network.parameters())


def check_model(name: str) -> None:
    """Raise an `InputError` that names the nearest models where timm doesn't know `name`."""
    if not timm.is_model(name):
        hint = nearest(name.split(".")[0], timm.list_models())
        if not hint.startswith(" Did"):
            hint = " See timm.list_models() for all of them."
        raise InputError(f"model: timm {timm.__version__} has no model {name!r}.{hint}")


def _config_of(name: str) -> Any:
    check_model(name)
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:
        config = None
    if config is None:
        tag = name.partition(".")[2]
        stem = name.partition(".")[0]
        known = [full.partition(".")[2] for full in timm.list_models(f"{stem}.*", pretrained=True)]
        raise InputError(
            f"model: timm has no weights {tag!r} of {stem!r}.{nearest(tag, known)} Or leave the "
            "tag out."
        )
    return config


def _normalisation(config: Any, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if len(config.mean) == channels:
        return tuple(config.mean), tuple(config.std)
    # Pictures of another number of channels have no colours: each gets the colours' average.
    mean = sum(config.mean) / len(config.mean)
    std = sum(config.std) / len(config.std)
    return (mean,) * channels, (std,) * channels


def _timm(name: str, **loading: Any) -> Callable[..., nn.Module]:
    return functools.partial(timm.create_model, name, **loading)


def _create(name: str, arguments: Mapping[str, Any], make: Callable[..., nn.Module]) -> nn.Module:
    try:
        return make(**arguments)
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise InputError(
            f"model: {name} cannot be built with {shown}: {error}. Mend the model's options or "
            "images.size."
        ) from error


def _create_from_file(
    name: str, arguments: Mapping[str, Any], config: Any, file: Path
) -> nn.Module:
    """Build the network with the classifier that the file has, so that every weight is checked."""
    classifiers = (
        (config.classifier,) if isinstance(config.classifier, str) else tuple(config.classifier)
    )
    try:
        with safe_open(file, framework="pt") as content:
            head = f"{classifiers[0]}.weight"
            if head not in content.keys():  # noqa: SIM118
                raise InputError(
                    f"{file}: no tensor {head!r}, the classifier of {name}. Give a file of this "
                    "model as timm writes it, or weights: none."
                )
            classes = content.get_slice(head).get_shape()[0]
    except SafetensorError as error:
        raise InputError(
            f"{file}: not a safetensors file ({error}). Convert it, or give weights: none."
        ) from None
    overlay = {"file": str(file), "custom_load": False, "num_classes": classes, "label_offset": 0}
    try:
        make = _timm(name, pretrained=True, pretrained_cfg_overlay=overlay)
        return _create(name, {**arguments, "num_classes": classes}, make)
    except RuntimeError as error:
        raise _misfit(file, name, error) from error


def _misfit(file: Path, name: str, error: Exception) -> InputError:
    first = "; ".join(line.strip() for line in str(error).splitlines()[:3])
    return InputError(
        f"{file}: its weights do not fit {name}: {first[:400]}. Give a file of this model, "
        "leave out options that change its layers, or give weights: none."
    )


def _local_weights(weights: str) -> tuple[Path, str]:
    file = Path(weights)
    if file.suffix != ".safetensors":
        raise InputError(
            f"weights: {weights!r} is neither imagenet nor none nor a .safetensors file. Files of "
            "other kinds can run code when they are read: convert them first."
        )
    if not file.is_file():
        raise InputError(f"weights: {weights}: no such file. Mend the path, or give weights: none.")
    with open(file, "rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return file, f"file {file.name} (SHA-256 {digest[:16]})"


def _hub_weights(name: str, config: Any) -> tuple[Path, str]:
    """Return timm's own weights from the cache of the Hugging Face hub, or the hub itself."""
    import huggingface_hub

    repository = config.hf_hub_id
    if not repository:
        raise InputError(f"weights: timm has no ImageNet weights for {name}. Give weights: none.")
    said = f"ImageNet ({repository})"
    cached = huggingface_hub.try_to_load_from_cache(repository, _HUB_FILE)
    if isinstance(cached, str):
        return Path(cached), said
    problem = _hub_problem()
    if problem is None:
        try:
            return Path(huggingface_hub.hf_hub_download(repository, _HUB_FILE)), said
        except (OSError, ValueError) as error:
            problem = str(error).splitlines()[0]
    raise InputError(
        f"weights: imagenet: {repository} is not in the local cache and cannot be fetched "
        f"({problem}). Download {_HUB_FILE} of huggingface.co/{repository} elsewhere and give its "
        "path (weights: PATH.safetensors), or train from scratch (weights: none)."
    )


def _hub_problem() -> str | None:
    """Tell within seconds why the hub cannot be reached; its own client takes half a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=_HUB_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return None  # It answers, whatever it says to this question.
    except OSError as error:
        return str(getattr(error, "reason", error))
    return None


def count_parameters(network: nn.Module) -> int:
    """Return the number of weights that training can change."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def plain_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of all weights and buffers on the CPU, contiguous and sharing no memory."""
    return {
        key: tensor.detach().to("cpu", copy=True).contiguous()
        for key, tensor in network.state_dict().items()
    }
