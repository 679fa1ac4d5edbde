"""Counts the FLOPs that a program executes, from its jaxpr.

A step executes more than its model FLOPs (semcoder_jax.model.flops): rematerialization repeats
part of the forward pass, and attention computes scores of masked keys: dense attention of all, the
splash kernel of those in blocks that are not masked as a whole. Counts only matrix
products, 2 x (result elements) x (summed elements) each, times the runs of the loops around them;
everything else is less than 1 % of a decoder's step.
"""

import math

from jax.extend import core
from jax.interpreters import partial_eval


def executed_flops(jaxpr: core.Jaxpr | core.ClosedJaxpr) -> float:
    """Returns the FLOPs of all devices together.

    A kernel counts with its cost estimate, or else with its body's products on every grid point
    that it does not skip.
    A branch counts with its most expensive side, a while loop with one iteration.
    """
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    # The compiler drops unused results, such as recomputation of saved activations.
    used, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return _of_jaxpr(used)


def _of_jaxpr(jaxpr) -> float:
    return sum(_of_equation(equation) for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns)


def _of_equation(equation) -> float:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (left_summed, _), _ = params["dimension_numbers"]
        left = equation.invars[0].aval
        summed = math.prod(left.shape[axis] for axis in left_summed)
        return 2.0 * math.prod(equation.outvars[0].aval.shape) * summed
    if name == "scan":
        return params["length"] * _of_jaxpr(params["jaxpr"])
    if name == "cond":
        return max(_of_jaxpr(branch) for branch in params["branches"])
    if name == "pallas_call":
        estimate = params.get("cost_estimate")
        if estimate is not None and estimate.flops:
            return float(estimate.flops)
        grid = [side for side in params["grid_mapping"].grid if isinstance(side, int)]
        share = _causal_share(params.get("name") or "", grid)
        return share * math.prod(grid) * _of_jaxpr(params["jaxpr"])
    total = sum(_of_jaxpr(inner) for inner in _inner(params))
    if name == "shard_map":  # its body computes one device's share
        mesh, manual = params["mesh"], params.get("manual_axes")
        total *= math.prod(mesh.shape[axis] for axis in manual or mesh.axis_names)
    return total


def _causal_share(kernel: str, grid: list[int]) -> float:
    """Returns the share of the grid at which splash attention computes: it skips later keys.

    Its grid ends in (query blocks, key blocks); that of the gradient of keys and values in (key
    blocks, heads, query blocks). Other kernels compute everywhere.
    """
    if not kernel.startswith("splash"):
        return 1.0
    queries, keys = (grid[-1], grid[-3]) if "_dkv" in kernel else (grid[-2], grid[-1])
    seen = sum(-(-(query + 1) * keys // queries) for query in range(queries))
    return seen / (queries * keys)


def _inner(params: dict):
    for value in params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(item, (core.Jaxpr, core.ClosedJaxpr)):
                yield item
