"""What another program does with an exported net: it reads the description file.

Only NumPy, Pillow and the JSON are used here, by the rules in docs/export.md; nothing of netspec.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]


class Consumer:
    """Classifies files by what the description of a net says."""

    def __init__(self, description: Path, net: Callable[[Array], Array]) -> None:
        self.about: dict[str, Any] = json.loads(description.read_text(encoding="utf-8"))
        self.net = net
        self.expects = self.about["expects"]
        self.shape = self.about["inputs"][0]["shape"]  # [C, H, W]
        assert (self.about["version"], self.expects["version"]) == (1, 1)

    def classify(self, path: Path) -> tuple[int, str, Array]:
        """Return the number of the answer, its name, and all outputs."""
        scores = self.net(self.views(path)).reshape(-1, *self.about["outputs"][0]["shape"])
        mean = scores.astype(np.float64).mean(0)
        number = int({"largest": np.argmax, "smallest": np.argmin}[self.about["answer"]](mean))
        return number, self.expects["classes"][number], mean

    def views(self, path: Path) -> Array:
        """Return what is shown of an image: [views, C, H, W], float32."""
        pixels = self.geometry(Image.open(path).convert("RGB"))
        values = self.values(pixels)
        _, height, width = self.shape
        down, across = values.shape[0] - height, values.shape[1] - width
        places = [(down // 2, across // 2)]
        if self.expects["views"] == "tencrop":
            places = [(0, 0), (0, across), (down, 0), (down, across), *places]
        cuts = [values[top : top + height, left : left + width] for top, left in places]
        if self.expects["views"] == "tencrop":
            cuts += [cut[:, ::-1] for cut in cuts]
        return np.ascontiguousarray(np.stack(cuts).transpose(0, 3, 1, 2), np.float32)

    def geometry(self, image: Image.Image) -> Array:
        """Return pixels [H, W, C] after the steps that change sizes, in the net's channels."""
        for step in self.expects["prepare"]:
            width, height = image.size
            match step:
                case {"step": "shorter", "size": size, "filter": name, "round": rounding}:
                    least = min(width, height)
                    if rounding == "floor":
                        sides = width * size // least, height * size // least
                    else:
                        sides = round(width * size / least), round(height * size / least)
                    image = image.resize(sides, Image.Resampling[name.upper()])
                case {"step": "resize", "size": [high, wide], "filter": name}:
                    image = image.resize((wide, high), Image.Resampling[name.upper()])
                case {"step": "center", "size": [high, wide], "round": rounding}:
                    down, across = (height - high) / 2, (width - wide) / 2
                    half = round if rounding == "even" else int
                    top, left = half(down), half(across)
                    image = image.crop((left, top, left + wide, top + high))
        if self.shape[0] == 1:
            return np.asarray(image.convert("L"))[..., None]
        return np.asarray(image)

    def values(self, pixels: Array) -> Array:
        """Return values [H, W, C] after the steps that change them, which act on a mean too."""
        x = pixels.astype(np.float64)
        black, white = np.zeros_like(x), np.full_like(x, 255)
        mean = None if self.about["mean_image"] is None else np.array(self.about["mean_image"])
        for step in self.expects["prepare"]:
            change = self.change(step, mean, black, white)
            x, black, white = change(x), change(black), change(white)
            mean = None if mean is None else change(mean)
        return x

    @staticmethod
    def change(
        step: dict[str, Any], mean: Array | None, black: Array, white: Array
    ) -> Callable[[Array], Array]:
        match step:
            case {"step": "range", "low": low, "high": high}:
                return lambda x: x * ((high - low) / 255) + low
            case {"step": "invert"}:
                return lambda x: black + white - x
            case {"step": "order", "channels": order}:
                return (lambda x: x[..., ::-1]) if order == "bgr" else (lambda x: x)
            case {"step": "subtract", "numbers": numbers}:
                return lambda x: x - np.array(numbers)
            case {"step": "subtract", "over": "image"}:
                assert mean is not None
                return lambda x: x - mean
            case {"step": "divide", "numbers": numbers}:
                return lambda x: x / np.array(numbers)
            case {"step": "shorter" | "resize" | "center"}:
                return lambda x: x
        raise AssertionError(f"docs/export.md says nothing of {step}")
