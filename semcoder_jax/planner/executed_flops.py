"""The arithmetic that a program really does, counted in its jaxpr.

Model FLOPs (semcoder_jax.model.flops) are what a step is good for; a step does more:
rematerialization computes a part of the forward pass again, and dense attention computes scores of
hidden keys.
Counted are matrix products, 2 x (result elements) x (summed elements) each, as often as the loops
around them run: all else is less than a hundredth of a decoder's step.
"""

import math

from jax.extend import core
from jax.interpreters import partial_eval


def executed_flops(jaxpr: core.Jaxpr | core.ClosedJaxpr) -> float:
    """FLOPs of all devices together. A kernel counts with its own estimate, if it carries one,
    else with the products of its body on every point of its grid; of a branch the dearest way
    counts, of a while loop (whose turns are not known) one turn."""
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    # What the compiler drops as unused is not done: recomputation of what is kept, most of all.
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
        return math.prod(grid) * _of_jaxpr(params["jaxpr"])
    total = sum(_of_jaxpr(inner) for inner in _inner(params))
    if name == "shard_map":  # its body is one device's part
        mesh, manual = params["mesh"], params.get("manual_axes")
        total *= math.prod(mesh.shape[axis] for axis in manual or mesh.axis_names)
    return total


def _inner(params: dict):
    for value in params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(item, (core.Jaxpr, core.ClosedJaxpr)):
                yield item
