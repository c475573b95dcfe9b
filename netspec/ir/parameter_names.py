"""Names of parameters, and the reserved words: attributes of PyTorch's modules and of a compiled
net, and Python's keywords.

A stage whose name is reserved gets a final underscore.  The list of words is fixed, so that the
names of parameters do not depend on the version of PyTorch; a test fails if a new version has more
attributes.  Words that begin with two underscores are also reserved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from netspec.ir.packing import Packing, Take

if TYPE_CHECKING:
    from netspec.ir.graph import Graph
    from netspec.ir.operator import Parameter

Value = TypeVar("Value")

_WORDS = """
T_destination _apply _backward_hooks _backward_pre_hooks _boxed_call _buffers _call_impl _code
_compiled_call_impl _create_node_hooks _deepcopy_hooks _deepcopy_init _erase_node_hooks
_forward_hooks _forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks
_forward_pre_hooks_with_kwargs _get_backward_hooks _get_backward_pre_hooks _get_name _graph
_inputs _is_full_backward_hook _lineno_map _load_from_state_dict _load_state_dict_post_hooks
_load_state_dict_pre_hooks _lowered _maybe_warn_non_full_backward_hook _modules _named_members
_non_persistent_buffers_set _parameters _prologue_start _recompile_submodules
_register_create_node_hook _register_deepcopy_hook _register_erase_node_hook
_register_load_state_dict_pre_hook _register_replace_node_hook _register_state_dict_hook
_replace_hooks _replicate_for_data_parallel _save_to_state_dict _set_replace_hook _slow_forward
_state_dict_hooks _state_dict_pre_hooks _tracer_cls _tracer_extras _unregister_create_node_hook
_unregister_deepcopy_hook _unregister_erase_node_hook _unregister_replace_node_hook _version
_wrapped_call _wrapped_call_impl add_module add_submodule apply bfloat16 bias buffers
call_super_init children code coefficient compile cpu cuda delete_all_unused_submodules
delete_submodule double dump_patches eval extra_repr features float forward get_buffer
get_extra_state get_parameter get_submodule graph half ipu load_state_dict meta modules mtia
named_buffers named_children named_modules named_parameters net parameters print_readable
recompile register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook
register_load_state_dict_pre_hook register_module register_parameter
register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ running_mean
running_var set_extra_state set_submodule shape_env share_memory state_dict to to_empty
to_folder train training type weight xpu zero_grad
"""

_COMPILED = """
_carried _changing _copied _differentiable _executor _held _hold _names _outputs _own _pack
_packed _packed_of _require_all _rows _seen _state _unchanged _unpack _versions _with_gradients
as_reference canonical device is_trained is_unpacked lowered packed profile record refresh seconds
"""

_SINCE = """
_logits expects logits
"""

_KEYWORDS = """
False None True and as assert async await break class continue def del elif else except finally for
from global if import in is lambda nonlocal not or pass raise return self try while with yield
"""

EARLIER = frozenset(f"{_WORDS} {_COMPILED} {_KEYWORDS}".split())
"""The words that were reserved when the first files of weights were written.  Words that were added
later change names, so old files are read by these."""

RESERVED = EARLIER | {*_SINCE.split()}


def module_path(stage: str, reserved: Collection[str] = RESERVED) -> str:
    """Return the path of a stage's module, with a final underscore after each reserved word."""
    return ".".join(
        f"{step}_" if step.startswith("__") or step.rstrip("_") in reserved else step
        for step in stage.split(".")
    )


def attribute(stage: str, parameter: str) -> str:
    """Return the name of a parameter of the net: ``C1.weight``."""
    return f"{module_path(stage)}.{parameter}"


def parameter_names(graph: Graph) -> Iterator[tuple[str, Parameter, bool]]:
    """Yield (name, shape and initial values, True if it is trained) of every tensor of the net."""
    for stage in graph.stages():
        inputs = graph.shapes_into(stage.name)
        for name, parameter in stage.op.parameters(inputs).items():
            yield attribute(stage.name, name), parameter, True
        for name, buffer in stage.op.buffers(inputs).items():
            yield attribute(stage.name, name), buffer, False


def earlier_names(graph: Graph) -> dict[str, str]:
    """Return the name of each tensor in old files, by its present name.

    Old files reserve only the words of ``EARLIER``.  The order is that of :func:`parameter_names`.
    """
    earlier: dict[str, str] = {}
    for stage in graph.stages():
        inputs = graph.shapes_into(stage.name)
        for name in [*stage.op.parameters(inputs), *stage.op.buffers(inputs)]:
            path = module_path(stage.name, EARLIER)
            earlier[attribute(stage.name, name)] = f"{path}.{name}"
    return earlier


def named_anew(earlier: Mapping[str, str], values: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return values by present names, if some have the names of old files.

    Args:
        earlier: the old name of each tensor, by the present one.
        values: anything by the names of a net's tensors; other names are kept.
    """
    # A name that is both an old and a present one (of different rows) does not make a file old.
    if not any(was in values and was not in earlier for was in earlier.values()):
        return values
    present = {was: now for now, was in earlier.items()}
    return {present.get(name, name): value for name, value in values.items()}


def packings(graph: Graph, name: str) -> dict[str, Packing]:
    """Return how each tensor of a stage is computed from those of the spec, by its name."""
    stage, inputs = graph.stage(name), graph.shapes_into(name)
    names = [*stage.op.parameters(inputs), *stage.op.buffers(inputs)]
    return {
        parameter: stage.packed.get(parameter) or Take(attribute(name, parameter))
        for parameter in names
    }
