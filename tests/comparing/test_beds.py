"""The nets for CIFAR learn from files in its format; those for photographs from photographs."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.comparing.comparing import Asked, compare
from netspec.data import cifar
from tests.data.test_cifar import RECORDS, records


@pytest.mark.parametrize(
    ("name", "arms"),
    [("tencrop", 2), pytest.param("warmstart", 3, marks=pytest.mark.slow), ("colour", 2)],
)
def test_cifars_net_is_compared(
    name: str, arms: int, photograph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = cifar.CIFAR10._replace(train_records=RECORDS, test_records=RECORDS)
    monkeypatch.setattr(cifar, "CIFAR10", few)
    folder = tmp_path / "cifar"
    folder.mkdir()
    for i, file in enumerate((*few.train, few.test)):
        (folder / file).write_bytes(records(photograph, 10, 1, i)[1])
    (folder / few.names).write_text("\n".join("abcdefghij"))
    asked = Asked(experiment=name, data=f"cifar10:{folder}", seeds=1, epochs=1, batch=16)
    answer = compare(asked, tmp_path / "compared")
    assert answer["net"] == "cifar4_arms"
    assert [len(arm["runs"]) for arm in answer["arms"]] == [1] * arms
    for arm in answer["arms"]:
        assert 0 <= arm["measures"]["test error"]["mean"] <= 100
