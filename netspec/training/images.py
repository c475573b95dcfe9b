"""Pictures from files, as the tensors that a net takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from netspec.data.pictures import read_picture
from netspec.errors import DataError
from netspec.ir.shapes import Shape


def load_image(path: str | Path, shape: Shape) -> Tensor:
    """A picture, resized until it covers the input and cropped at its centre.

    Args:
        path: any file that Pillow reads; turned upright as its EXIF data says, grey for a net of
            one channel, on white where it is transparent.
        shape: the input's height x width x channels.

    Returns:
        A tensor [1, C, H, W], float32, 0 for black to 1 for white.

    Raises:
        DataError: the file is no picture, or the net takes no pictures.
    """
    if not shape.is_map or shape.channels not in (1, 3):
        raise DataError(
            f"the net's input is {shape}, and a picture has 1 or 3 channels: "
            "use the Python API for other inputs"
        )
    height, width, channels = shape
    try:
        picture = ImageOps.fit(
            read_picture(path, str(path)),
            (width, height),
            method=Image.Resampling.BICUBIC,
            centering=(0.5, 0.5),
        )
    except (OverflowError, MemoryError):
        raise DataError(f"cannot resize {path} to {width} x {height} pixels: too large") from None
    picture = picture.convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(picture, dtype=np.float32).reshape(height, width, channels) / 255
    return torch.from_numpy(pixels.transpose(2, 0, 1)[np.newaxis].copy())
