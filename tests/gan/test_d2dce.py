"""The losses of the class heads against their formulas, image by image."""

import math

import numpy as np
import pytest
import torch

from fewcase.gan.conditioning import ClassLoss, data_to_data_loss
from fewcase.gan.discriminator import Judgement
from fewcase.study.errors import InputError


def some_batch(n=9, width=5, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(n, width, generator=generator, dtype=torch.float64)
    table = torch.randn(classes, width, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (n,), generator=generator)
    # One image at its proxy, and two of different classes alike, so that all bounds are met.
    embeddings[0] = 3 * table[labels[0]]
    other = int((labels != labels[1]).nonzero()[0])
    embeddings[other] = 2 * embeddings[1]
    return embeddings, table[labels], labels


def slow_loss(embeddings, proxies, labels, temperature, margin, variant):
    f = [e / np.linalg.norm(e) for e in embeddings.numpy()]
    v = [p / np.linalg.norm(p) for p in proxies.numpy()]
    total = 0.0
    for i, label in enumerate(labels.tolist()):
        attraction = math.exp(min(f[i] @ v[i] - margin, 0) / temperature)
        negatives = [
            max(f[i] @ f[j] - (1 - margin), 0)
            for j, other in enumerate(labels.tolist())
            if other != label
        ]
        largest = max(negatives, default=0.0) if variant == "public" else 0.0
        repulsion = sum(math.exp((negative - largest) / temperature) for negative in negatives)
        total -= math.log(attraction / (attraction + repulsion))
    return total / len(labels)


@pytest.mark.parametrize("variant", ["paper", "public"])
@pytest.mark.parametrize(("temperature", "margin"), [(0.5, 0.95), (0.25, 0.98), (1.0, 0.5)])
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_the_published_formula(variant, temperature, margin, seed):
    batch = some_batch(seed=seed)
    found = data_to_data_loss(*batch, temperature, margin, variant)
    expected = slow_loss(*batch, temperature, margin, variant)
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_the_loss_has_the_right_gradient():
    # Away from the bounds, where there is none.
    _, proxies, labels = some_batch(6)
    embeddings = torch.randn(6, 5, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    inputs = (embeddings.requires_grad_(), proxies.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda e, p: data_to_data_loss(e, p, labels, 0.5, 0.95), inputs)


def test_no_gradient_goes_through_what_the_public_variant_subtracts():
    embeddings, proxies, labels = some_batch(6, seed=4)
    embeddings = embeddings.requires_grad_()
    (found,) = torch.autograd.grad(
        data_to_data_loss(embeddings, proxies, labels, 0.5, 0.95, "public"), embeddings
    )
    f, v = (torch.nn.functional.normalize(x, dim=1) for x in (embeddings, proxies))
    total = 0
    for i in range(6):
        others = [j for j in range(6) if labels[j] != labels[i]]
        negative = torch.stack([(f[i] @ f[j] - 0.05).clamp(min=0) for j in others]) / 0.5
        positive = (f[i] @ v[i] - 0.95).clamp(max=0) / 0.5
        repulsion = (negative - negative.max().item()).exp().sum()
        total = total - (positive.exp() / (positive.exp() + repulsion)).log() / 6
    (expected,) = torch.autograd.grad(total, embeddings)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("variant", ["paper", "public"])
def test_a_batch_of_one_class_has_loss_0_and_gradient_0(variant):
    embeddings, proxies, _ = some_batch()
    embeddings = embeddings.requires_grad_()
    labels = torch.ones(len(embeddings), dtype=torch.int64)
    loss = data_to_data_loss(embeddings, proxies, labels, 0.5, 0.95, variant)
    assert loss.item() == 0
    loss.backward()
    assert not embeddings.grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("temperature", [0.5, 0.02])
def test_the_loss_is_computed_in_float32_whatever_the_caller_computes_in(dtype, temperature):
    embeddings, proxies, labels = some_batch()
    low = [x.to(dtype) for x in (embeddings, proxies)]
    expected = slow_loss(*(x.double() for x in low), labels, temperature, 0.95, "paper")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = data_to_data_loss(*low, labels, temperature, 0.95)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected, rel=1e-4)


def judged(seed, kind):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, generator=generator)
    if kind == "auxiliary":
        return Judgement(logits, class_logits=torch.randn(6, 3, generator=generator))
    if kind == "d2dce":
        embeddings, proxies = torch.randn(2, 6, 4, generator=generator)
        return Judgement(logits, embeddings, proxies)
    return Judgement(logits)


REAL_LABELS, FAKE_LABELS = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([2, 2, 1, 1, 0, 0])


def test_reacgan_teaches_the_discriminator_by_real_and_the_generator_by_generated_images():
    loss = ClassLoss(weight=0.25, temperature=0.25, margin=0.9)
    real, fake = judged(0, "d2dce"), judged(1, "d2dce")
    settings = (0.25, 0.9, "paper")
    of_real = slow_loss(real.embeddings, real.proxies, REAL_LABELS, *settings)
    of_fake = slow_loss(fake.embeddings, fake.proxies, FAKE_LABELS, *settings)
    found = loss.of_discriminator(real, REAL_LABELS, fake, FAKE_LABELS)
    assert found.item() == pytest.approx(0.25 * of_real, rel=1e-5)
    assert loss.of_generator(fake, FAKE_LABELS).item() == pytest.approx(0.25 * of_fake, rel=1e-5)


def test_an_auxiliary_classifier_learns_from_real_and_generated_images():
    loss = ClassLoss("auxiliary", weight=0.5)
    real, fake = judged(0, "auxiliary"), judged(1, "auxiliary")

    def cross_entropy(judgement, labels):
        logits = judgement.class_logits.double().numpy()
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        return -np.log(probabilities[np.arange(6), labels.numpy()]).mean()

    of_real, of_fake = cross_entropy(real, REAL_LABELS), cross_entropy(fake, FAKE_LABELS)
    found = loss.of_discriminator(real, REAL_LABELS, fake, FAKE_LABELS)
    assert found.item() == pytest.approx(0.5 * (of_real + of_fake), rel=1e-5)
    assert loss.of_generator(fake, FAKE_LABELS).item() == pytest.approx(0.5 * of_fake, rel=1e-5)


@pytest.mark.parametrize("conditioning", ["projection", "none"])
def test_where_logits_say_all_there_is_no_further_term(conditioning):
    loss, plain = ClassLoss(conditioning), judged(0, "none")
    assert loss.of_generator(plain, FAKE_LABELS).item() == 0
    assert loss.of_discriminator(plain, REAL_LABELS, plain, FAKE_LABELS).item() == 0


def test_the_defaults_are_those_for_a_few_classes():
    loss = ClassLoss()
    assert (loss.weight, loss.temperature, loss.margin, loss.variant) == (0.5, 0.5, 0.95, "paper")


@pytest.mark.parametrize(
    ("values", "message"),
    [({"conditioning": "acgan"}, "'acgan'"), ({"variant": "code"}, "'code'"),
     ({"weight": -1}, "weight: -1"), ({"temperature": 0}, "temperature: 0"),
     ({"margin": 1.5}, "margin: 1.5")],
)  # fmt: skip
def test_an_impossible_class_loss_is_refused_by_name(values, message):
    with pytest.raises(InputError, match=message):
        ClassLoss(**values)
