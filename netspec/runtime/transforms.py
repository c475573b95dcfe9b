"""Detect calls that PyTorch transforms or records, which need PyTorch's operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode

_transforms = torch._C._functorch.peek_interpreter_stack
_trace = torch._C._get_tracing_state
_modes = torch._C._len_torch_dispatch_stack
# They are called at every run: looking each up again would make a small net 1 % slower.


def needs_operations(images: Sequence[Tensor]) -> bool:
    """Return True if a call is differentiated or transformed, which needs PyTorch's operations.

    This is the case if an image requires gradients, inside ``torch.func`` (``grad``, ``jvp``,
    ``vmap``, ``functionalize``, ...), and inside ``forward_ad.dual_level()``.
    """
    if _transforms() is not None or forward_ad._current_level >= 0:
        return True
    if torch.is_grad_enabled():
        for image in images:
            if image.requires_grad:
                return True
    return False


def refuse_vmap(net: str, images: Sequence[Tensor]) -> None:
    """Raise RuntimeError for maps inside ``torch.vmap``, which does not support channels-last."""
    if _transforms() is None or all(image.dim() < 4 for image in images):
        return
    keys = [transform.key() for transform in torch._C._functorch.get_interpreter_stack() or ()]
    if torch._C._functorch.TransformType.Vmap in keys:
        raise RuntimeError(
            f"torch.vmap does not support channels-last maps, which {net} uses: call it with the "
            "whole batch, and use jacrev, vjp or jvp instead of jacfwd and hessian"
        )


def refuse_recording(net: str, *images: Tensor) -> None:
    """Check that PyTorch's operations are not recorded: a compiled net does not use them.

    Raises:
        RuntimeError: a trace or a dispatch mode is active.
        TypeError: an image is a wrapper without its own memory, such as a ``FakeTensor``.
    """
    if _modes() or _trace() is not None:
        is_traced = _trace() is not None
        raise _refusal(
            net, "torch.jit.trace" if is_traced else type(_get_current_dispatch_mode()).__name__
        )
    for image in images:
        if type(image) is not Tensor and isinstance(image, Tensor) and is_wrapper(image):
            raise TypeError(
                f"{net} takes plain tensors, not {type(image).__name__}: "
                "netspec.reference(net) accepts others"
            )


def refuse_export(net: str) -> None:
    """Raise RuntimeError while torch.export records a program."""
    if torch.compiler.is_exporting():
        raise _refusal(net, "torch.export")


def refuse_script(model: Any) -> Any:
    """Raise RuntimeError: ``torch.jit.script`` calls this for a module that it compiles."""
    raise _refusal(model.net.name, "torch.jit.script")


def _refusal(net: str, recorder: str) -> RuntimeError:
    return RuntimeError(
        f"{recorder} sees PyTorch's operations only, and the compiled {net} does not use them: "
        "use netspec.reference(net), or model.as_reference() to keep its parameters"
    )


def run_eagerly(call: Callable[..., Any], *images: Tensor, **named: Any) -> Any:
    """Call a function outside torch.compile, which cannot record it."""
    torch._dynamo.graph_break(msg="compiled nets have no operations: use netspec.reference(net)")
    return _eager(call, *images, **named)


@_disable_dynamo
def _eager(call: Callable[..., Any], *images: Tensor, **named: Any) -> Any:
    return call(*images, **named)


def is_wrapper(tensor: Tensor) -> bool:
    """Return True if the class of a tensor defines its own operations, as ``FakeTensor`` does."""
    return type(tensor).__torch_dispatch__ is not torch._C._disabled_torch_dispatch_impl


@contextmanager
def outside_transforms() -> Iterator[None]:
    """Create plain tensors in a block, although a transform or inference mode is active.

    Tensors that are created inside a transform cannot be used after it.
    """
    if torch._C._functorch.peek_interpreter_stack() is None:
        with torch.inference_mode(False):
            yield
        return
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

    with temporarily_clear_interpreter_stack(), torch.inference_mode(False):
        yield
