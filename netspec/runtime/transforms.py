"""Calls that PyTorch transforms, which takes plain operations, or records."""

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
# These are asked for at every run: a small net takes 1 % longer if each is looked up anew.


def needs_operations(images: Sequence[Tensor]) -> bool:
    """Return whether a call is differentiated or transformed, which takes PyTorch's operations.

    That is so if an image requires gradients, inside ``torch.func`` (``grad``, ``jvp``, ``vmap``,
    ``functionalize``, ...), and inside ``forward_ad.dual_level()``.
    """
    if _transforms() is not None or forward_ad._current_level >= 0:
        return True
    if torch.is_grad_enabled():
        for image in images:
            if image.requires_grad:
                return True
    return False


def refuse_vmap(net: str, images: Sequence[Tensor]) -> None:
    """Raise RuntimeError if maps are mapped over, as the plain net has them channels-last."""
    if _transforms() is None or all(image.dim() < 4 for image in images):
        return
    keys = [transform.key() for transform in torch._C._functorch.get_interpreter_stack() or ()]
    if torch._C._functorch.TransformType.Vmap in keys:
        raise RuntimeError(
            f"torch.vmap does not know channels-last maps, in which {net} computes: give it the "
            "whole batch, and use jacrev, vjp or jvp instead of jacfwd and hessian"
        )


def refuse_recording(net: str, *images: Tensor) -> None:
    """Raise RuntimeError if somebody records or fakes operations, who would not see the library's.

    Raise TypeError if an image holds no memory of its own, such as a ``FakeTensor``.
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
                "netspec.reference(net) takes others"
            )


def refuse_export(net: str) -> None:
    """Raise RuntimeError while torch.export records a program."""
    if torch.compiler.is_exporting():
        raise _refusal(net, "torch.export")


def _refusal(net: str, recorder: str) -> RuntimeError:
    return RuntimeError(
        f"{recorder} sees PyTorch's operations only, and the compiled {net} runs without them: "
        "use netspec.reference(net), or model.as_reference() for its parameters"
    )


def run_eagerly(call: Callable[..., Any], *images: Tensor, **named: Any) -> Any:
    """Call what torch.compile leaves alone, as there are no operations in it to compile."""
    torch._dynamo.graph_break(msg="compiled nets have no operations: use netspec.reference(net)")
    return _eager(call, *images, **named)


@_disable_dynamo
def _eager(call: Callable[..., Any], *images: Tensor, **named: Any) -> Any:
    return call(*images, **named)


def is_wrapper(tensor: Tensor) -> bool:
    """Return whether operations on a tensor are its own class's, as those of a ``FakeTensor``."""
    return type(tensor).__torch_dispatch__ is not torch._C._disabled_torch_dispatch_impl


@contextmanager
def outside_transforms() -> Iterator[None]:
    """Make plain tensors, which outlive the transform or inference mode that is active."""
    if torch._C._functorch.peek_interpreter_stack() is None:
        with torch.inference_mode(False):
            yield
        return
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

    with temporarily_clear_interpreter_stack(), torch.inference_mode(False):
        yield
