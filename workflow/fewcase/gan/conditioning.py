"""How the discriminator's heads teach both networks the classes."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F

from fewcase.gan.architecture import CONDITIONINGS
from fewcase.gan.discriminator import Judgement
from fewcase.gan.layers import at_least_float32
from fewcase.study.errors import InputError

VARIANTS = ("paper", "public")


@dataclasses.dataclass(frozen=True)
class ClassLoss:
    """The term that is added to both adversarial losses.

    Attributes
    ----------
    conditioning
        That of the architecture. With ``projection`` and ``none`` the term is 0: the logits say all
        there is to say.
    weight
        λ, by which the term is multiplied.
    temperature, margin
        τ and m_p of ``d2dce``; m_n is 1 − m_p.
    variant
        Of ``d2dce``, see `data_to_data_loss`.
    """

    conditioning: str = "d2dce"
    weight: float = 0.5
    temperature: float = 0.5
    margin: float = 0.95
    variant: str = "paper"

    def __post_init__(self) -> None:
        if self.conditioning not in CONDITIONINGS:
            raise InputError(
                f"conditioning: {self.conditioning!r} is none of {', '.join(CONDITIONINGS)}."
            )
        if self.variant not in VARIANTS:
            raise InputError(f"variant: {self.variant!r} is none of {', '.join(VARIANTS)}.")
        if self.weight < 0:
            raise InputError(f"weight: {self.weight}, but it must be at least 0.")
        if self.temperature <= 0:
            raise InputError(f"temperature: {self.temperature}, but it must be above 0.")
        if not 0 <= self.margin <= 1:
            raise InputError(f"margin: {self.margin}, but it must lie between 0 and 1.")

    def of_generator(self, fake: Judgement, labels: torch.Tensor) -> torch.Tensor:
        """Return the generator's term, from its images and the classes that they were drawn for."""
        return self._loss(fake, labels)

    def of_discriminator(
        self,
        real: Judgement,
        real_labels: torch.Tensor,
        fake: Judgement,
        fake_labels: torch.Tensor,
    ) -> torch.Tensor:
        """Return the discriminator's term.

        ReACGAN's comes from real images alone; the auxiliary classifier's (Odena et al. 2017) from
        real and generated ones.
        """
        if self.conditioning == "auxiliary":
            return self._loss(real, real_labels) + self._loss(fake, fake_labels)
        return self._loss(real, real_labels)

    def _loss(self, judged: Judgement, labels: torch.Tensor) -> torch.Tensor:
        if judged.class_logits is not None:
            return self.weight * F.cross_entropy(at_least_float32(judged.class_logits), labels)
        if judged.embeddings is None or judged.proxies is None:
            return judged.logits.new_zeros(())
        loss = data_to_data_loss(
            judged.embeddings,
            judged.proxies,
            labels,
            self.temperature,
            self.margin,
            self.variant,
        )
        return self.weight * loss


def data_to_data_loss(
    embeddings: torch.Tensor,
    proxies: torch.Tensor,
    labels: torch.Tensor,
    temperature: float,
    margin: float,
    variant: str = "paper",
) -> torch.Tensor:
    """Return the data-to-data cross-entropy of a batch, computed in float32 or more.

    Kang et al., Rebooting ACGAN (2021), equation 6. Each image is drawn to the proxy of its class,
    as long as their cosine is below the margin, and pushed from the images of other classes, as
    long as theirs is above 1 − margin. A batch of one class has none to push from: its loss is 0.

    Parameters
    ----------
    embeddings
        (N, D), of images.
    proxies
        (N, D), of each image's class.
    labels
        (N,) int64.
    temperature
        τ.
    margin
        m_p; m_n is 1 − m_p.
    variant
        ``paper``; ``public`` lowers the exponents of each image's negatives, and only them, by the
        largest of these, as the authors' public code does. No gradient goes through what they are
        lowered by.
    """
    # Exponents are cosines over τ: a caller's autocast must not shorten them.
    with torch.autocast(embeddings.device.type, enabled=False):
        embeddings = F.normalize(at_least_float32(embeddings), dim=1)
        proxies = F.normalize(at_least_float32(proxies), dim=1)
        to_proxy = (embeddings * proxies).sum(1)
        to_others = embeddings @ embeddings.t()
    positive = (to_proxy - margin).clamp(max=0) / temperature
    negative = (to_others - (1 - margin)).clamp(min=0) / temperature
    same = labels[:, None] == labels
    if variant == "public":
        negative = negative - negative.detach().masked_fill(same, 0).amax(1, keepdim=True)
    # log((e^p + Σ e^n) / e^p) = log(e^0 + Σ e^(n − p)), which has a gradient without negatives too.
    exponents = (negative - positive[:, None]).masked_fill(same, -torch.inf)
    exponents = torch.cat([torch.zeros_like(positive)[:, None], exponents], dim=1)
    return exponents.logsumexp(1).mean()
