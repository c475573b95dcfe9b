from __future__ import annotations

from tests.pretrained.peers.record import recorded
from tests.pretrained.peers.test_pytorch import IGNORE
from tests.pretrained.test_names import FOLDER


@IGNORE
def test_what_was_recorded_is_what_the_models_have() -> None:
    for name, text in recorded():
        assert (FOLDER / f"{name}.txt").read_text(encoding="utf-8") == text
