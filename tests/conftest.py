from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator
from ctypes import CDLL
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.examples import ALL

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# One thread, here and in the processes that tests start: the work is so small that threads would
# spend several times as long waiting for each other.  Tests of threads ask for two themselves.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch, which reads it

settings.register_profile(
    "all", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("default", settings.get_profile("all"), max_examples=ALL // 5)
settings.load_profile("default")  # pytest --hypothesis-profile all is for the other


# Importing all tests makes a million objects that stay.  Python's collector does not look at them
# while they are made, nor later, when it would be at them a tenth of the time.
gc.disable()


FIRST = {
    "test_killing.py", "test_torchrun.py", "test_stopping.py", "test_columns.py",
    "test_workers.py", "test_engines.py", "test_measure.py", "test_shipped.py", "test_cpu.py",
    "test_browser.py",
}  # fmt: skip
"""Files with tests of ten seconds and more, and with those that wait for processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with long tests, or the last one would run alone while the other cores do nothing."""
    items.sort(key=lambda item: item.path.name not in FIRST)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    atexit.register(gc.unfreeze)


def _has_gpu() -> bool:
    try:
        CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:  # no driver; PyTorch, which takes a second, would say the same
        return False
    try:
        import torch
    except ImportError:  # the language and its checks need no torch, nor do their tests
        return False
    return torch.cuda.is_available()


if not _has_gpu():  # before anything imports a kernel: Triton looks when it sees one
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session")
def photograph() -> Path:
    """A real photograph, 427 x 640, that comes with scikit-learn."""
    package = find_spec("sklearn")  # its import takes a second
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "datasets" / "images" / "china.jpg"


@pytest.fixture
def photographs(photograph: Path, tmp_path: Path) -> Path:
    """A folder with six real images of two classes in train/, and six in val/."""
    from tests.data.files import write_photographs

    folder = tmp_path / "photographs"
    write_photographs(folder, {"palace": photograph, "flower": photograph.with_name("flower.jpg")})
    return folder


TINY = """net tiny
input image 8x8x1
C1: conv 3x3, 4 | relu
head h from C1, weight=0.3: gap | fc 10 | softmax
F2 from C1: fc 10 | softmax

train {
    prepare   range low=0, high=1 | subtract mean channel
    loss      cross_entropy
    init      glorot
    optimizer sgd lr=0.1, momentum=0.9
    batch     128
    epochs    1
}
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tiny.net``, and in ``run`` the run in which it learned."""
    from netspec.training.loop import train
    from netspec.training.settings import Settings

    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.net").write_text(TINY, encoding="utf-8")
    train(Settings(spec=str(folder / "tiny.net"), data="digits:8"), folder / "run")
    return folder


@pytest.fixture
def not_intel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose implementations as on a processor whose maker is not known, whatever this one is."""
    from netspec.backends.cpu import processor

    monkeypatch.setattr(processor, "property_of", lambda key: "")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of the system, without a window; a process can start only one."""
    from benchmarks.browser import chromium, missing

    if reason := missing():
        pytest.skip(reason)
    with chromium() as started:
        yield started
