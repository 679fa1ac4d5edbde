"""Rematerializes layers: policies select the results to save for the backward pass.

A policy decides for every operation of a layer whether its result is saved; the rest is recomputed.
No policy saves gathered weights: a device has no room for all layers' weights together.
"""

from collections.abc import Callable

import jax
from jax.ad_checkpoint import checkpoint_name

_LAYER_INPUT = "layer_input"
# Results of attention, named so by all backends; a kernel's own residual goes by the same name.
ATTENTION_OUTPUT = "attention_output"

_policies = jax.checkpoint_policies
POLICIES = {
    # everything
    "none": _policies.everything_saveable,
    # products of activations and weights, but not what lies between them
    "dots_with_no_batch_dims_saveable": _policies.dots_with_no_batch_dims_saveable,
    # those and products of activations
    "dots_saveable": _policies.dots_saveable,
    # a layer's input and what its attention gives, so that attention is computed once
    "save_attention": _policies.save_only_these_names(ATTENTION_OUTPUT),
    # a layer's input
    "nothing_saveable": _policies.nothing_saveable,
    # a layer's input, in the host's memory
    "offload": _policies.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=[_LAYER_INPUT],
        offload_src="device",
        offload_dst="pinned_host",
    ),
    # a layer's input in the host's memory, and what its attention gives on the device
    "offload_save_attention": _policies.save_and_offload_only_these_names(
        names_which_can_be_saved=[ATTENTION_OUTPUT],
        names_which_can_be_offloaded=[_LAYER_INPUT],
        offload_src="device",
        offload_dst="pinned_host",
    ),
}
OFFLOADING = ("offload", "offload_save_attention")


def rematerialize(apply_layer: Callable, policy: str, gathers: bool) -> Callable:
    """Applies one of POLICIES to `apply_layer`, the body of a scan.

    `gathers`: it gathers its weights, and gathers them again in the backward pass.
    """
    if policy == "none" and not gathers:
        return apply_layer
    saves = POLICIES[policy]

    def is_saveable(primitive, *arguments, **parameters):
        if primitive is jax.lax.all_gather_p:
            return _policies.nothing_saveable(primitive, *arguments, **parameters)
        return saves(primitive, *arguments, **parameters)

    return jax.checkpoint(apply_layer, policy=is_saveable, prevent_cse=False)


def name_layer_input(x: jax.Array) -> jax.Array:
    return checkpoint_name(x, _LAYER_INPUT)
