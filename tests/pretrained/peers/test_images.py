"""Published files, and how their images are prepared, are those of torchvision and timm."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from netspec.data.preprocessing import view_of
from netspec.pretrained.families import Family, families
from tests.pretrained.peers.models import TORCHVISION
from tests.pretrained.peers.test_pytorch import IGNORE

BY_NAME = {family.name: family for family in families()}
OF_TIMM = {
    "timm_efficientnet_lite0": "tf_efficientnet_lite0.in1k",
    "timm_inception_v4": "inception_v4.tf_in1k",
    "timm_mobilenet_v1": "mobilenetv1_100.ra4_e3600_r224_in1k",
    "timm_mobilenet_v2": "mobilenetv2_100.ra_in1k",
    **{f"timm_vgg{size}": f"vgg{size}.tv_in1k" for size in (11, 13, 16, 19)},
    **{f"timm_vgg{size}_bn": f"vgg{size}_bn.tv_in1k" for size in (11, 13, 16, 19)},
    **{f"torchvision_resnet{size}": f"resnet{size}.tv_in1k" for size in (18, 34, 50, 101, 152)},
}
ALLOWED = 1e-5
"""Rounding of float32: values are up to 2.7, and were 0 to 255 before."""


def photograph() -> Image.Image:
    """An image of 640x427, whose shorter and longer side are rounded in all ways."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    return Image.open(Path(package.origin).parent / "datasets" / "images" / "china.jpg")


def require_equal(family: Family, expected: Tensor) -> None:
    view = view_of(family.expects, family.net.input_shape)
    ours = torch.from_numpy(view(np.asarray(photograph()))[0]).permute(2, 0, 1)
    assert ours.shape == expected.shape
    assert float((ours - expected).abs().max()) < ALLOWED


def test_all_families_of_timm_are_compared() -> None:
    assert {name for name in BY_NAME if name.startswith("timm")} <= OF_TIMM.keys()


@pytest.mark.parametrize("name", TORCHVISION)
@IGNORE
def test_torchvision(name: str) -> None:
    import torchvision

    published: Any = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    expected: Tensor = published.transforms()(photograph())
    if name in ("googlenet", "inception_v3"):
        module = getattr(torchvision.models, name)(init_weights=False, transform_input=True)
        expected = module._transform_input(expected[None])[0]
    family = BY_NAME[
        "torchvision_densenet121_2017" if name == "densenet121" else f"torchvision_{name}"
    ]
    assert published.url in family.published[0]
    require_equal(family, expected)


@pytest.mark.parametrize("name", OF_TIMM)
@IGNORE
def test_timm(name: str) -> None:
    from timm.data import create_transform, resolve_data_config
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(OF_TIMM[name])
    family = BY_NAME[name]
    assert any(f"huggingface.co/{config.hf_hub_id}" in one for one in family.published)
    expected: Tensor = create_transform(**resolve_data_config(pretrained_cfg=config.to_dict()))(
        photograph()
    )
    require_equal(family, expected)
