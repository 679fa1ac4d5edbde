"""Which Hugging Face tensor is which parameter, and how its axes lie.

A Hugging Face linear weight is [out, in] with heads and head size merged, one tensor a layer;
a parameter here is [in, out] with heads apart, all layers stacked. ``TENSORS`` is the whole
correspondence: the parameter's axes are in its own name (see model.py), the tensor's are here.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from semcoder_jax.config import DecoderConfig
from semcoder_jax.model.decoder import Decoder


@dataclasses.dataclass(frozen=True)
class TensorLayout:
    """One kind of tensor: ``name`` with ``{layer}`` if stacked, the ``path`` of its parameter,
    and the tensor's axes, each one or more axis letters merged ("HK": heads times head size)."""

    name: str
    path: tuple[str, ...]
    axes: tuple[str, ...]

    @property
    def stacked(self) -> bool:
        return self.path[0] == "layers"

    @property
    def parameter_axes(self) -> tuple[str, ...]:
        """Axes of the parameter, without the stacking one."""
        leaf = self.path[-1]
        return ("D",) if leaf == "scale" else tuple(leaf.rsplit("_", 1)[1].split("x"))

    def shape(self, sizes: dict[str, int]) -> tuple[int, ...]:
        """Shape of one tensor, from the size of each axis letter."""
        return tuple(math.prod(sizes[letter] for letter in merged) for merged in self.axes)

    def to_parameter(self, tensor: np.ndarray, sizes: dict[str, int]) -> np.ndarray:
        """A tensor as (one layer of) the parameter: of a NumPy array, a view. Of a split tensor
        any one axis may be smaller than ``sizes`` says."""
        letters = "".join(self.axes)
        shape = []
        for merged, length in zip(self.axes, tensor.shape, strict=True):
            inner = [sizes[letter] for letter in merged[1:]]
            shape += [length // math.prod(inner), *inner]
        return tensor.reshape(shape).transpose([letters.index(a) for a in self.parameter_axes])

    def tensor_index(self, index: tuple[slice, ...], sizes: dict[str, int]) -> tuple[slice, ...]:
        """The part of a tensor that holds the part ``index`` of the parameter's layer.

        Where axes are merged only the first may be cut (heads, not head size), so that a part of
        the merged axis is one range.
        """
        cuts = dict(zip(self.parameter_axes, index, strict=True))
        parts = []
        for merged in self.axes:
            start, stop, _ = cuts[merged[0]].indices(sizes[merged[0]])
            inner = math.prod(sizes[letter] for letter in merged[1:])
            parts.append(slice(start * inner, stop * inner))
        return tuple(parts)

    def to_tensor(self, parameter: jax.Array, sizes: dict[str, int]) -> jax.Array:
        """(One layer of) the parameter as a tensor."""
        letters = self.parameter_axes
        apart = parameter.transpose([letters.index(letter) for letter in "".join(self.axes)])
        return apart.reshape(self.shape(sizes))

    def layer_sharding(self, sharding: Sharding) -> Sharding:
        """Of one layer, where ``sharding`` is that of the parameter."""
        if not (self.stacked and isinstance(sharding, NamedSharding)):
            return sharding
        return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[1:]))


_LAYER = "model.layers.{layer}."
TENSORS = (
    TensorLayout("model.embed_tokens.weight", ("embed_VxD",), ("V", "D")),
    TensorLayout(_LAYER + "input_layernorm.weight", ("layers", "attention_norm", "scale"), ("D",)),
    TensorLayout(
        _LAYER + "self_attn.q_proj.weight", ("layers", "attention", "q_DxHxK"), ("HK", "D")
    ),
    TensorLayout(
        _LAYER + "self_attn.k_proj.weight", ("layers", "attention", "k_DxGxK"), ("GK", "D")
    ),
    TensorLayout(
        _LAYER + "self_attn.v_proj.weight", ("layers", "attention", "v_DxGxK"), ("GK", "D")
    ),
    TensorLayout(
        _LAYER + "self_attn.o_proj.weight", ("layers", "attention", "o_HxKxD"), ("D", "HK")
    ),
    TensorLayout(
        _LAYER + "post_attention_layernorm.weight",
        ("layers", "feed_forward_norm", "scale"),
        ("D",),
    ),
    TensorLayout(
        _LAYER + "mlp.gate_proj.weight", ("layers", "feed_forward", "gate_DxF"), ("F", "D")
    ),
    TensorLayout(_LAYER + "mlp.up_proj.weight", ("layers", "feed_forward", "up_DxF"), ("F", "D")),
    TensorLayout(
        _LAYER + "mlp.down_proj.weight", ("layers", "feed_forward", "down_FxD"), ("D", "F")
    ),
    TensorLayout("model.norm.weight", ("final_norm", "scale"), ("D",)),
    TensorLayout("lm_head.weight", ("unembed_DxV",), ("V", "D")),
)


def layouts(config: DecoderConfig) -> tuple[TensorLayout, ...]:
    """The kinds of tensors of this architecture: all, without lm_head where embeddings are tied."""
    return tuple(t for t in TENSORS if not (config.tie_embeddings and t.name == "lm_head.weight"))


def axis_sizes(config: DecoderConfig) -> dict[str, int]:
    return {
        "V": config.vocab_size,
        "D": config.hidden_size,
        "F": config.intermediate_size,
        "H": config.num_heads,
        "G": config.num_kv_heads,
        "K": config.head_dim,
    }


def tensor_list(config: DecoderConfig) -> list[tuple[str, TensorLayout, int]]:
    """(name, kind, layer) of every tensor, in the order in which a checkpoint is written; the
    layer is 0 where there is none."""
    kinds = layouts(config)
    stacked = [kind for kind in kinds if kind.stacked]
    first = kinds.index(stacked[0])
    return [
        *((kind.name, kind, 0) for kind in kinds[:first]),
        *(
            (kind.name.format(layer=layer), kind, layer)
            for layer in range(config.num_layers)
            for kind in stacked
        ),
        *((kind.name, kind, 0) for kind in kinds[first:] if not kind.stacked),
    ]


def tensor_shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor, in the order of tensor_list."""
    sizes = axis_sizes(config)
    return {name: kind.shape(sizes) for name, kind, _ in tensor_list(config)}


def parameter_count(config: DecoderConfig) -> int:
    return sum(math.prod(shape) for shape in tensor_shapes(config).values())


def abstract_params(config: DecoderConfig, dtype: str = "float32") -> nnx.State:
    """The decoder's parameter tree with ShapeDtypeStructs for arrays."""
    params = nnx.eval_shape(lambda: nnx.state(Decoder(config, rngs=nnx.Rngs(0)), nnx.Param))
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(dtype)), params)
