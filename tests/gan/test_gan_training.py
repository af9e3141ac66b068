"""Generators learn their classes, stop when they should, and go on after a kill as if without."""

import dataclasses

import numpy as np
import pytest
import torch

from fewcase.gan import training
from fewcase.gan.draws import StepDraws
from fewcase.gan.learner import GanLearner, architecture_of
from fewcase.gan.pixels import to_bytes, to_range
from fewcase.gan.stopping import StoppingRule
from fewcase.gan.training import train_gan
from fewcase.runtime.checkpoint import ResumeFolder
from fewcase.study.errors import InputError
from fewcase.study.settings import TrainingOptions
from small_gans import LOG, SMALL

OFTEN = TrainingOptions(checkpoint_minutes=0)


def fit(data, resume, recipe=SMALL, options=OFTEN, **more):
    return train_gan(recipe, options, data, 3, "cpu", resume, LOG, **more)


class KilledError(Exception):
    """Stands for the kill of a process."""


def same_bytes(ours: GanLearner, others: GanLearner) -> bool:
    """Whether two learners hold the same numbers to the last bit, optimisers included."""
    for name in ("generator", "discriminator", "average"):
        one, other = getattr(ours, name).state_dict(), getattr(others, name).state_dict()
        if not all(torch.equal(one[key], other[key]) for key in one):
            return False
    for name in ("g_optimizer", "d_optimizer"):
        one, other = (getattr(x, name).state_dict()["state"] for x in (ours, others))
        if not all(torch.equal(one[k][v], other[k][v]) for k in one for v in one[k]):
            return False
    controllers = [learner.controller.state() for learner in (ours, others)]
    same = all(
        torch.equal(controllers[0][key], controllers[1][key])
        for key in ("probability", "signs", "counts")
    )
    path = torch.equal(ours.path_length.mean, others.path_length.mean)
    return same and path and ours.images == others.images and ours.steps == others.steps


@pytest.mark.parametrize("killed_after", [1, 7, 11, 19])
def test_a_killed_training_ends_as_one_that_was_not(
    data, resume, tmp_path, monkeypatch, killed_after
):
    """R1, path length and augmentation fall due at different steps around the kill."""
    recipe = dataclasses.replace(SMALL, ada_kimg=0.1, ada_target=-1.0)
    whole = fit(data, resume, recipe)
    other = ResumeFolder(tmp_path / "other", {}, "code", True, LOG)
    step = training.Trainer.step

    def dying(trainer):
        if trainer.learner.steps == killed_after:
            raise KilledError
        step(trainer)

    monkeypatch.setattr(training.Trainer, "step", dying)
    with pytest.raises(KilledError):
        fit(data, other, recipe)
    monkeypatch.setattr(training.Trainer, "step", step)
    resumed = fit(data, other, recipe)
    assert same_bytes(whole.learner, resumed.learner)
    kept = [c for c in whole.history if c not in ("seconds", "images_per_second")]
    np.testing.assert_array_equal(whole.history[kept], resumed.history[kept])
    np.testing.assert_array_equal(whole.samples, resumed.samples)
    assert whole.learner.controller.probability > 0


def test_another_seed_draws_other_weights_and_other_batches(data, tmp_path):
    found = []
    for seed in (1, 2):
        resume = ResumeFolder(tmp_path / str(seed), {}, "", True, LOG)
        found.append(train_gan(SMALL, OFTEN, data, seed, "cpu", resume, LOG))
    assert not same_bytes(found[0].learner, found[1].learner)


def test_every_regulariser_falls_due_as_often_as_the_recipe_says(data, resume, monkeypatch):
    counts = dict.fromkeys(("_step_r1", "_step_path_length", "_step_discriminator"), 0)
    for name in counts:
        method = getattr(training.Trainer, name)

        def counted(trainer, draws, name=name, method=method):
            counts[name] += 1
            method(trainer, draws)

        monkeypatch.setattr(training.Trainer, name, counted)
    fit(data, resume, dataclasses.replace(SMALL, discriminator_steps=2))
    # 160 images are 20 steps.
    assert counts == {"_step_r1": 5, "_step_path_length": 10, "_step_discriminator": 40}


def test_lazy_regularisers_weigh_as_much_as_if_they_were_computed_at_every_step(data, monkeypatch):
    """Losses that are descended, against the formulas written out for the same draws."""
    recipe = dataclasses.replace(SMALL, r1_gamma=0.3, r1_interval=7, path_length_interval=3)
    learner = GanLearner(recipe, architecture_of(recipe, 3, 2), "cpu")
    trainer = training.Trainer(recipe, OFTEN, data, learner, 3, "cpu")
    for _ in range(3):
        trainer.step()
    learner.path_length.mean.fill_(0.5)
    descended = []
    monkeypatch.setattr(trainer, "_descend", lambda optimizer, loss: descended.append(loss.item()))
    trainer._step_r1(StepDraws(1, 0, "cpu"))
    trainer._step_path_length(StepDraws(1, 0, "cpu"))

    draws = StepDraws(1, 0, "cpu")
    reals, labels = trainer._reals(draws)
    reals.requires_grad_(True)
    logits = learner.discriminator(reals, labels).logits
    slopes = torch.autograd.grad(logits.sum(), reals)[0]
    r1 = 0.3 / 2 * slopes.square().sum((1, 2, 3)).mean()
    draws = StepDraws(1, 0, "cpu")
    styles, _ = trainer._styles(draws, 4)
    images = learner.generator.synthesis(styles, learner.generator.draw_noise(4, draws.large))
    noise = draws.noise_like(images) / 16
    slopes = torch.autograd.grad((images * noise).sum(), styles)[0]
    lengths = slopes.square().sum(2).mean(1).sqrt()
    mean = 0.5 + 0.01 * (lengths.mean() - 0.5)
    path = (lengths - mean).square().mean()
    expected = [7 * r1.item(), 3 * 2.0 * path.item()]
    np.testing.assert_allclose(descended, expected, rtol=1e-4)


def test_low_precision_is_near_to_full(data, tmp_path):
    """bfloat16 has 8 bits: after a few steps, regularisers included, losses agree to percents."""
    found = {}
    for precision in ("float32", "bfloat16"):
        resume = ResumeFolder(tmp_path / precision, {}, "", True, LOG)
        options = TrainingOptions(checkpoint_minutes=100, precision=precision)
        found[precision] = fit(data, resume, options=options)
    names = ["loss_d", "loss_g", "r1", "path_length", "class_d"]
    full, low = (found[name].history[names].iloc[0] for name in ("float32", "bfloat16"))
    np.testing.assert_allclose(low, full, rtol=0.1, atol=0.02)
    assert found["bfloat16"].about["precision"] == "bfloat16"


def test_a_training_whose_losses_are_no_numbers_is_stopped_and_says_what_to_do(data, resume):
    recipe = dataclasses.replace(SMALL, learning_rate=1e12)
    with pytest.raises(InputError, match=r"diverged.*Raise r1_gamma"):
        fit(data, resume, recipe)


def test_a_generator_that_draws_one_image_whatever_the_latent_is_stopped(data, resume, monkeypatch):
    forward = training.FixedLatents.draw

    def collapsed(fixed, generator):
        samples = forward(fixed, generator)
        return samples[:, :1].expand_as(samples).clone()

    monkeypatch.setattr(training.FixedLatents, "draw", collapsed)
    with pytest.raises(InputError, match="collapsed"):
        fit(data, resume, dataclasses.replace(SMALL, snapshot_kimg=0.03))


def test_training_stops_once_nothing_gets_better_and_keeps_the_best_snapshot(data, resume):
    distances = iter([5.0, 3.0, 4.0, 3.0, 3.1, 2.999, 9.0])

    def measure(generator):
        return {"train_frechet": next(distances), "validation_frechet": 1.0, "train_recall": 0.5}

    recipe = dataclasses.replace(SMALL, kimg=10.0, snapshot_kimg=0.08, patience=4)
    outputs = fit(data, resume, recipe, measure=measure)
    # The second snapshot is the last that is better by a hundredth; four more follow it.
    seen = outputs.history["train_frechet"].dropna()
    assert seen.tolist() == [5.0, 3.0, 4.0, 3.0, 3.1, 2.999]
    assert outputs.about["chosen_kimg"] == pytest.approx(0.48, abs=0.01)
    assert outputs.about["kimg"] == pytest.approx(0.48, abs=0.01)
    assert outputs.history["validation_frechet"].dropna().eq(1).all()


def test_the_validation_images_decide_nothing():
    rule = StoppingRule(patience=1)
    assert rule.look(1.0, {"train_frechet": 2.0, "validation_frechet": 9.0})
    assert not rule.look(2.0, {"train_frechet": 2.0, "validation_frechet": 1.0})
    assert rule.should_stop()


def test_the_augmentation_is_traced_in_the_history(data, resume):
    recipe = dataclasses.replace(SMALL, ada_kimg=0.05, ada_target=-1.0)
    history = fit(data, resume, recipe).history
    assert history["probability"].is_monotonic_increasing
    assert history["probability"].iloc[-1] > 0.5
    assert history["real_sign"].dropna().between(-1, 1).all()
    assert history["real_sign"].notna().any()


def test_the_average_follows_the_generator_at_its_half_life(data, resume):
    recipe = dataclasses.replace(SMALL, ema_kimg=0.016, ema_rampup=None)
    outputs = fit(data, resume, recipe)
    learner = outputs.learner
    before = {k: v.clone() for k, v in learner.average.named_parameters()}
    learner.update_average()
    # 8 images are half of the half-life of 16: the share that stays is √½.
    for name, mean in learner.average.named_parameters():
        now = dict(learner.generator.named_parameters())[name]
        torch.testing.assert_close(mean, now + (before[name] - now) * 0.5**0.5)


def test_bytes_and_numbers_go_back_and_forth():
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(to_range(values)), values)
    assert to_bytes(torch.tensor([-1.2, 1.3])).tolist() == [0, 255]
