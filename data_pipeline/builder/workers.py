"""Describes the machines that run programs in a build: each reports its own sandbox tier.

Results of a weaker tier are not mixed with those of a stronger one: the tiers are part of the
recipe. A worker that cannot start the demanded tier ends the build.
"""

import socket
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from data_pipeline.builder.options import BuildError, code_digest
from data_pipeline.execution import tiers
from data_pipeline.execution.service import Setup

_SHOWN = 5  # names of machines of one tier


@dataclass(frozen=True, order=True)
class Worker:
    """Describes a machine that runs programs.

    Args:
      host: its name.
      tier: sandbox tier that it uses.
      weakness: why it uses no stronger one; "" for tier A or if the tier was demanded.
    """

    host: str
    tier: str
    weakness: str = ""

    @classmethod
    def here(cls, tier: str | None) -> "Worker":
        """Describes this machine, with the demanded tier or the strongest that it can start.

        Raises SandboxUnavailable.
        """
        found = tiers.probe(Setup(), tier, tier == "C")
        return cls(socket.gethostname(), found.tier, found.weakness)


def runtime() -> str:
    """Describes the code of this process, which must be the same in the whole build."""
    version = ".".join(map(str, sys.version_info[:2]))
    return f"Python {version} and code {code_digest()[:12]}"


def check_same_runtime(runtimes: Iterable[tuple[str, str]]) -> None:
    """Raises BuildError if a worker, of (host, `runtime`), runs other code than this process."""
    for host, found in sorted(set(runtimes)):
        if found != runtime():
            raise BuildError(
                f"--runner: worker {host} has {found}; expected {runtime()}, as here: give the "
                "workers this version (--pipeline.setup_file or --pipeline.sdk_container_image)"
            )


def join_tiers(workers: Iterable[Worker]) -> str:
    """Returns the tiers in use for the recipe, such as "A" or "A+B"."""
    return "+".join(sorted({worker.tier for worker in workers}))


def describe_workers(workers: Collection[Worker]) -> str:
    """Returns the tier of all workers, or which of them have which one and why; "" for none."""
    by_tier: dict[tuple[str, str], list[str]] = defaultdict(list)
    for worker in sorted(set(workers)):
        by_tier[worker.tier, worker.weakness].append(worker.host)
    machines = "" if len(workers) == 1 else f" on {len(set(workers)):,} workers"
    if len(by_tier) == 1:
        ((tier, weakness),) = by_tier
        return f"tier {tier}{machines}" + (f" ({weakness})" if weakness else "")
    parts = []
    for (tier, weakness), hosts in sorted(by_tier.items()):
        more = f" and {len(hosts) - _SHOWN:,} more" if len(hosts) > _SHOWN else ""
        why = f" ({weakness})" if weakness else ""
        parts.append(f"tier {tier} on {', '.join(hosts[:_SHOWN])}{more}{why}")
    return "; ".join(parts)
