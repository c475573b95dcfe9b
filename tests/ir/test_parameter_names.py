from __future__ import annotations

import pytest

from netspec import loads
from netspec.ir.parameter_names import (
    EARLIER,
    RESERVED,
    earlier_names,
    module_path,
    named_anew,
    parameter_names,
)

HEADER = "net n\ninput image 4x4x3\n"


def test_words_that_were_added_get_an_underscore_now() -> None:
    assert {"logits", "expects"} <= RESERVED - EARLIER
    assert module_path("b1.logits") == "b1.logits_"
    assert module_path("b1.logits", EARLIER) == "b1.logits"
    assert module_path("logits_") == "logits__"


def test_a_net_without_such_rows_has_the_names_that_it_had() -> None:
    earlier = earlier_names(loads(f"{HEADER}train_: conv 1x1, 2 | bn eps=1\nF: fc 3").graph)
    assert list(earlier) == list(earlier.values())


@pytest.mark.parametrize(
    ("labels", "file", "present"),
    [
        (["logits"], ["logits"], ["logits_"]),
        (["logits"], ["logits_"], ["logits_"]),
        (["logits_"], ["logits_"], ["logits__"]),
        (["logits_"], ["logits__"], ["logits__"]),
        (["logits", "logits_"], ["logits", "logits_"], ["logits_", "logits__"]),
        (["logits", "logits_"], ["logits_", "logits__"], ["logits_", "logits__"]),
        (["logits", "expects"], ["logits", "expects"], ["logits_", "expects_"]),
        (["logits", "a"], ["logits", "a", "x"], ["logits_", "a", "x"]),
    ],
)
def test_earlier_and_present_names(labels: list[str], file: list[str], present: list[str]) -> None:
    graph = loads(HEADER + "\n".join(f"{label}: fc 2, bias=off" for label in labels)).graph
    earlier = earlier_names(graph)
    assert list(earlier) == [name for name, _, _ in parameter_names(graph)]
    values = {f"{label}.weight": place for place, label in enumerate(file)}
    assert named_anew(earlier, values) == {f"{label}.weight": i for i, label in enumerate(present)}
