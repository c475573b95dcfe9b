"""The bundled specs against the tables and totals of their papers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netspec import bundled, load, loads
from netspec.comparing.nets import NETS
from netspec.language.expects import prepare_of
from netspec.language.read import BUNDLED
from netspec.views.summary import summary
from tests.helpers import SYMBOLIC, loaded

# ResNets, SqueezeNets, densenet121, mobilenet_v2, alexnet_owt, googlenet_bn and VGGs with bn: as
# torchvision 0.28 counts them.  mobilenet_v1 and efficientnet_lite0: as timm 1.0 counts them.
# resnet50_keras: as Keras 3.15.  inception_v3_tf: as Keras, and 17,216 weights of bn more, which
# Keras does not have.  alexnet_caffe, caffenet, nin_imagenet: as the layers of Caffe's prototxt.
TOTALS = {
    # parameters, buffers, MACs, then parameters and MACs with the heads
    "alexnet": (60_965_224, 0, 724_406_816, 60_965_224, 724_406_816),
    "alexnet_caffe": (60_965_224, 0, 724_406_816, 60_965_224, 724_406_816),
    # C1 48, C2 128, C3 and C4 192 filters; C5 and the fully connected layers at full size
    "alexnet_one_column": (59_798_312, 0, 391_514_384, 59_798_312, 391_514_384),
    "alexnet_owt": (61_100_840, 0, 714_188_480, 61_100_840, 714_188_480),
    # C6 adds (3*3*256+1)*256 and 3*3*256*256*6*6, the classes 4097*20841 and 4096*20841
    "alexnet_six": (146_940_881, 0, 831_005_216, 146_940_881, 831_005_216),
    "caffenet": (60_965_224, 0, 724_406_816, 60_965_224, 724_406_816),
    "cifar4": (2_112_970, 0, 19_512_576, 2_112_970, 19_512_576),
    "densenet121": (7_978_856, 83_648, 2_834_161_664, 7_978_856, 2_834_161_664),
    "efficientnet_lite0": (4_652_008, 42_016, 385_187_552, 4_652_008, 385_187_552),
    "googlenet": (6_998_552, 0, 1_582_671_872, 13_378_280, 1_591_044_096),
    "googlenet_bn": (6_624_904, 14_560, 1_498_376_192, 13_004_888, 1_506_748_416),
    "inception_v2": (11_295_240, 20_032, 2_032_600_064, 11_295_240, 2_032_600_064),
    "inception_v3": (23_834_568, 34_432, 5_713_216_096, 27_161_264, 5_718_899_296),
    "inception_v3_tf": (23_834_568, 34_432, 5_713_216_096, 27_161_264, 5_718_899_296),
    "inception_v4": (42_679_816, 63_168, 12_253_974_624, 42_679_816, 12_253_974_624),
    "lenet5": (60_850, 0, 326_520, 60_850, 326_520),
    "lenet5_rbf": (60_000, 0, 326_520, 60_000, 326_520),
    "mobilenet_v1": (4_231_976, 21_888, 568_740_352, 4_231_976, 568_740_352),
    "mobilenet_v2": (3_504_872, 34_112, 300_774_272, 3_504_872, 300_774_272),
    "nin": (81_960, 0, 56_753_408, 81_960, 56_753_408),
    "nin_cifar10": (966_986, 0, 222_486_528, 966_986, 222_486_528),
    "nin_imagenet": (7_595_176, 0, 1_100_188_800, 7_595_176, 1_100_188_800),
    "resnet18": (11_689_512, 9_600, 1_814_073_344, 11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 17_024, 3_663_761_408, 21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 53_120, 4_089_184_256, 25_557_032, 4_089_184_256),
    "resnet50_keras": (25_583_592, 53_120, 3_857_973_248, 25_583_592, 3_857_973_248),
    "resnet101": (44_549_160, 105_344, 7_801_405_440, 44_549_160, 7_801_405_440),
    "resnet152": (60_192_808, 151_424, 11_513_626_624, 60_192_808, 11_513_626_624),
    "squeezenet1_0": (1_248_424, 0, 818_924_576, 1_248_424, 818_924_576),
    "squeezenet1_1": (1_235_496, 0, 349_151_936, 1_235_496, 349_151_936),
    "unet": (7_763_041, 5_888, 12_071_206_912, 7_763_041, 12_071_206_912),
    "vgg11": (132_863_336, 0, 7_609_090_048, 132_863_336, 7_609_090_048),
    "vgg11_bn": (132_868_840, 5_504, 7_609_090_048, 132_868_840, 7_609_090_048),
    "vgg11_lrn": (132_863_336, 0, 7_609_090_048, 132_863_336, 7_609_090_048),
    "vgg13": (133_047_848, 0, 11_308_466_176, 133_047_848, 11_308_466_176),
    "vgg13_bn": (133_053_736, 5_888, 11_308_466_176, 133_053_736, 11_308_466_176),
    "vgg16_1": (133_638_952, 0, 11_770_888_192, 133_638_952, 11_770_888_192),
    "vgg16_3": (138_357_544, 0, 15_470_264_320, 138_357_544, 15_470_264_320),
    "vgg16_bn": (138_365_992, 8_448, 15_470_264_320, 138_365_992, 15_470_264_320),
    "vgg19": (143_667_240, 0, 19_632_062_464, 143_667_240, 19_632_062_464),
    "vgg19_bn": (143_678_248, 11_008, 19_632_062_464, 143_678_248, 19_632_062_464),
    "zfnet": (62_357_608, 0, 1_168_032_896, 62_357_608, 1_168_032_896),
}

ALEXNET = "55x55x96 27x27x96 27x27x256 13x13x256 13x13x384 13x13x384 13x13x256 6x6x256"
LENET5 = "28x28x6 14x14x6 10x10x16 5x5x16 1x1x120 84 10"
FC = "4096 4096 1000"


def vgg(*counts: int) -> str:
    """The sizes of a VGG net with so many convolutions in each block."""
    sizes = []
    for block, count in enumerate(counts):
        side, channels = 224 >> block, min(64 << block, 512)
        sizes += [f"{side}x{side}x{channels}"] * count + [f"{side // 2}x{side // 2}x{channels}"]
    return f"{' '.join(sizes)} {FC}"


def resnet(expansion: int, *counts: int) -> str:
    """Return the sizes of a ResNet with so many blocks in each part."""
    sizes = ["112x112x64", "56x56x64"]
    for part, count in enumerate(counts):
        side, channels = 56 >> part, expansion * (64 << part)
        sizes += [f"{side}x{side}x{channels}"] * count
    return f"{' '.join(sizes)} 1000"


GOOGLENET = (
    "28x28x192 28x28x256 28x28x480 14x14x480 14x14x512 14x14x512 14x14x512 14x14x528 14x14x832 "
    "7x7x832 7x7x832 7x7x1024 1000 1000 1000"
)
INCEPTION_V3 = (
    "149x149x32 147x147x32 147x147x64 73x73x64 73x73x80 71x71x192 35x35x192 35x35x256 35x35x288 "
    "35x35x288 17x17x768 17x17x768 17x17x768 17x17x768 17x17x768 8x8x1280 8x8x2048 8x8x2048 1000 "
    "1000"
)

OUTPUTS = {
    "alexnet": f"{ALEXNET} {FC}",
    "alexnet_caffe": f"{ALEXNET} {FC}",
    "alexnet_one_column": "55x55x48 27x27x48 27x27x128 13x13x128 13x13x192 13x13x192 13x13x256 "
    f"6x6x256 {FC}",
    "alexnet_owt": "55x55x64 27x27x64 27x27x192 13x13x192 13x13x384 13x13x256 13x13x256 6x6x256 "
    f"{FC}",
    "alexnet_six": f"{ALEXNET} 6x6x256 4096 4096 21841",
    "caffenet": f"{ALEXNET} {FC}",
    "cifar4": "24x24x64 12x12x64 12x12x64 6x6x64 6x6x64 6x6x32 10",
    "densenet121": "112x112x64 56x56x64 56x56x256 56x56x128 28x28x128 28x28x512 28x28x256 "
    "14x14x256 14x14x1024 14x14x512 7x7x512 7x7x1024 1x1x1024 1000",
    "efficientnet_lite0": "112x112x32 112x112x16" + " 56x56x24" * 2 + " 28x28x40" * 2
    + " 14x14x80" * 3 + " 14x14x112" * 3 + " 7x7x192" * 4 + " 7x7x320 7x7x1280 1000",
    "googlenet": f"112x112x64 56x56x64 56x56x192 {GOOGLENET}",
    "googlenet_bn": f"112x112x64 56x56x64 56x56x64 56x56x192 {GOOGLENET}",
    "inception_module": "HxWxC2 HxWxC2 HxWxC2 HxWxC2 HxWxC2 HxWxC1 HxWxC2 HxWx4*C2",
    "inception_naive": "HxWxC2 HxWxC2 HxWxC2 HxWxC1 HxWxC1 + 3*C2",
    "inception_v2": "112x112x64 56x56x64 56x56x192 28x28x192 28x28x256 28x28x320 14x14x576 "
    "14x14x576 14x14x576 14x14x608 14x14x608 7x7x1056 7x7x1024 7x7x1024 1000",
    "inception_v3": INCEPTION_V3,
    "inception_v3_tf": INCEPTION_V3,
    "inception_v4": "149x149x32 147x147x32 147x147x64 73x73x160 71x71x192 35x35x384"
    + " 35x35x384" * 4 + " 17x17x1024" * 8 + " 8x8x1536" * 4 + " 1000",
    "lenet5": LENET5,
    "lenet5_rbf": LENET5,
    "mobilenet_v1": "112x112x32 112x112x64" + " 56x56x128" * 2 + " 28x28x256" * 2
    + " 14x14x512" * 6 + " 7x7x1024" * 2 + " 1x1x1024 1000",
    "mobilenet_v2": "112x112x32 112x112x16" + " 56x56x24" * 2 + " 28x28x32" * 3
    + " 14x14x64" * 4 + " 14x14x96" * 3 + " 7x7x160" * 3 + " 7x7x320 7x7x1280 1x1x1280 1000",
    "nin": "30x30x16 30x30x16 28x28x64 28x28x64 26x26x100 26x26x100 1x1x100",
    "nin_cifar10": "32x32x192 32x32x160 32x32x96 16x16x96 16x16x192 16x16x192 16x16x192 8x8x192 "
    "8x8x192 8x8x192 8x8x10 1x1x10",
    "nin_imagenet": "54x54x96 54x54x96 54x54x96 27x27x96 27x27x256 27x27x256 27x27x256 13x13x256 "
    "13x13x384 13x13x384 13x13x384 6x6x384 6x6x1024 6x6x1024 6x6x1000 1x1x1000",
    "resnet18": resnet(1, 2, 2, 2, 2),
    "resnet34": resnet(1, 3, 4, 6, 3),
    "resnet50": resnet(4, 3, 4, 6, 3),
    "resnet50_keras": resnet(4, 3, 4, 6, 3),
    "resnet101": resnet(4, 3, 4, 23, 3),
    "resnet152": resnet(4, 3, 8, 36, 3),
    "squeezenet1_0": "109x109x96 54x54x96 54x54x128 54x54x128 54x54x256 27x27x256 27x27x256 "
    "27x27x384 27x27x384 27x27x512 13x13x512 13x13x512 13x13x1000 1000",
    "squeezenet1_1": "111x111x64 55x55x64 55x55x128 55x55x128 27x27x128 27x27x256 27x27x256 "
    "13x13x256 13x13x384 13x13x384 13x13x512 13x13x512 13x13x1000 1000",
    "unet": "256x256x32 128x128x32 128x128x64 64x64x64 64x64x128 32x32x128 32x32x256 16x16x256 "
    "16x16x512" + " 32x32x256" * 2 + " 64x64x128" * 2 + " 128x128x64" * 2 + " 256x256x32" * 2
    + " 256x256x1",
    "vgg11": vgg(1, 1, 2, 2, 2),
    "vgg11_bn": vgg(1, 1, 2, 2, 2),
    "vgg11_lrn": vgg(1, 1, 2, 2, 2),
    "vgg13": vgg(2, 2, 2, 2, 2),
    "vgg13_bn": vgg(2, 2, 2, 2, 2),
    "vgg16_1": vgg(2, 2, 3, 3, 3),
    "vgg16_3": vgg(2, 2, 3, 3, 3),
    "vgg16_bn": vgg(2, 2, 3, 3, 3),
    "vgg19": vgg(2, 2, 4, 4, 4),
    "vgg19_bn": vgg(2, 2, 4, 4, 4),
    "zfnet": f"110x110x96 55x55x96 26x26x256 13x13x256 13x13x384 13x13x384 13x13x256 6x6x256 {FC}",
}  # fmt: skip

LINES = {  # architecture, without and with the recipe; a VGG has its table's rows and 6 more
    "alexnet": (20, 32), "alexnet_caffe": (12, 27), "alexnet_one_column": (12, 12),
    "alexnet_owt": (18, 18), "alexnet_six": (6, 6), "caffenet": (8, 23), "cifar4": (12, 29),
    "densenet121": (25, 25), "efficientnet_lite0": (25, 25), "googlenet": (40, 52),
    "googlenet_bn": (40, 40), "inception_module": (12, 12), "inception_naive": (10, 10),
    "inception_v2": (55, 55), "inception_v3": (55, 55), "inception_v3_tf": (6, 6),
    "inception_v4": (55, 55), "lenet5": (20, 30), "lenet5_rbf": (36, 46), "mobilenet_v1": (21, 21),
    "mobilenet_v2": (27, 27), "nin": (12, 24), "nin_cifar10": (18, 30), "nin_imagenet": (22, 22),
    "resnet101": (4, 4), "resnet152": (5, 5), "resnet18": (21, 21), "resnet34": (7, 7),
    "resnet50": (22, 22), "resnet50_keras": (8, 8), "squeezenet1_0": (21, 21),
    "squeezenet1_1": (15, 15), "unet": (25, 25), "vgg11": (22, 34), "vgg11_bn": (24, 24),
    "vgg11_lrn": (6, 6), "vgg13": (6, 6), "vgg13_bn": (6, 6), "vgg16_1": (7, 7),
    "vgg16_3": (27, 39), "vgg16_bn": (7, 7), "vgg19": (7, 7), "vgg19_bn": (7, 7),
    "zfnet": (18, 30),
}  # fmt: skip

CENTRE = "with bilinear | center 224, round=even | range low=0, high=1"
IMAGENET = (
    f"shorter 256, round=floor {CENTRE} | subtract 0.485 0.456 0.406 | divide 0.229 0.224 0.225"
)
CAFFE = "order bgr | subtract 104.007 116.669 122.679"

PREPARED = {  # compared with the transforms of torchvision 0.28, timm 1.0, Keras 3.15 on one image
    "alexnet_caffe": f"resize 256x256 with bilinear | {CAFFE}",
    "alexnet_owt": IMAGENET,
    "caffenet": f"resize 256x256 with bilinear | {CAFFE}",
    "googlenet_bn": f"shorter 256, round=floor {CENTRE.replace('low=0', 'low=-1')}",
    "inception_v3": "shorter 342, round=floor with bilinear | center 299, round=even "
    "| range low=-1, high=1",
    "inception_v3_tf": "resize 299x299 with nearest | range low=-1, high=1",
    "inception_v4": "shorter 341, round=floor with bicubic | center 299, round=even "
    "| range low=-1, high=1",
    "nin_imagenet": f"resize 256x256 with bilinear | center 224 | {CAFFE}",
    "resnet50_keras": "resize 224x224 with nearest | order bgr | subtract 103.939 116.779 123.68",
    "vgg11_bn": IMAGENET,
    "vgg19_bn": IMAGENET,
}


@pytest.mark.parametrize(
    "path", [*BUNDLED.glob("*.net"), *NETS.glob("*.net")], ids=lambda p: p.stem
)
def test_no_spec_that_comes_with_netspec_has_what_is_probably_a_mistake(path: Path) -> None:
    assert load(path).warnings == ()


def test_every_bundled_spec_is_tested_here() -> None:
    assert set(OUTPUTS) == set(LINES) == set(bundled()) == {*TOTALS, *SYMBOLIC}
    assert {name for name in bundled() if loaded(name).symbols} == SYMBOLIC


@pytest.mark.parametrize("name", TOTALS)
def test_totals_are_those_of_the_paper(name: str) -> None:
    net = loaded(name)
    totals, with_heads = net.totals, net.totals_with_heads
    counts = (totals.parameters, totals.buffers, totals.macs)
    assert (*counts, with_heads.parameters, with_heads.macs) == TOTALS[name]


def test_the_symbolic_modules_have_the_totals_of_any_size() -> None:
    module = loaded("inception_module", H=28, W=28, C1=192, C2=64)
    assert module.totals.parameters == 188_800  # 205,184 as printed
    naive = loaded("inception_naive", H=28, W=28, C1=192, C2=64)
    assert naive.totals.macs == 28 * 28 * 192 * 64 * (1 + 9 + 25)
    assert loaded("inception_module").symbols == ["C1", "C2", "H", "W"]


@pytest.mark.parametrize("name", bundled())
def test_every_row_has_the_size_of_the_table(name: str) -> None:
    rows = summary(loaded(name))["rows"]
    sizes = ["x".join(map(str, row["output"])) for row in rows]
    assert " ".join(sizes) == OUTPUTS[name]


@pytest.mark.parametrize("name", bundled())
def test_every_row_claims_its_size(name: str) -> None:
    net = loaded(name)
    assert all(any(c.kind == "size" for c in row.claims) for row in net.graph.rows.values())
    assert not net.notes


@pytest.mark.parametrize("name", bundled())
def test_a_spec_is_as_short_as_its_table(name: str) -> None:
    text = (BUNDLED / f"{name}.net").read_text(encoding="utf-8")
    text = re.sub(r"^ *document .*?^ *\}\n", "", text, flags=re.DOTALL | re.MULTILINE)
    with_recipe = written(text)
    without = written(re.sub(r"^ *train .*?^ *\}\n", "", text, flags=re.DOTALL | re.MULTILINE))
    assert (without, with_recipe) <= LINES[name]
    assert with_recipe <= LINES[name][1]


def written(text: str) -> int:
    """The lines of a text that hold more than a comment."""
    return sum(bool(line.split("#")[0].strip()) for line in text.splitlines())


@pytest.mark.parametrize("name", bundled())
def test_every_spec_names_its_source(name: str) -> None:
    first = (BUNDLED / f"{name}.net").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert loaded(name).title


@pytest.mark.parametrize("name", bundled())
def test_every_spec_or_its_base_says_how_sizes_are_rounded(name: str) -> None:
    text = (BUNDLED / f"{name}.net").read_text(encoding="utf-8")
    while base := re.search(r"^net .* from (\w+) ", text, re.MULTILINE):
        text = (BUNDLED / f"{base[1]}.net").read_text(encoding="utf-8")
    if not re.search(r"^default .*round=", text, re.MULTILINE):
        assert "exact under any rounding" in text
        loads(text.replace("\ninput ", "\ndefault round=ceil\ninput ", 1))  # the claims still hold


@pytest.mark.parametrize("name", PREPARED)
def test_images_are_prepared_as_for_the_published_weights(name: str) -> None:
    expects = loaded(name).expects
    assert expects.prepare == prepare_of(PREPARED[name])
    assert len(expects.classes) == 1000
    assert expects.views == "center"


def test_the_receptive_field_grows_as_in_alexnet() -> None:
    rows = {row["label"]: row["field"] for row in summary(load("alexnet"))["rows"]}
    # padding of 2 at stride 8, then three times 1 at stride 16
    assert rows["S5"] == {"size": [195, 195], "start": [-64, -64], "stride": [32, 32]}
    # C1, S1, C2, S2, C3, C4, C5 by size + (kernel - 1) * stride
    assert [rows[r]["size"][0] for r in ("C1", "S1", "C2", "S2", "C3", "C4", "C5")] == [
        11, 19, 51, 67, 99, 131, 163
    ]  # fmt: skip


def test_each_inception_module_adds_up_as_in_the_paper() -> None:
    rows = {row["label"]: row["parameters"] for row in summary(load("googlenet"))["rows"]}
    # weights and biases of 3a: 1x1 64, 1x1 96 + 3x3 128, 1x1 16 + 5x5 32, projection 32
    weights = 192 * (64 + 96 + 16 + 32) + 96 * 128 * 9 + 16 * 32 * 25
    assert rows["3a"] == weights + 64 + 96 + 128 + 16 + 32 + 32


def test_alexnet_has_659272_neurons_not_650000() -> None:
    assert (
        load("alexnet").totals.neurons == 290_400 + 186_624 + 64_896 * 2 + 43_264 + 4096 * 2 + 1000
    )
