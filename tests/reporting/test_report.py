"""``netspec.report``: the sections of a page, and the reasons for those that it does not have."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

import netspec
from netspec.files.kinds import REPORT, kind_of_content
from netspec.reporting.report import Report
from netspec.reporting.sections import SECTIONS, neighbours
from tests.reporting.test_html import Texts

OF_RUNS = [
    "curves", "confusion", "predictions", "neighbours", "filters", "top9", "evolution", "data",
]  # fmt: skip
OF_SPECS = ["summary", "graph", "table", "costs", "recipe", "versions", "spec"]


def ids(made: Report) -> list[str | None]:
    return [attributes["id"] for tag, attributes in Texts(made.html).tags if tag == "section"]


def test_a_run_has_all_sections_but_differences(of_run: Report) -> None:
    assert list(of_run.sections) == ids(of_run) == [n for n in SECTIONS if n != "differences"]
    assert of_run.omitted == ()
    assert "Not in this report" not in of_run.html


def test_a_run_shows_its_figures_recipe_data_and_versions(of_run: Report, run: Path) -> None:
    texts = [text.strip() for text in Texts(of_run.html).texts]
    rows = netspec.see.curves(run).runs[0]
    values = dict(pairwise(texts))
    assert values["validation error"] == f"{rows.top1[-1]:.2f} %"
    assert values["epochs"] == "3"  # of the recipe, the last one in the page
    assert values["schedule"] == "every 2, factor=0.1"
    assert values["training"] == "1,437 images"
    assert values["seed"] == "1"
    assert values["trained by"].startswith(
        f"netspec {netspec.__version__}, torch {torch.__version__}"
    )


def test_a_page_is_alone_and_allows_only_its_own_scripts(of_run: Report) -> None:
    read = Texts(of_run.html)
    for tag, attributes in read.tags:
        assert not {"style", "onclick", "onload", "srcset"} & attributes.keys(), tag
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    (policy,) = [a["content"] for _, a in read.tags if a.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy


def test_a_page_does_not_show_folders_of_this_machine(of_run: Report, run: Path) -> None:
    assert str(run.parent) not in of_run.html
    assert str(Path.home()) + "/" not in of_run.html
    assert "run: 3 epochs" in of_run.html


def test_every_picture_has_a_text_instead(of_run: Report) -> None:
    texts = [attributes["alt"] or "" for tag, attributes in Texts(of_run.html).tags if tag == "img"]
    assert len(texts) == 7
    assert texts[0].startswith("Loss and errors. run: 3 epochs, loss ")
    assert all(len(text) > 15 for text in texts)


def test_equal_reports_are_equal_bytes(run: Path) -> None:
    pages = [netspec.report(run, sections=["curves", "graph"]).html for _ in range(2)]
    assert pages[0] == pages[1]


def test_a_report_of_lenet5_is_small(of_run: Report) -> None:
    assert of_run.bytes < 5e6
    assert of_run.bytes == len(of_run.html.encode())


def test_a_spec_has_the_sections_of_specs_and_one_reason_for_the_others() -> None:
    made = netspec.report("lenet5")
    assert list(made.sections) == OF_SPECS
    assert [one.section for one in made.omitted] == OF_RUNS
    line = f"omitted: {', '.join(OF_RUNS)}: a spec is not"
    assert str(made).splitlines()[1].startswith(line)
    assert made.html.count("a spec is not trained") == 1


def test_sections_are_chosen_and_in_the_order_of_the_page() -> None:
    made = netspec.report("lenet5", sections=["table", "summary", "curves"])
    assert list(made.sections) == ["summary", "table"]
    assert [one.section for one in made.omitted] == ["curves"]


@pytest.mark.parametrize(
    ("sections", "error", "message"),
    [
        (["tabel"], ValueError, "there is no section 'tabel'; did you mean `table`"),
        ([], ValueError, "sections must have at least one name"),
        ("table", TypeError, "sections must be a list of names of sections, not"),
        ([3], TypeError, "each of sections must be the name of a section, not"),
    ],
)
def test_wrong_sections_are_refused(sections: object, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        netspec.report("lenet5", sections=sections)  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------- bad inputs


def test_a_run_without_snapshots_and_data_says_so(run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(run, copied)
    shutil.rmtree(copied / "snapshots")
    made = netspec.report(
        copied, sections=["confusion", "evolution", "filters"], data=f"mnist:{tmp_path}/gone"
    )
    reasons = {one.section: one.why for one in made.omitted}
    assert list(made.sections) == ["filters"]
    assert reasons["evolution"].startswith("copy does not have snapshots")
    assert "gone" in reasons["confusion"]
    assert str(tmp_path) not in made.html
    footer = made.html[made.html.index("<footer") :]
    assert all(name in footer for name in ("confusion", "evolution"))


def test_a_large_training_set_is_not_searched_for_neighbours(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "MOST", 1_436)
    (omitted,) = netspec.report(run, sections=["neighbours"]).omitted
    assert omitted.why.startswith("the training set has 1,437 images, and a report compares at")


@pytest.mark.parametrize("name", ["$\\frac{$", "bad\udcff", "new\nline"])
def test_any_name_of_a_run_is_drawn(name: str, run: Path, tmp_path: Path) -> None:
    copied = tmp_path / name
    shutil.copytree(run, copied)
    made = netspec.report(copied, sections=["curves"])
    assert list(made.sections) == ["curves"]
    made.save(tmp_path / "a.html")
    assert len(str(made).encode().splitlines()) == 1
    netspec.see.curves(copied).save(tmp_path / "a.png")


def test_folders_of_relative_paths_are_not_shown(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run, tmp_path / "clients" / "acme" / "own")
    shutil.rmtree(tmp_path / "clients" / "acme" / "own" / "snapshots")
    (tmp_path / "clients" / "acme" / "a.net").write_text("net a\ninput image 8x8x1\nx: fc 3\n")
    monkeypatch.chdir(tmp_path)
    for made in (
        netspec.report("clients/acme/own", sections=["curves", "evolution", "spec", "versions"]),
        netspec.report("clients/acme/own", sections=["data"], data="images:clients/acme/data"),
        netspec.report("clients/acme/own", sections=["confusion"], data="images:clients/acme/d"),
        netspec.report("clients/acme/a.net", sections=["spec", "versions"]),
    ):
        assert "acme" not in made.html
        assert "acme" not in str(made)


def test_two_files_of_a_spec_with_the_same_name_are_both_shown(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.net").write_text("net a\ninput image 8x8x1\nx: fc 3\n")
    outer = tmp_path / "a.net"
    outer.write_text('net b from "inner/a.net"\n')
    made = netspec.report(outer, sections=["spec"])
    assert made.html.count("<summary>") == 2


def test_names_of_classes_and_of_the_run_are_text(run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "<script>alert(1)<" / "script>"
    shutil.copytree(run, copied)
    about = copied / "run.json"
    about.write_text(about.read_text().replace('"3",', '"<script>alert(2)</script>",'))
    sums = copied / "members.sha256"
    lines = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join(line for line in lines if "run.json" not in line))
    made = netspec.report(copied, sections=["data", "curves"])
    assert made.title == "script>"
    assert "10: 0, 1, 2, &lt;script&gt;alert(2)&lt;/script&gt;, 4" in made.html
    assert "alert(1)" not in made.html
    assert [tag for tag, _ in Texts(made.html).tags].count("script") == 1


def test_images_that_are_skipped_are_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netspec.see import confusion as function

    def skipping(*arguments: Any, note: Callable[[str], None], **options: Any) -> object:
        note(f"{run.parent}/a<b>.png cannot be read")
        return function(*arguments, **options)

    # the package has a function of this name too, which hides the module
    monkeypatch.setattr(sys.modules["netspec.see.confusion"], "confusion", skipping)
    made = netspec.report(run, sections=["confusion"])
    assert "<summary>1 remark</summary><p>a&lt;b&gt;.png cannot be read</p>" in made.html


def test_weights_that_are_nan_are_named(run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(run, copied)
    weights = netspec.compile(run).state_dict()
    weights["C1.bias"][2] = torch.nan
    from netspec.training.run import Run

    Run.open(copied).save_weights(weights)
    made = netspec.report(copied, sections=["summary", "predictions", "filters", "curves"])
    assert list(made.sections) == ["summary", "curves"]
    named = "C1.bias is NaN at [2], and 1 of its 4 values"
    warning = f'<p class="warning">the weights in copy/weights.safetensors are not finite: {named}'
    assert warning in made.html
    assert {one.section for one in made.omitted} == {"predictions", "filters"}
    assert all(named in one.why for one in made.omitted)


def test_a_run_that_has_not_finished_an_epoch_is_reported(run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(run, copied)
    for name in ("metrics.jsonl", "weights.safetensors", "checkpoint.safetensors"):
        (copied / name).unlink(missing_ok=True)
    made = netspec.report(copied, sections=["summary", "curves", "filters", "recipe"])
    assert list(made.sections) == ["summary", "recipe"]
    assert "0, not finished" in made.html
    assert "copy has no weights yet" in made.html


def test_other_kinds_of_subjects_are_refused(tmp_path: Path) -> None:
    artifact = netspec.save("lenet5", tmp_path / "a.netspec")
    with pytest.raises(netspec.DataError, match=r"is an artifact, and a report is made of a run"):
        netspec.report(artifact.path)
    with pytest.raises(netspec.DataError, match="is not a run directory"):
        netspec.report(tmp_path)
    with pytest.raises(netspec.SpecError):
        netspec.report("no such spec")
    with pytest.raises(TypeError, match="subject must be the path of a run or a spec"):
        netspec.report(3)  # type: ignore[arg-type]
    with pytest.raises(netspec.DataError, match="data is for a run, and lenet5 is a spec"):
        netspec.report("lenet5", data="digits")


def test_a_large_net_has_a_table_but_no_graph() -> None:
    text = "net large\ninput image 8x8x1\n" + "\n".join(f"r{n}: tanh" for n in range(2500)) + "\n"
    made = netspec.report(netspec.loads(text), sections=["graph", "table", "costs"])
    assert list(made.sections) == ["table", "costs"]
    assert "large is too large to be drawn: it has 2,501 stages" in made.omitted[0].why
    assert "1,500 more rows are not shown" in made.html


def test_a_net_with_symbols_is_reported() -> None:
    net = netspec.loads("net open(n)\ninput image 8x8x1\na: conv 3x3, n\nb: fc 10\n")
    made = netspec.report(net)
    assert list(made.sections) == [name for name in OF_SPECS if name != "recipe"]
    assert "9*n + n" in made.html or "10*n" in made.html


# ------------------------------------------------------------------------------------ two subjects


def test_two_nets_are_compared() -> None:
    made = netspec.report("vgg16_1", "vgg16_3")
    assert made.title == "vgg16_1 and vgg16_3"
    assert list(made.sections) == ["summary", "differences", *OF_SPECS[1:]]
    texts = "\n".join(Texts(made.html).texts)
    assert "~ C33    conv relu  1x1x256/1, 256  56x56x256" in texts
    assert '<span class="differs">133,638,952</span>' in made.html
    assert "<span>224x224x3</span>" in made.html
    assert made.html.count("data-graph>") == 2
    assert len(made.html.split("a spec is not trained")) == 2


def test_two_runs_have_their_curves_in_one_picture(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    made = netspec.report(run, other, sections=["summary", "differences", "curves", "filters"])
    pictures = [a["alt"] or "" for tag, a in Texts(made.html).tags if tag == "img"]
    assert len(pictures) == 3  # one of curves, two of filters
    assert pictures[0].startswith("Loss and errors of 2 runs. ")
    assert "no differences" in made.html


def test_what_one_of_two_does_not_have_is_said(run: Path) -> None:
    made = netspec.report(run, "lenet5", sections=["curves", "differences"])
    assert list(made.sections) == ["differences", "curves"]
    assert [one[:2] for one in made.omitted] == [("curves", "lenet5")]


def test_settings_are_for_one_spec() -> None:
    with pytest.raises(netspec.DataError, match="settings is for one spec"):
        netspec.report("vgg16_1", "vgg16_3", settings={"classes": 10})


# -------------------------------------------------------------------------------------------- files


def test_a_page_replaces_a_page_but_no_other_file(tmp_path: Path) -> None:
    made = netspec.report("lenet5", sections=["summary"])
    path = tmp_path / "a.html"
    for _ in range(2):
        made.save(path)
    assert kind_of_content(path) is REPORT
    assert path.read_text(encoding="utf-8") == made.html
    path.write_text("<!doctype html>\n<html><body>mine</body></html>")
    with pytest.raises(netspec.DataError, match="the existing file is not a report"):
        made.save(path)
    assert "mine" in path.read_text()
    made.save(path, force=True)
    with pytest.raises(netspec.DataError, match=r"use a name that ends in \.html"):
        made.save(tmp_path / "a.png")
