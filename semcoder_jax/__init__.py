"""SemCoder on JAX: trains and runs models that explain the execution of programs.

    import semcoder_jax as sc

    model = sc.load("runs/quickstart/export")
    print(model.generate(["def f(x):\\n"])[0].text)

Each name of `__all__` is imported on first use: `import semcoder_jax` does not load JAX. A name
whose packages are not installed raises a UserError that names the extra.
The commands have the same names: `python -m semcoder_jax.train --help`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semcoder_jax import data
    from semcoder_jax.api import (
        Model,
        evaluate,
        export,
        generate,
        import_hf,
        load,
        plan,
        serve,
        train,
        verify_export,
    )
    from semcoder_jax.errors import UserError
    from semcoder_jax.inference.engine import Engine
    from semcoder_jax.inference.params import SamplingParams

__version__ = "0.1.0"

__all__ = [
    "Engine",
    "Model",
    "SamplingParams",
    "UserError",
    "data",
    "evaluate",
    "export",
    "generate",
    "import_hf",
    "load",
    "plan",
    "serve",
    "train",
    "verify_export",
]

_ELSEWHERE = {
    "Engine": "semcoder_jax.inference.engine",
    "SamplingParams": "semcoder_jax.inference.params",
    "UserError": "semcoder_jax.errors",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "data":
        return import_module("semcoder_jax.data")
    from data_pipeline.terminal.missing_packages import requires_extra

    with requires_extra("train"):
        value = getattr(import_module(_ELSEWHERE.get(name, "semcoder_jax.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({"__version__", *__all__})
