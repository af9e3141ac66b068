"""The extractor that a study asks for."""

from __future__ import annotations

from pathlib import Path

from fewcase.quality.features import Extractor, classifier_of, inception_extractor, timm_extractor
from fewcase.study.errors import InputError
from fewcase.study.gans import GanQualityOptions


def choose_extractor(
    options: GanQualityOptions, run: Path | None, image_size: int, device: str
) -> Extractor:
    """Return the extractor that a study's options name.

    Parameters
    ----------
    options
        `extractor`, `weights` and `resizer` count.
    run
        Folder of the run whose classifier is asked for; None where none is.
    image_size
        Height and width of the study's stored images, which the classifier was trained on.
    device
        As torch names it.

    Raises
    ------
    InputError
        Where the classifier of no run is given, and as the makers of `fewcase.quality.features`.
    """
    if options.extractor == "classifier":
        if run is None:
            raise InputError(
                "gan_quality.extractor: classifier, but no run is given whose classifier it is; "
                "name inception or a timm model."
            )
        return classifier_of(run, image_size, device=device)
    if options.extractor == "inception":
        return inception_extractor(Path(options.weights), options.resizer, device=device)
    return timm_extractor(options.extractor, options.weights, image_size=image_size, device=device)
