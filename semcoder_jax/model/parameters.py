"""Describes each of the decoder's parameters once.

`PARAMETERS` gives the axes of each, which of them a product sums over, and its Hugging Face
tensor. Sharding, quantization, LoRA, the optimizer's masks, the Hugging Face layout and the count
of model FLOPs all follow from it. Axes are strings of the letters that decoder defines; "R" is the
rank of an adapter.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semcoder_jax.config import DecoderConfig

# The mesh axis that splits an axis (see sharding).
MESH_AXIS_OF = {
    "L": None,
    "D": "fsdp",
    "H": "tensor",
    "G": "tensor",
    "K": None,
    "F": "tensor",
    "V": "tensor",
    "R": None,
}
LAYER_PREFIX = "model.layers.{layer}."  # of a layer's tensors in a Hugging Face checkpoint


@dataclasses.dataclass(frozen=True)
class DecoderParameter:
    """Describes a weight matrix, a bias or a norm's scale.

    Attributes:
      path: keys that lead to it in the tree of parameters.
      axes: of its array; "L" is the first where the layers are stacked.
      contracted: the axes that its product sums over; "" for a vector.
      tensor: Hugging Face name, with `{layer}` where every layer is a tensor of its own.
    """

    path: tuple[str, ...]
    axes: str
    contracted: str
    tensor: str

    @property
    def is_stacked(self) -> bool:
        return self.axes.startswith("L")

    @property
    def is_matrix(self) -> bool:
        """Returns False for biases and norms, which are not split, quantized or decayed."""
        return bool(self.contracted)

    @property
    def is_layer_matrix(self) -> bool:
        """Returns whether LoRA adapts it, a frozen base quantizes it and Muon orthogonalizes it."""
        return self.is_stacked and self.is_matrix

    @property
    def layer_axes(self) -> str:
        """Returns the axes of one layer's part of the array."""
        return self.axes.removeprefix("L")

    @property
    def outputs(self) -> str:
        """Returns the axes of one layer's part that remain after the product."""
        return "".join(axis for axis in self.layer_axes if axis not in self.contracted)

    @property
    def tensor_axes(self) -> tuple[str, ...]:
        """Axes of the Hugging Face tensor, [out, in], each of one or more merged: "HK" is heads
        times head size."""
        return (self.outputs, self.contracted) if self.is_matrix else (self.outputs,)

    @property
    def module(self) -> str:
        """Name of the module whose weight it is in transformers."""
        return self.tensor.removesuffix(".weight")

    @property
    def target(self) -> str | None:
        """Name in `lora.targets`, which is PEFT's; None if it cannot be adapted."""
        return self.module.rpartition(".")[2] if self.is_layer_matrix else None

    @property
    def adapter(self) -> dict[str, str]:
        """Names and axes of the two arrays of an adapter: {"a_DxR": "LDR", "b_RxHxK": "LRHK"}."""
        stacking = self.axes.removesuffix(self.layer_axes)
        arrays = {"a": self.contracted + "R", "b": "R" + self.outputs}
        return {f"{stem}_{'x'.join(axes)}": stacking + axes for stem, axes in arrays.items()}

    def positions(self, letters: str, *, within: str | None = None) -> tuple[int, ...]:
        """Returns the positions of these axes among the array's, or among the axes `within`."""
        within = self.axes if within is None else within
        return tuple(place for place, axis in enumerate(within) if axis in letters)

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Returns the shape of the array; see axis_sizes."""
        return tuple(sizes[axis] for axis in self.axes)


def _in_layers(block: str, name: str, axes: str, contracted: str, tensor: str) -> DecoderParameter:
    return DecoderParameter(("layers", block, name), f"L{axes}", contracted, LAYER_PREFIX + tensor)


# A token is looked up in the embedding; tied, it is the output matrix too.
EMBEDDING = DecoderParameter(("embed_VxD",), "VD", "D", "model.embed_tokens.weight")
FINAL_NORM = DecoderParameter(("final_norm", "scale"), "D", "", "model.norm.weight")
OUTPUT = DecoderParameter(("unembed_DxV",), "DV", "D", "lm_head.weight")
BIASES = (
    _in_layers("attention", "q_bias_HxK", "HK", "", "self_attn.q_proj.bias"),
    _in_layers("attention", "k_bias_GxK", "GK", "", "self_attn.k_proj.bias"),
    _in_layers("attention", "v_bias_GxK", "GK", "", "self_attn.v_proj.bias"),
)
PARAMETERS = (
    EMBEDDING,
    _in_layers("attention_norm", "scale", "D", "", "input_layernorm.weight"),
    _in_layers("attention", "q_DxHxK", "DHK", "D", "self_attn.q_proj.weight"),
    BIASES[0],
    _in_layers("attention", "k_DxGxK", "DGK", "D", "self_attn.k_proj.weight"),
    BIASES[1],
    _in_layers("attention", "v_DxGxK", "DGK", "D", "self_attn.v_proj.weight"),
    BIASES[2],
    _in_layers("attention", "o_HxKxD", "HKD", "HK", "self_attn.o_proj.weight"),
    _in_layers("feed_forward_norm", "scale", "D", "", "post_attention_layernorm.weight"),
    _in_layers("feed_forward", "gate_DxF", "DF", "D", "mlp.gate_proj.weight"),
    _in_layers("feed_forward", "up_DxF", "DF", "D", "mlp.up_proj.weight"),
    _in_layers("feed_forward", "down_FxD", "FD", "F", "mlp.down_proj.weight"),
    FINAL_NORM,
    OUTPUT,
)
_BY_PATH = {parameter.path: parameter for parameter in PARAMETERS}


def parameters_of(config: "DecoderConfig") -> tuple[DecoderParameter, ...]:
    """The parameters of a decoder: an output matrix unless the embedding is tied, and biases."""
    absent = (() if config.qkv_bias else BIASES) + ((OUTPUT,) if config.tie_embeddings else ())
    return tuple(parameter for parameter in PARAMETERS if parameter not in absent)


def parameter_at(path: tuple[str, ...]) -> DecoderParameter:
    """Returns the parameter of the array at `path`.

    The array may be part of a quantized or LoRA weight. Raises KeyError for any other path.
    """
    for length in range(1, len(path) + 1):
        if parameter := _BY_PATH.get(path[:length]):
            return parameter
    raise KeyError(f"{'/'.join(path)}: not a parameter of the decoder")


def axis_sizes(config: "DecoderConfig") -> dict[str, int]:
    """Returns the length of each axis by its letter."""
    return {
        "L": config.num_layers,
        "V": config.vocab_size,
        "D": config.hidden_size,
        "F": config.intermediate_size,
        "H": config.num_heads,
        "G": config.num_kv_heads,
        "K": config.head_dim,
    }


def product_shapes(config: "DecoderConfig") -> list[tuple[int, int]]:
    """Returns (inputs, outputs) of every matrix that a token is multiplied with.

    The order is layer by layer, then the output matrix, which may be the tied embedding.
    """
    sizes = axis_sizes(config)

    def shape(parameter: DecoderParameter) -> tuple[int, int]:
        inputs, outputs = (
            math.prod(sizes[axis] for axis in axes)
            for axes in (parameter.contracted, parameter.outputs)
        )
        return inputs, outputs

    layer = [shape(parameter) for parameter in PARAMETERS if parameter.is_layer_matrix]
    return [*(layer * config.num_layers), shape(OUTPUT)]
