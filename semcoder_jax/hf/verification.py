"""Compares a checkpoint with a Hugging Face directory: every tensor, then the logits.

Transformers computes the directory's side and this decoder the checkpoint's, so that reader, layout
and RoPE are checked independently. Both sides compute the same tokens one layer at a time and hold
one layer's weights in float32: apart from the checkpoint, memory does not grow with the model.
"""

import dataclasses
import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from semcoder_jax.config import DecoderConfig
from semcoder_jax.errors import HFError
from semcoder_jax.hf.config import ARCHITECTURES, model_type
from semcoder_jax.hf.layout import tensor_list, to_parameter
from semcoder_jax.hf.shards import ShardReader
from semcoder_jax.model.attention import make_attend
from semcoder_jax.model.decoder import DecoderLayer, RMSNorm
from semcoder_jax.model.parameters import (
    EMBEDDING,
    FINAL_NORM,
    LAYER_PREFIX,
    OUTPUT,
    DecoderParameter,
    axis_sizes,
    parameters_of,
)
from semcoder_jax.model.rope import rope_angles, rope_frequencies

# Greatest relative difference (root mean square) of the logits that counts as equal: float32
# rounding where the stored numbers are the same, the storage's rounding where they are not.
SAME_WEIGHTS_TOLERANCE = 1e-4
ROUNDED_TOLERANCE = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 4e-2}

TensorByName = Callable[[str], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Verification:
    """Holds the differences found, relative: root mean square over root mean square.

    `rounded` names the tensors that are equal only after the finer side is rounded to the other's
    dtype, `differing` those that differ even then. `layers` has the difference of the states
    after each layer; `kl` is the mean divergence, in nats, of the checkpoint's next-token
    distribution from transformers'; `top1` the share of positions with the same best token.
    """

    num_tensors: int
    rounded: tuple[str, ...]
    differing: tuple[str, ...]
    layers: tuple[float, ...]
    logits_relative: float
    logits_max_abs: float
    kl: float
    top1: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return not self.differing and self.logits_relative <= self.tolerance

    def __str__(self) -> str:
        same = self.num_tensors - len(self.rounded) - len(self.differing)
        lines = [
            f"tensors identical              {same} of {self.num_tensors}",
            f"  identical after rounding     {len(self.rounded)}",
            f"  different                    {len(self.differing)}",
            *(f"    {name}" for name in self.differing[:20]),
            f"states, worst layer            {max(self.layers):.2e} relative",
            f"logits                         {self.logits_relative:.2e} relative "
            f"(tolerance {self.tolerance:.0e})",
            f"logits, greatest difference    {self.logits_max_abs:.2e}",
            f"next token, KL                 {self.kl:.2e} nats",
            f"next token, same best          {100 * self.top1:.2f} %",
            "equal" if self.passed else "NOT EQUAL",
        ]
        return "\n".join(lines)


def verify(
    directory: Path,
    config: DecoderConfig,
    tensor_of: TensorByName,
    tokens_BxT: np.ndarray,
    *,
    progress: bool = False,
) -> Verification:
    """Compares a checkpoint with `directory` on the prompts `tokens_BxT`.

    `tensor_of` returns a tensor of the checkpoint by Hugging Face name and in Hugging Face layout.
    Each row starts at another position; the last one ends at the greatest. Needs torch. Raises
    HFError if the tensors do not correspond.
    """
    shards = ShardReader(directory)
    positions_BxT = _positions(config, *tokens_BxT.shape)
    theirs = _TransformersSide(directory, config, positions_BxT)
    ours = _JaxSide(config, positions_BxT)
    rounded, differing, layer_differences = [], [], []
    dtypes = set()

    def read_both(parameters: Iterable[DecoderParameter], layer: int) -> tuple[dict, dict]:
        """Reads the tensors of these parameters on both sides and compares them."""
        pairs = {}
        for parameter in parameters:
            name = parameter.tensor.format(layer=layer)
            pairs[parameter.tensor] = source, checkpoint = shards.read(name), tensor_of(name)
            dtypes.update((str(source.dtype), str(checkpoint.dtype)))
            if source.shape != checkpoint.shape:
                raise HFError(f"{name}: {source.shape} in {directory}, not {checkpoint.shape}")
            if not _same_bytes(source, checkpoint):
                equal = _same_bytes(source, checkpoint.astype(source.dtype)) or _same_bytes(
                    source.astype(checkpoint.dtype), checkpoint
                )
                (rounded if equal else differing).append(name)
        return {n: p[0] for n, p in pairs.items()}, {n: p[1] for n, p in pairs.items()}

    parameters = parameters_of(config)
    stacked = [parameter for parameter in parameters if parameter.is_stacked]
    embedding = read_both([EMBEDDING], 0)
    their_state, our_state = (
        side.embed(tensors, tokens_BxT)
        for side, tensors in zip((theirs, ours), embedding, strict=True)
    )
    if not config.tie_embeddings:
        embedding = None
    for layer in tqdm(range(config.num_layers), desc="verifying", disable=not progress):
        their_layer, our_layer = read_both(stacked, layer)
        their_state = theirs.layer(their_layer, their_state)
        our_state = ours.layer(our_layer, our_state)
        layer_differences.append(
            _relative_difference(theirs.array(their_state), ours.array(our_state))
        )
    head = read_both(
        [parameter for parameter in parameters if parameter in (FINAL_NORM, OUTPUT)], 0
    )
    if embedding is not None:
        for tensors, source in zip(head, embedding, strict=True):
            tensors[OUTPUT.tensor] = source[EMBEDDING.tensor]
    their_logits = theirs.array(theirs.logits(head[0], their_state))
    our_logits = ours.array(ours.logits(head[1], our_state))
    tolerance = SAME_WEIGHTS_TOLERANCE
    if rounded:
        tolerance = max(ROUNDED_TOLERANCE[dtype] for dtype in dtypes)
    return Verification(
        num_tensors=len(tensor_list(config)),
        rounded=tuple(rounded),
        differing=tuple(differing),
        layers=tuple(layer_differences),
        logits_relative=_relative_difference(their_logits, our_logits),
        logits_max_abs=float(np.abs(their_logits - our_logits).max()),
        kl=_kl_divergence(their_logits, our_logits),
        top1=float((their_logits.argmax(-1) == our_logits.argmax(-1)).mean()),
        tolerance=tolerance,
    )


def import_torch() -> Any:
    """Returns the module torch. Raises HFError with the command that installs it."""
    try:
        import torch
    except ImportError:
        raise HFError(
            "verify-export compares with transformers, which needs torch: pip install torch "
            "(its CPU build is enough)"
        ) from None
    return torch


class _TransformersSide:
    """Computes transformers' layers in float32, with eager attention."""

    def __init__(self, directory: Path, config: DecoderConfig, positions_BxT: np.ndarray):
        torch = import_torch()
        from transformers import AutoConfig

        kind = model_type(config)
        self._torch = torch
        self._module = importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")
        self._prefix = ARCHITECTURES[kind].removesuffix("ForCausalLM")
        self._config = AutoConfig.from_pretrained(directory)
        self._config._attn_implementation = "eager"
        T = positions_BxT.shape[1]
        self._positions = torch.tensor(positions_BxT)
        self._mask = torch.full((T, T), torch.finfo(torch.float32).min).triu(1)[None, None]
        rotary = self._class("RotaryEmbedding")(self._config)
        self._rotation = rotary(torch.zeros(1, dtype=torch.float32), self._positions)

    def _class(self, name: str):
        """Returns a class of the model type: "RMSNorm" is LlamaRMSNorm or Qwen2RMSNorm."""
        return getattr(self._module, self._prefix + name)

    def embed(self, tensors, tokens_BxT):
        return self._tensor(tensors[EMBEDDING.tensor][tokens_BxT])

    def layer(self, tensors, state):
        torch = self._torch
        with torch.device("meta"):
            layer = self._class("DecoderLayer")(self._config, 0)
        weights = {n.removeprefix(LAYER_PREFIX): self._tensor(t) for n, t in tensors.items()}
        layer.load_state_dict(weights, assign=True)
        with torch.no_grad():
            state = layer(
                state,
                attention_mask=self._mask,
                position_ids=self._positions,
                position_embeddings=self._rotation,
            )
        return state[0] if isinstance(state, tuple) else state  # a tuple before transformers 5

    def logits(self, tensors, state):
        norm = self._class("RMSNorm")(self._config.hidden_size, self._config.rms_norm_eps)
        norm.load_state_dict({"weight": self._tensor(tensors[FINAL_NORM.tensor])})
        with self._torch.no_grad():
            return norm(state) @ self._tensor(tensors[OUTPUT.tensor]).T

    def array(self, state) -> np.ndarray:
        return state.numpy()

    def _tensor(self, array: np.ndarray):
        return self._torch.tensor(np.asarray(array, np.float32))


class _JaxSide:
    """Computes this decoder's layers in float32."""

    def __init__(self, config: DecoderConfig, positions_BxT: np.ndarray):
        self._sizes = axis_sizes(config)
        self._parameters = {parameter.tensor: parameter for parameter in parameters_of(config)}
        positions = jnp.asarray(positions_BxT)
        ones = jnp.ones_like(positions)
        cos, sin = rope_angles(positions, rope_frequencies(config))
        attend = make_attend("xla", positions, ones)
        graphdef, self._layer_params = nnx.eval_shape(
            lambda: nnx.split(DecoderLayer(config, rngs=nnx.Rngs(0)))
        )
        norm_graphdef, self._norm_params = nnx.eval_shape(
            lambda: nnx.split(RMSNorm(config.hidden_size, config.rms_norm_eps))
        )

        @jax.jit
        def layer(params, state):
            module = nnx.merge(graphdef, params)
            return module(state, cos, sin, attend, None, 0, None, positions)[0]

        @jax.jit
        def logits(norm_params, weight_VxD, state):
            return nnx.merge(norm_graphdef, norm_params)(state) @ weight_VxD.T

        self._layer, self._logits = layer, logits

    def embed(self, tensors, tokens_BxT):
        return jnp.asarray(tensors[EMBEDDING.tensor][tokens_BxT], jnp.float32)

    def layer(self, tensors, state):
        arrays = {}
        for name, tensor in tensors.items():
            parameter = self._parameters[name]
            array = to_parameter(parameter, np.asarray(tensor, np.float32), self._sizes)
            arrays[parameter.path[1:]] = jnp.asarray(array)
        params = jax.tree_util.tree_map_with_path(
            lambda path, _: arrays[tuple(k.key for k in path if hasattr(k, "key"))],
            self._layer_params,
        )
        return self._layer(params, state)

    def logits(self, tensors, state):
        norm = jnp.asarray(tensors[FINAL_NORM.tensor], jnp.float32)
        norm_params = jax.tree.map(lambda _: norm, self._norm_params)
        return self._logits(norm_params, jnp.asarray(tensors[OUTPUT.tensor], jnp.float32), state)

    def array(self, state) -> np.ndarray:
        return np.asarray(state)


def _positions(config: DecoderConfig, B: int, T: int) -> np.ndarray:
    starts = np.linspace(0, config.max_positions - T, B).astype(np.int64)
    return starts[:, None] + np.arange(T)


def _same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and np.array_equal(
        np.ascontiguousarray(a).view(np.uint8), np.ascontiguousarray(b).view(np.uint8)
    )


def _relative_difference(expected: np.ndarray, found: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def _kl_divergence(expected: np.ndarray, found: np.ndarray) -> float:
    """Returns the mean of KL(softmax(expected) || softmax(found)) over positions."""
    log_p, log_q = (
        np.asarray(jax.nn.log_softmax(x, axis=-1), np.float64) for x in (expected, found)
    )
    return float((np.exp(log_p) * (log_p - log_q)).sum(-1).mean())
