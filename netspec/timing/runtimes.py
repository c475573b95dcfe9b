"""The engines that read an ONNX file: ONNX Runtime and OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from netspec.timing.case import Case
from netspec.timing.engine import Engine
from netspec.timing.timing import Call


def exported(case: Case, dtype: torch.dtype) -> Path:
    """Return the ONNX file of a case with its weights in ``dtype``; write it if it is missing."""
    from netspec.export import export_onnx

    folder = case.folder / f"onnx-{str(dtype).removeprefix('torch.')}"
    path = folder / "net.onnx"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        export_onnx(case.reference(dtype), path, batch=case.batch)
    return path


class OnnxRuntime(Engine):
    """ONNX Runtime on the CPU, with PyTorch's number of threads.

    All optimisations of the graph, one operator after another, and threads that spin while they
    wait, as its guide "Thread management" has them (onnxruntime.ai/docs/performance).  They are its
    defaults; they are explicit so that a later version with other defaults is not compared with
    worse settings.
    """

    name = "onnxruntime"
    packages = ("onnxruntime", "onnx")
    devices = ("cpu",)

    def prepare(self, case: Case) -> None:
        super().prepare(case)
        exported(case, case.type)

    def compile(self, case: Case) -> Call:
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)  # only errors, which it also raises
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.enable_cpu_mem_arena = options.enable_mem_pattern = True
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        path = str(exported(case, case.type))
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]
        images = dict(zip(names, (image.numpy() for image in case.images), strict=True))
        return lambda: session.run(None, images)


class OpenVino(Engine):
    """OpenVINO on the CPU, tuned for latency, with PyTorch's number of threads.

    One stream, whose threads have a core each; images and results are not copied.  Its guides
    recommend these settings ("Performance Hints and Thread Scheduling" and "Precision Control",
    docs.openvino.ai).

    Its precision is set explicitly, because by default it computes float32 nets in bfloat16 if the
    CPU has the instructions.  For bfloat16 it reads the weights, which are already rounded to
    bfloat16, as float32.
    """

    name = "openvino"
    packages = ("openvino", "onnx")
    devices = ("cpu",)

    def prepare(self, case: Case) -> None:
        super().prepare(case)
        exported(case, torch.float32)

    def compile(self, case: Case) -> Call:
        import openvino

        core = openvino.Core()
        model = core.read_model(str(exported(case, torch.float32)))
        images = [image.float().numpy() for image in case.images]
        model.reshape({i: list(image.shape) for i, image in enumerate(images)})
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "EXECUTION_MODE_HINT": "PERFORMANCE",
            "NUM_STREAMS": 1,
            "ENABLE_HYPER_THREADING": False,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[case.dtype],
        }
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return lambda: list(request.infer(images, share_inputs=True, share_outputs=True).values())
