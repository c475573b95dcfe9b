from __future__ import annotations

import pytest

from netspec.data import open_data
from netspec.errors import DataError


@pytest.mark.parametrize("given", ["", "imagenet", "digit", "/some/where", "Digits"])
def test_an_unknown_kind_names_those_there_are(given: str) -> None:
    with pytest.raises(DataError, match=r"is no data set: give one of digits"):
        open_data(given)


@pytest.mark.parametrize("given", ["digits:"])
def test_a_kind_without_its_place_is_refused(given: str) -> None:
    with pytest.raises(DataError, match=r"says not where"):
        open_data(given)
