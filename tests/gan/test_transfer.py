"""What goes over from a base, what is drawn anew, and what stays frozen to the last bit."""

import dataclasses

import pytest
import torch

from fewcase.gan.architecture import Architecture
from fewcase.gan.discriminator import Discriminator
from fewcase.gan.files import GanFacts, read_generator, write_generator, write_networks
from fewcase.gan.generator import Generator
from fewcase.gan.training import train_gan
from fewcase.gan.transfer import freeze, start_from
from fewcase.study.errors import InputError
from fewcase.study.gans import Freeze
from fewcase.study.settings import TrainingOptions
from small_gans import LOG, SMALL

SHAPE = Architecture(
    size=16, channels=3, classes=5, z_dim=16, w_dim=16, mapping_layers=2, channel_base=128,
    channel_max=16, embedding=16,
)  # fmt: skip
OPTIONS = TrainingOptions(checkpoint_minutes=100)


def write_base(path, shape=SHAPE, seed=7):
    torch.manual_seed(seed)
    networks = Generator(shape), Discriminator(shape)
    facts = GanFacts("base", shape, tuple("abcde")[: shape.classes], 1.0, {})
    write_networks(path, *networks, facts)
    return networks


@pytest.mark.parametrize(
    ("conditioning", "of_classes"),
    [
        ("d2dce", {"generator.mapping.embedding.weight", "discriminator.class_vectors"}),
        ("projection", {"generator.mapping.embedding.weight", "discriminator.class_vectors"}),
        (
            "auxiliary",
            {
                "generator.mapping.embedding.weight",
                "discriminator.class_logits.weight",
                "discriminator.class_logits.bias",
            },
        ),
    ],
)
@pytest.mark.parametrize("classes", [2, 5, 9])
def test_all_weights_go_over_but_those_of_the_classes(tmp_path, conditioning, of_classes, classes):
    """Other classes are other classes, also where there are equally many."""
    base = write_base(
        tmp_path / "b.safetensors", dataclasses.replace(SHAPE, conditioning=conditioning)
    )
    shape = dataclasses.replace(SHAPE, conditioning=conditioning, classes=classes)
    torch.manual_seed(1)
    ours = Generator(shape), Discriminator(shape)
    drawn = [{k: v.clone() for k, v in network.state_dict().items()} for network in ours]
    found = start_from(*ours, tmp_path / "b.safetensors")
    assert set(found.drawn) == of_classes
    for prefix, network, before, theirs in zip(
        ("generator.", "discriminator."), ours, drawn, base, strict=True
    ):
        copied = theirs.state_dict()
        for name, tensor in network.state_dict().items():
            expected = before[name] if prefix + name in of_classes else copied[name]
            assert torch.equal(tensor, expected), name
    assert len(found.copied) + len(found.drawn) == sum(len(n.state_dict()) for n in ours)


@pytest.mark.parametrize("blocks", [Freeze(d=1), Freeze(g=2), Freeze(d=1, g=2), Freeze(d=2, g=3)])
def test_what_is_frozen_does_not_change_by_one_bit_and_all_else_does(
    data, resume, tmp_path, blocks
):
    base = write_base(tmp_path / "b.safetensors")
    recipe = dataclasses.replace(SMALL, base="base", freeze=blocks, kimg=0.2)
    outputs = train_gan(
        recipe, OPTIONS, data, 3, "cpu", resume, LOG, base=tmp_path / "b.safetensors"
    )
    frozen = set(outputs.learner.frozen)
    for prefix, ours, theirs in [
        ("generator.", outputs.learner.generator, base[0]),
        ("discriminator.", outputs.learner.discriminator, base[1]),
        ("generator.", outputs.generator, base[0]),
    ]:
        before = dict(theirs.named_parameters())
        for name, parameter in ours.named_parameters():
            if prefix + name in frozen:
                assert torch.equal(parameter, before[name]), name
            elif parameter.shape == before[name].shape and parameter.numel() > 1:
                assert not torch.equal(parameter, before[name]), name
    assert len(frozen) > 0


def test_blocks_are_counted_from_the_ends_that_the_paper_names():
    generator, discriminator = Generator(SHAPE), Discriminator(SHAPE)
    names = freeze(generator, discriminator, Freeze(d=1, g=2))
    of_d = {name for name in names if name.startswith("discriminator")}
    # The first block of the discriminator is that of full size, with what takes images in.
    assert {name.split(".")[1:3] and ".".join(name.split(".")[1:3]) for name in of_d} == {
        "blocks.0"
    }
    assert any("from_image" in name for name in of_d)
    of_g = {".".join(name.split(".")[1:4]) for name in names if name.startswith("generator")}
    assert of_g == {"synthesis.blocks.0", "synthesis.blocks.1"}
    assert any("constant" in name for name in names)
    assert not any("mapping" in name for name in names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 1}, "its channels is 3, ours 1"),
        ({"size": 32, "channel_base": 256}, "its size is 16, ours 32"),
        ({"w_dim": 32}, "its w_dim is 16, ours 32"),
        ({"classes": 1}, "has one class"),
    ],
)
def test_a_base_that_is_built_in_another_way_is_refused(tmp_path, change, message):
    write_base(tmp_path / "b.safetensors")
    shape = dataclasses.replace(SHAPE, **change)
    with pytest.raises(InputError, match=message):
        start_from(Generator(shape), Discriminator(shape), tmp_path / "b.safetensors")


def test_a_transfer_adapts_augmentation_faster_and_ramps_no_average_up(data, resume, tmp_path):
    write_base(tmp_path / "b.safetensors")
    recipe = dataclasses.replace(SMALL, ada_target=-1.0, kimg=0.08)
    base = tmp_path / "b.safetensors"
    learner = train_gan(recipe, OPTIONS, data, 3, "cpu", resume, LOG, base=base).learner
    # 80 images are two updates of 32 in a hundred thousand.
    assert learner.controller.probability.item() == pytest.approx(2 * 32 / 100_000)
    assert learner.rampup is None


def test_a_generator_reads_back_as_it_was_written(tmp_path):
    generator = Generator(SHAPE)
    facts = GanFacts("g", SHAPE, ("a", "b", "c", "d", "e"), 0.7, {"kimg": 3.5})
    write_generator(tmp_path / "weights.safetensors", generator, facts)
    read, told = read_generator(tmp_path / "weights.safetensors")
    assert told == facts
    for name, tensor in generator.state_dict().items():
        assert torch.equal(read.state_dict()[name], tensor)
    assert not any(parameter.requires_grad for parameter in read.parameters())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "not a whole safetensors file"),
        (lambda path: path.write_bytes(b"\x80\x04]\x94."), "not a whole safetensors file"),
        (lambda path: path.unlink(), "no such file"),
    ],
)
def test_a_torn_or_foreign_file_of_weights_is_refused(tmp_path, spoil, message):
    path = tmp_path / "weights.safetensors"
    write_generator(path, Generator(SHAPE), GanFacts("g", SHAPE, tuple("abcde"), 1.0, {}))
    spoil(path)
    with pytest.raises(InputError, match=message):
        read_generator(path)


def test_weights_in_a_format_that_can_run_code_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"not a \.safetensors file.*can run code"):
        read_generator(tmp_path / "network.pkl")


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file({"layer.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="not the weights of a generator"):
        read_generator(path)
    facts = GanFacts("g", SHAPE, tuple("abcde"), 1.0, {})
    write_generator(path, Generator(dataclasses.replace(SHAPE, size=32, channel_base=256)), facts)
    with pytest.raises(InputError, match=r"holds the unknown tensor|lacks tensor"):
        read_generator(path)
    write_generator(path, Generator(dataclasses.replace(SHAPE, classes=4)), facts)
    with pytest.raises(InputError, match=r"mapping.embedding.weight' is \(16, 4\)"):
        read_generator(path)
