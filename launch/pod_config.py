"""Reads and checks pod configs: what to create in which cloud, and how to run training on it.

A pod config is a Python file with get_config(), as launch/pods/queued_resource.py. `way` names the
class in launch/ways that creates and runs it; the other fields are those of that way's dataclass
here. `--pod.FIELD=VALUE` on the command line overrides a field.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from launch.errors import LaunchError
from semcoder_jax.config import ConfigError
from semcoder_jax.config.fields import parse_section, plain_record
from semcoder_jax.planner.topologies import Topology
from semcoder_jax.planner.topologies import parse as parse_topology

# Chips of these versions have two cores, and Cloud's accelerator types count cores.
_TWO_CORES = ("v2", "v3", "v4", "v5p")
_ACCELERATORS = {"v5e": "v5litepod"}
_RUNTIMES = {"v5e": "v2-alpha-tpuv5-lite", "v5p": "v2-alpha-tpuv5", "v6e": "v2-alpha-tpuv6e"}
PRIORITIES = ("very-low", "low", "medium", "high", "very-high")  # of xpk
_LONGEST_WORKLOAD = 40  # of xpk
_LEAST_XPK = {"v5e": 8}  # chips of xpk's smallest slice
_OLD_RUNTIME = "tpu-ubuntu2204-base"  # v4 and older
_REMOTE = re.compile(r"gs://[^/]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pod:
    """Fields of every way.

    Attributes:
      way: module of launch/ways.
      name: of the resource.
      topology: a slice by the planner's name, like "v5e:4x4"; None if the way finds it itself.
      slices: number of such slices, joined by the data-center network.
      mounts: folders of shared storage that every worker has mounted; a workdir that is not
        gs://… must lie in one of them.
      directory: folder of the code on a worker, relative to the home folder.
      python: Python 3.11 or later on a worker, to make the environment with.
      setup: shell commands that every worker runs once before the installation, e.g. a mount.
      variables: environment variables of training.
      logs: local folder that gets a folder for each launch.
      max_restarts: how often training is started again after preemption, maintenance or a stop;
        before the Nth time it waits N x poll_seconds.
      max_crashes: how often training is started again after it failed on a healthy machine.
      poll_seconds: time between two questions about the state of the machine.
      wait_hours: how long to wait for the machine.
      stop_seconds: how long training may take to save after it is asked to stop.
    """

    way: str
    name: str
    topology: str | None = None
    slices: int = 1
    mounts: tuple[str, ...] = ()
    directory: str = "semcoder-jax"
    python: str = "python3"
    setup: tuple[str, ...] = ()
    variables: Mapping = dataclasses.field(default_factory=dict)
    logs: str = "launches"
    max_restarts: int = 10
    max_crashes: int = 1
    poll_seconds: float = 30.0
    wait_hours: float = 24.0
    stop_seconds: float = 120.0

    def __post_init__(self):
        if not re.fullmatch(r"[A-Za-z0-9][\w.~+%@-]*", self.name):
            raise LaunchError(f"pod.name is {self.name!r}, expected the name of a resource")
        _check_least(self, slices=1, max_restarts=0, max_crashes=0, stop_seconds=0, wait_hours=0)
        if self.poll_seconds <= 0:
            raise LaunchError(f"pod.poll_seconds is {self.poll_seconds}, expected more than 0")
        for field in ("setup", "mounts"):
            wrong = [value for value in getattr(self, field) if not isinstance(value, str)]
            if wrong:
                raise LaunchError(f"pod.{field} has {wrong[0]!r}, expected texts")
        self.place()  # raises if the topology is none

    def place(self) -> Topology | None:
        """Returns all slices as one topology of the planner."""
        return self.topology and parse_topology(self.topology, self.slices)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExistingSlice(Pod):
    """A Cloud TPU slice that exists and stays: `name` is that of its node (TPU VM).

    Attributes:
      zone, project: where; without a project, gcloud's own.
      ssh_flags: of `gcloud … ssh` and `scp`, like "--internal-ip" or "--tunnel-through-iap".
    """

    zone: str
    project: str | None = None
    ssh_flags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class QueuedResource(Pod):
    """Cloud TPU slices requested as a queued resource, and deleted at the end.

    Attributes:
      zone, project: where; without a project, gcloud's own.
      accelerator_type: Cloud's name of the slice, like "v5litepod-16"; by default as `topology`.
      runtime_version: TPU software version; by default the one for the TPU version.
      spot: cheaper, may be preempted at any time.
      reserved: from the project's reservation.
      network, subnetwork: of the nodes; by default "default".
      internal_ips: nodes without external addresses; see ssh_flags.
      ssh_flags: of `gcloud … ssh` and `scp`, like "--internal-ip" or "--tunnel-through-iap".
      service_account: of the nodes; it reads and writes the workdir's bucket.
      valid_until_duration: gives the request up after this time, like "6h".
      labels: of the nodes.
    """

    zone: str
    project: str | None = None
    accelerator_type: str | None = None
    runtime_version: str | None = None
    spot: bool = False
    reserved: bool = False
    network: str | None = None
    subnetwork: str | None = None
    internal_ips: bool = False
    ssh_flags: tuple[str, ...] = ()
    service_account: str | None = None
    valid_until_duration: str | None = None
    labels: Mapping = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        super().__post_init__()
        check_new_name(self.name)
        if self.spot and self.reserved:
            raise LaunchError("pod.spot and pod.reserved exclude each other")
        if self.topology is None and self.accelerator_type is None:
            raise LaunchError("pod.topology is missing, like v5e:4x4")
        if self.topology is None and self.runtime_version is None:
            raise LaunchError("pod.runtime_version is missing; it follows from pod.topology only")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GkeXpk(Pod):
    """Slices of a GKE cluster, by a workload of xpk, which is deleted at the end.

    The cluster restarts the workload by itself: at most max_restarts times, whatever the reason.

    Attributes:
      cluster: its name in the project.
      zone, project: where; without a project, gcloud's own.
      image: container image with the environment (launch/Dockerfile); xpk adds the working tree.
      create_cluster: create the cluster before, and delete it at the end.
      spot: node pools of a cluster that is created here: cheaper, may be preempted at any time.
      reservation: of such node pools.
      priority: in the cluster's queue; a higher one evicts lower ones.
      namespace: of Kubernetes.
      storages: names of xpk storages to mount; `mounts` states their folders.
    """

    cluster: str
    zone: str
    image: str
    project: str | None = None
    create_cluster: bool = False
    spot: bool = False
    reservation: str | None = None
    priority: str = "medium"
    namespace: str = "default"
    storages: tuple[str, ...] = ()
    max_crashes: int = 0

    def __post_init__(self):
        super().__post_init__()
        check_new_name(self.name)
        if len(self.name) > _LONGEST_WORKLOAD:
            raise LaunchError(f"pod.name is {self.name!r}, xpk takes {_LONGEST_WORKLOAD} letters")
        if self.topology is None:
            raise LaunchError("pod.topology is missing, like v5e:4x4")
        place = self.place()
        if place.chip.name in ("v2", "v3") or place.num_chips // place.num_slices < _LEAST_XPK.get(
            place.chip.name, 1
        ):
            raise LaunchError(f"pod.topology is {self.topology}, a slice that xpk does not know")
        if self.priority not in PRIORITIES:
            expected = ", ".join(PRIORITIES)
            raise LaunchError(f"pod.priority is {self.priority!r}, expected one of {expected}")
        if self.spot and self.reservation:
            raise LaunchError("pod.spot and pod.reservation exclude each other")
        if (self.spot or self.reservation) and not self.create_cluster:
            field = "spot" if self.spot else "reservation"
            raise LaunchError(
                f"pod.{field} goes with pod.create_cluster=True: an existing cluster's node pools "
                "have it or not"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkyPilot(Pod):
    """One Cloud TPU slice, by a managed job of SkyPilot, which finds it and replaces it.

    Attributes:
      zones: where to look, like "us-central2-b"; by default SkyPilot looks everywhere.
      spot: cheaper, may be preempted at any time.
      on_demand_too: with spot, takes an ordinary slice where there is no cheaper one.
      runtime_version: TPU software version; by default the one for the TPU version.
      labels: of the nodes.
    """

    zones: tuple[str, ...] = ()
    spot: bool = False
    on_demand_too: bool = False
    runtime_version: str | None = None
    labels: Mapping = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        super().__post_init__()
        check_new_name(self.name)
        if self.topology is None:
            raise LaunchError("pod.topology is missing, like v5e:4x4")
        if self.slices > 1 or self.place().num_slices > 1:
            raise LaunchError(
                "SkyPilot joins no slices of a TPU; expected pod.slices=1, or "
                "launch/pods/queued_resource.py or gke_xpk.py"
            )
        if self.on_demand_too and not self.spot:
            raise LaunchError("pod.on_demand_too goes with pod.spot=True")
        wrong = [zone for zone in self.zones if not re.fullmatch(r"[a-z]+-[a-z]+\d+-[a-z]", zone)]
        if wrong:
            raise LaunchError(f"pod.zones has {wrong[0]!r}, expected zones like us-central2-b")


CONFIGS: Mapping[str, type[Pod]] = {
    "existing_slice": ExistingSlice,
    "queued_resource": QueuedResource,
    "gke_xpk": GkeXpk,
    "skypilot": SkyPilot,
}


def parse_pod(record: Mapping) -> Pod:
    """Returns the checked pod config. Raises LaunchError, TopologyError."""
    fields = {name: value for name, value in plain_record(record).items() if value is not None}
    way = fields.get("way")
    if way not in CONFIGS:
        raise LaunchError(f"pod.way is {way!r}, expected one of {', '.join(CONFIGS)}")
    try:
        return parse_section(CONFIGS[way], fields, "pod")
    except ConfigError as error:
        raise LaunchError(str(error).removeprefix("config: ")) from None


def check_new_name(name: str) -> None:
    """Raises LaunchError unless Cloud lets a new resource have the name."""
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,60}[a-z0-9])?", name):
        raise LaunchError(
            f"pod.name is {name!r}, expected lower-case letters, digits and hyphens, a letter first"
        )


def accelerator_type(topology: Topology) -> str:
    """Returns Cloud's name of one slice: v5litepod-16 for v5e:4x4, v5p-16 for v5p:2x2x2."""
    version, chips = topology.chip.name, topology.num_chips // topology.num_slices
    count = chips * 2 if version in _TWO_CORES else chips
    return f"{_ACCELERATORS.get(version, version)}-{count}"


def xpk_type(topology: Topology) -> str:
    """Returns xpk's name of one slice: v5litepod-16 for v5e:4x4, v5p-2x2x2 for v5p:2x2x2."""
    if topology.chip.dimensions == 2:
        return accelerator_type(topology)
    return topology.slice_name.replace(":", "-")  # a number would leave the shape to xpk


def runtime_version(topology: Topology) -> str:
    """Returns the TPU software version that Cloud's documentation names for JAX."""
    return _RUNTIMES.get(topology.chip.name, _OLD_RUNTIME)


def check_training(arguments: Sequence[str], mounts: Sequence[str]) -> None:
    """Raises LaunchError unless training has a config and a workdir that all workers share.

    Nor may there be arguments that training does not take.
    """
    for argument in arguments:
        if not re.match(r"--?(config(\.[\w.-]+)?|workdir|profile)(=|$)", argument):
            raise LaunchError(
                f"after --: unexpected argument {argument!r}; training takes --config, "
                "--config.FIELD, --workdir and --profile, each with its value after ="
            )
    values = dict(argument.lstrip("-").partition("=")[::2] for argument in arguments)
    for flag, value in (("config", "FILE"), ("workdir", "gs://BUCKET/RUN")):
        if not values.get(flag):
            raise LaunchError(f"after --, --{flag}={value} is missing")
    workdir = values["workdir"]
    if workdir.startswith("s3://"):
        raise LaunchError(
            f"--workdir={workdir}: expected gs://BUCKET/RUN; checkpoints go there only"
        )
    if _REMOTE.match(workdir) or any(_lies_in(workdir, mount) for mount in mounts):
        return
    stated = (
        f"or a folder in {', '.join(mounts)} (pod.mounts)"
        if mounts
        else ("or a folder that pod.mounts states as mounted on every worker")
    )
    raise LaunchError(
        f"--workdir={workdir} is a folder of each worker by itself; expected gs://BUCKET/RUN, "
        f"{stated}: all workers write there, and it must outlive them"
    )


def _lies_in(path: str, mount: str) -> bool:
    parts, own = path.rstrip("/").split("/"), mount.rstrip("/").split("/")
    return path.startswith("/") and parts[: len(own)] == own and ".." not in parts


def _check_least(pod: Pod, **least: float) -> None:
    for field, bound in least.items():
        if getattr(pod, field) < bound:
            raise LaunchError(f"pod.{field} is {getattr(pod, field)}, expected at least {bound}")
