from __future__ import annotations

from pathlib import Path

import pytest

from netspec.data import open_data
from netspec.data.opening import FORMS, OPENERS
from netspec.errors import DataError


@pytest.mark.parametrize("source", ["", "imagenet", "digit", "/some/where", "Digits"])
def test_an_unknown_kind_names_those_there_are(source: str) -> None:
    with pytest.raises(DataError, match=r"is not a data set: give one of digits, .* shards:DIR"):
        open_data(source)


@pytest.mark.parametrize(
    "source", ["digits:", "mnist", "mnist:", "cifar10", "cifar100", "images:", "shards"]
)
def test_a_kind_without_its_place_is_refused(source: str) -> None:
    with pytest.raises(DataError, match="does not say where the data is: give one of"):
        open_data(source)


@pytest.mark.parametrize("kind", ["mnist", "cifar10", "cifar100", "images", "shards"])
def test_a_place_that_is_not_there_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path / "none")):
        open_data(f"{kind}:{tmp_path / 'none'}")


def test_all_kinds_are_among_the_forms_and_in_the_document() -> None:
    assert {form.partition(":")[0] for form in FORMS.split(", ")} == set(OPENERS)
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert all(f"`{form}`" in page for form in FORMS.split(", "))


def test_a_tilde_is_the_home_folder(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photographs.parent))
    assert len(open_data("images:~/photographs").train) == 6


def test_a_folder_without_its_kind_is_told_which(photographs: Path) -> None:
    with pytest.raises(DataError, match=f"is not a data set: write images:{photographs}$"):
        open_data(str(photographs))
