"""The engines are real: each computes the net, and says what it lacks."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from netspec.errors import DataError
from netspec.timing import DEVICES, DTYPES, PEERS
from netspec.timing import engines as module
from netspec.timing.agreement import deviation, exact
from netspec.timing.case import Case
from netspec.timing.engines import engines
from tests.timing.helpers import case_of

QUICK = ("netspec", "eager", "eager-channels-last", "openvino")


def test_the_command_line_knows_the_engines_by_name() -> None:
    assert list(engines()) == ["netspec", *PEERS]
    assert all(engine.version for engine in engines().values())
    for device, peers in DEVICES.items():
        assert peers == tuple(n for n in PEERS if device in engines()[n].devices)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", QUICK)
def test_an_engine_computes_the_net(name: str, dtype: str, tmp_path: Path) -> None:
    agrees(name, Case("lenet5", {}, 2, dtype, tmp_path))


def test_onnx_runtime_computes_the_net(tmp_path: Path) -> None:
    agrees("onnxruntime", Case("lenet5", {}, 2, "float32", tmp_path))


@pytest.mark.slow  # it compiles C++ for ten seconds
def test_inductor_computes_the_net_and_keeps_its_code_in_the_folder(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, when it is imported
        from torch._inductor import config
    # or a program is compiled first that tries the instructions of this processor
    with config.patch({"cpp.vec_isa_ok": True}):
        agrees("inductor", case_of(tmp_path))
    assert any((tmp_path / "inductor").rglob("*.so"))


@pytest.mark.parametrize("name", ["netspec", "eager"])
def test_an_engine_computes_the_net_on_a_gpu(name: str, tmp_path: Path) -> None:
    agrees(name, case_of(tmp_path, device="cuda"))  # or in Triton's interpreter


def test_an_engine_refuses_a_device_that_it_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^runs on cpu, not on cuda$"):
        engines()["openvino"].prepare(case_of(tmp_path, device="cuda"))


def test_inductor_on_a_gpu_can_leave_convolutions_to_cudnn(tmp_path: Path) -> None:
    from torch._inductor import config

    inductor = engines()["inductor"]
    assert inductor.alternative(case_of(tmp_path)) is None
    on_gpu = case_of(tmp_path, device="cuda")
    vars(on_gpu)["torch_device"] = torch.device("cuda")
    other = inductor.alternative(on_gpu)
    assert isinstance(other, module.InductorWithCudnn)
    assert other.name == "inductor"
    assert other.note
    assert other.alternative(on_gpu) is None
    with config.patch(**other.options):  # a name that Inductor does not have is an error
        assert config.max_autotune_conv_backends == "ATEN"


def test_copies_of_the_images_take_turns(tmp_path: Path) -> None:
    case = case_of(tmp_path)
    case.__dict__["sets"] = [case.images, [x.clone() for x in case.images]]
    seen: list[int] = []
    call = module.inferring(lambda x: seen.append(x.data_ptr()), case)
    for _ in range(3):
        call()
    first, second = (images[0].data_ptr() for images in case.sets)
    assert seen == [first, second, first]


def agrees(name: str, case: Case) -> None:
    engine = engines()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peer's own
        engine.prepare(case)
        call = engine.compile(case)
        outputs = call()
    comparison = deviation(case, outputs, exact(case))
    assert comparison.agrees, comparison
    again = call()
    first, second = (torch.as_tensor(y[0] if isinstance(y, list) else y) for y in (outputs, again))
    assert torch.equal(first, second)


def test_openvino_is_told_its_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino

    told: list[Any] = []
    core = openvino.Core

    class Told(core):  # type: ignore[misc, valid-type]
        def compile_model(self, model: Any, device: str, settings: Any) -> Any:
            told.append(settings)
            return super().compile_model(model, device, settings)

    monkeypatch.setattr(openvino, "Core", Told)
    for dtype, hint in (("float32", "f32"), ("bfloat16", "bf16")):
        folder = tmp_path / dtype
        folder.mkdir()
        case = case_of(folder, dtype=dtype)
        engine = engines()["openvino"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            engine.prepare(case)
        engine.compile(case)
        assert told[-1]["INFERENCE_PRECISION_HINT"] == hint
        assert told[-1]["INFERENCE_NUM_THREADS"] == torch.get_num_threads()


def test_a_missing_package_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_openvino(name: str) -> None:
        if name == "openvino":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("netspec.timing.engine.import_module", without_openvino)
    with pytest.raises(DataError, match=r"^not installed: pip install openvino$"):
        engines()["openvino"].prepare(case_of(tmp_path))


def test_a_package_that_lacks_something_itself_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> None:
        raise ModuleNotFoundError("No module named 'flatbuffers'", name="flatbuffers")

    monkeypatch.setattr("netspec.timing.engine.import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="flatbuffers"):
        engines()["openvino"].prepare(case_of(tmp_path))


def test_inductor_without_a_compiler_says_what_to_do(tmp_path: Path) -> None:
    from torch._inductor import config

    case = case_of(tmp_path, "net other\ninput image 6x6x2\na: conv 3x3, 3 | relu\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, when it is imported
        engines()["inductor"].prepare(case)
    with (
        config.patch({"cpp.cxx": (None, "/nowhere/g++")}),
        pytest.raises(DataError, match=r"needs a C\+\+ compiler: install g\+\+"),
    ):
        engines()["inductor"].compile(case)
