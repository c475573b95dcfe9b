"""What PyTorch may do to a call: transform it, which takes plain operations, or record it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode


def needs_operations(images: Sequence[Tensor]) -> bool:
    """Return whether a call is differentiated or transformed, which takes PyTorch's operations.

    That is so if an image requires gradients, inside ``torch.func`` (``grad``, ``jvp``, ``vmap``,
    ``functionalize``, ...), and inside ``forward_ad.dual_level()``.
    """
    return (
        torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
        or (torch.is_grad_enabled() and any(image.requires_grad for image in images))
    )


def refuse_recording(net: str, *images: Tensor) -> None:
    """Raise RuntimeError if somebody records or fakes operations, who would not see the library's.

    Raise TypeError if an image holds no memory of its own, such as a ``FakeTensor``.
    """
    recorder = None
    if torch.compiler.is_exporting():
        recorder = "torch.export"
    elif torch._C._get_tracing_state() is not None:
        recorder = "torch.jit.trace"
    elif torch._C._len_torch_dispatch_stack():
        recorder = type(_get_current_dispatch_mode()).__name__
    if recorder is not None:
        raise RuntimeError(
            f"{recorder} sees PyTorch's operations only, and the compiled {net} runs without them: "
            "trace or export netspec.reference(net), or model.as_reference() for its parameters"
        )
    for image in images:
        if isinstance(image, Tensor) and is_wrapper(image):
            raise TypeError(
                f"{net} takes plain tensors, not {type(image).__name__}: "
                "netspec.reference(net) takes others"
            )


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
