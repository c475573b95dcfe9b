from __future__ import annotations

import platform

import pytest

from netspec.backends.cpu import processor


@pytest.mark.parametrize(
    ("reported", "name"),
    [
        ("Intel(R) Xeon(R) Processor @ 2.80GHz", "Intel Xeon @ 2.80GHz"),
        ("Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz", "Intel Core i7-8550U @ 1.80GHz"),
        ("AMD EPYC 9R14", "AMD EPYC 9R14"),
        ("", platform.processor() or platform.machine()),
    ],
)
def test_the_name_is_short(reported: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "property_of", {"model name": reported}.__getitem__)
    assert processor.processor_name() == name


def test_a_property_that_the_system_does_not_report_is_empty() -> None:
    assert processor.property_of("no such property") == ""
