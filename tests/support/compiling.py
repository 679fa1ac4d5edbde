"""Names the flags by which XLA compiles fast for tests, whose programs run for milliseconds.

Compiling took most of the CPU time of tests of models. With jaxlib 0.10 a small training step on a
CPU takes 2.9 s by default, 1.5 s with the flags of FUSE_BY_LLVM and 0.25 s with those of QUICK.
"""

from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version


def can_fuse_by_llvm() -> bool:
    """Tells whether XLA has emitters for CPUs besides those by MLIR; else it ends at their flag."""
    try:
        return Version(version("jaxlib")) < Version("0.11")
    except PackageNotFoundError:
        return False


# Code by MLIR is faster, but takes more time to make.
FUSE_BY_LLVM = (
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    if can_fuse_by_llvm()
    else ""
)
QUICK = (
    f"--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true {FUSE_BY_LLVM}"
).strip()
