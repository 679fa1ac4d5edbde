"""Compares every attention backend with plain softmax attention in NumPy.

Compares gradients with those of the plain JAX form. Kernels run in Pallas's interpret mode.
"""

import collections
import contextlib
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semcoder_jax.model import attention
from semcoder_jax.model.attention import make_attend

B, T = 2, 200  # no multiple of a kernel's block


def packed_row(lengths, T):
    """Segment ids and positions of records of these lengths, the rest of the row padding."""
    segments, positions = np.zeros(T, np.int32), np.zeros(T, np.int32)
    start = 0
    for number, length in enumerate(lengths, 1):
        segments[start : start + length] = number
        positions[start : start + length] = np.arange(length)
        start += length
    return segments, positions


def example(H, G, K, seed=0):
    random = np.random.default_rng(seed)
    q, k, v = (random.normal(size=(B, T, heads, K)).astype(np.float32) for heads in (H, G, G))
    rows = [packed_row(lengths, T) for lengths in ((70, 1, 90), (T,))]
    segments, positions = (np.stack(parts) for parts in zip(*rows, strict=True))
    return q, k, v, segments, positions


def by_hand(q, k, v, segments, positions):
    """In float64, query by query; zero at padding."""
    out = np.zeros(q.shape)
    group = q.shape[2] // k.shape[2]
    for b, t in np.argwhere(segments):
        seen = (segments[b] == segments[b, t]) & (positions[b] <= positions[b, t])
        for h in range(q.shape[2]):
            scores = k[b, seen, h // group].astype(np.float64) @ q[b, t, h] / q.shape[3] ** 0.5
            weights = np.exp(scores - scores.max())
            out[b, t, h] = weights / weights.sum() @ v[b, seen, h // group]
    return out


@pytest.fixture
def cudnn_stand_in(monkeypatch):
    """What is asked of cuDNN, computed by XLA: this checks the call and its mask, no kernel."""
    monkeypatch.setattr(
        jax.nn,
        "dot_product_attention",
        functools.partial(_without_cudnn, jax.nn.dot_product_attention),
    )


def _without_cudnn(real, *arguments, implementation, **options):
    assert implementation == "cudnn"
    return real(*arguments, implementation="xla", **options)


@pytest.mark.parametrize(
    ("backend", "H", "G", "K"),
    [
        ("xla", 4, 2, 64),
        ("splash", 2, 2, 128),
        ("splash", 4, 2, 64),
        ("flash", 2, 2, 128),
        ("flash", 4, 2, 64),
        ("cudnn", 4, 2, 64),
        ("blocks", 4, 2, 64),
        ("blocks", 3, 3, 10),
    ],
)
def test_backends_agree(backend, H, G, K, cudnn_stand_in):
    q, k, v, segments, positions = example(H, G, K)
    real = segments != 0

    @functools.partial(jax.jit, static_argnums=0)
    def run(backend, q, k, v):
        def weighted(q, k, v):
            out = make_attend(backend, positions, segments, interpret=True)(q, k, v)
            weights = jnp.sin(jnp.arange(out.size)).reshape(out.shape) * real[..., None, None]
            return jnp.sum(out * weights), out

        gradients, out = jax.grad(weighted, (0, 1, 2), has_aux=True)(q, k, v)
        return out, gradients

    out, gradients = run(backend, q, k, v)
    expected = by_hand(q, k, v, segments, positions)
    assert np.abs(np.asarray(out)[real] - expected[real]).max() < 3e-6
    assert np.isfinite(out).all()
    if backend != "xla":
        _, plain = run("xla", q, k, v)
        for ours, reference in zip(gradients, plain, strict=True):
            assert np.abs(ours - reference).max() < 2e-5
            # No gradient enters at padding, so none may leave.
            assert not np.asarray(ours)[~real].any()
            assert np.abs(np.asarray(ours)[real]).max() > 0.1


@pytest.mark.parametrize(("H", "G", "K"), [(2, 2, 128), (4, 2, 64)])
def test_one_splash_kernel_computes_all_gradients(H, G, K, monkeypatch):
    """In rows of two blocks: the queries' gradient is a sum of two parts."""
    monkeypatch.setattr(attention, "_SPLASH_BLOCKS", (128,))
    q, k, v, segments, positions = example(H, G, K)

    def gradients(backend, fused):
        def weighted(q, k, v):
            attend = make_attend(
                backend, positions, segments, fused_gradients=fused, interpret=True
            )
            out = attend(q, k, v)
            weights = jnp.sin(jnp.arange(out.size)).reshape(out.shape)
            return jnp.sum(out * weights * (segments != 0)[..., None, None])

        return jax.jit(jax.grad(weighted, (0, 1, 2)))

    assert kernels_of(gradients("splash", True), q, k, v) == {"fwd": 1, "dkv": 1}
    assert kernels_of(gradients("splash", False), q, k, v) == {"fwd": 1, "dq": 1, "dkv": 1}
    plain = gradients("xla", False)(q, k, v)
    for ours, reference in zip(gradients("splash", True)(q, k, v), plain, strict=True):
        assert np.abs(ours - reference).max() < 2e-5


def kernels_of(function, *arguments):
    """How often each phase of splash attention is called."""
    names = re.findall(
        r"name=splash_mha\w*?_(fwd|dq|dkv)\w*", str(jax.make_jaxpr(function)(*arguments))
    )
    return dict(collections.Counter(names))


def describe_h100():
    """A context that tells JAX which GPU to lower for: from 0.12 a Triton kernel needs to know."""
    if jax.__version_info__ < (0, 10, 2):
        return contextlib.nullcontext()
    gpu = jax.sharding.AbstractDevice("NVIDIA H100 80GB HBM3", num_cores=132, platform="gpu")
    auto = (jax.sharding.AxisType.Auto,)
    mesh = jax.sharding.AbstractMesh((1,), ("fsdp",), axis_types=auto, abstract_device=gpu)
    return jax.sharding.use_abstract_mesh(mesh)


@pytest.mark.parametrize("K", [64, 128])
def test_the_gpu_kernel_lowers_for_cuda(K):
    """Both passes become Triton programs; no GPU takes part."""
    q = jax.ShapeDtypeStruct((2, 256, 8, K), jnp.bfloat16)
    k = jax.ShapeDtypeStruct((2, 256, 4, K), jnp.bfloat16)
    ids = jax.ShapeDtypeStruct((2, 256), jnp.int32)

    def total(q, k, v, positions, segments):
        return jnp.sum(make_attend("flash", positions, segments)(q, k, v).astype(jnp.float32))

    with describe_h100():
        traced = jax.jit(jax.grad(total, (0, 1, 2))).trace(q, k, k, ids, ids)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("@__gpu$xla.gpu.triton") >= 2


class MeshOf:
    def __init__(self, platform, **attributes):
        self.devices = np.array([type("Device", (), {"platform": platform, **attributes})()])


@pytest.mark.parametrize(
    ("mesh", "head_dim", "dtype", "expected"),
    [
        (None, 128, "bfloat16", "blocks"),  # this process's own: a CPU
        (MeshOf("cpu"), 10, "float32", "blocks"),
        (MeshOf("tpu"), 128, "bfloat16", "splash"),
        (MeshOf("tpu"), 64, "float32", "splash"),
        (MeshOf("tpu"), 48, "bfloat16", "xla"),
        (MeshOf("gpu"), 128, "bfloat16", "flash"),
        (MeshOf("gpu"), 128, "float32", "xla"),  # its blocks would not fit
        (MeshOf("gpu", compute_capability="7.5"), 128, "bfloat16", "xla"),  # T4: no Triton in XLA
        (MeshOf("gpu", compute_capability="8.0"), 128, "bfloat16", "flash"),  # A100
        (MeshOf("gpu", compute_capability="12.0"), 128, "bfloat16", "flash"),
        (MeshOf("rocm", compute_capability="gfx942"), 128, "bfloat16", "flash"),
    ],
)
def test_auto_goes_by_the_devices_of_the_mesh_and_the_model(mesh, head_dim, dtype, expected):
    assert attention.resolve_backend("auto", 512, head_dim, dtype, mesh) == expected
    assert attention.resolve_backend("cudnn", 512, head_dim, dtype, mesh) == "cudnn"


def test_auto_takes_no_blocks_where_a_row_is_one():
    assert attention.resolve_backend("auto", 128, 32, "float32", None) == "xla"
    assert attention.resolve_backend("auto", 129, 32, "float32", None) == "blocks"
