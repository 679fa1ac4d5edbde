"""Downloads models from the Hugging Face Hub and pushes exported directories to it.

huggingface_hub supplies the token (`HF_TOKEN`, or a login) and reads `HF_ENDPOINT`, `HF_HOME` and
`HF_HUB_OFFLINE`.
"""

import dataclasses
import re
from pathlib import Path
from typing import TypeGuard

import huggingface_hub
from huggingface_hub import errors

from data_pipeline.files import AnyPath, as_path, local_copy
from semcoder_jax.errors import HFError
from semcoder_jax.hf.config import CONFIG_FILE, read_json
from semcoder_jax.hf.shards import ShardReader
from semcoder_jax.hf.tokenizer import SMALL_FILES

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WEIGHTS = (
    ("model*.safetensors", "model.safetensors.index.json"),
    ("pytorch_model*.bin", "pytorch_model.bin.index.json"),
)


def find_source(source: str, *, revision: str | None = None) -> AnyPath:
    """Returns the directory of `source`: itself, or the cached download of a hub id.

    Downloads safetensors, or .bin files if the repository has no safetensors. Raises HFError.
    """
    given = as_path(source)
    if given.is_dir():
        if revision is not None:
            raise HFError(f"{source}: a directory has no revision {revision!r}, only a hub id has")
        return given
    if not is_hub_id(source) or given.exists():
        raise HFError(f"{source}: no such directory, nor a hub id (owner/name)")
    try:
        for weights in _WEIGHTS:
            directory = Path(
                huggingface_hub.snapshot_download(
                    source, revision=revision, allow_patterns=[*SMALL_FILES, *weights]
                )
            )
            if any(directory.glob(weights[0])):
                break
    except Exception as error:
        reason = _hub_error(source, revision, error)
        raise HFError(f"{reason}; nor is there such a local directory") from error
    return directory


def is_hub_id(name: str | None) -> TypeGuard[str]:
    """Returns whether `name` has the form owner/name."""
    return name is not None and _HUB_ID.fullmatch(name) is not None


@dataclasses.dataclass(frozen=True)
class PushPlan:
    """Lists the files of a push, as (name, bytes), and its destination."""

    repo_id: str
    revision: str
    private: bool
    files: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.files)
        rows = [f"  {name:<{width}}  {size / 1e6:>12,.3f} MB" for name, size in self.files]
        total = sum(size for _, size in self.files)
        kind = "private" if self.private else "public"
        rows.append(f"  {f'{len(self.files)} files':<{width}}  {total / 1e6:>12,.3f} MB")
        return "\n".join([f"{self.repo_id} ({kind}), revision {self.revision}:", *rows])


def plan_push(
    directory: str | Path, repo_id: str, *, private: bool = True, revision: str = "main"
) -> PushPlan:
    """Checks that config and weights are complete and returns the plan of a push."""
    directory = as_path(directory)
    if not is_hub_id(repo_id):
        raise HFError(f"repo_id {repo_id!r}: expected owner/name")
    read_json(directory / CONFIG_FILE)
    ShardReader(directory)
    files = sorted(p for p in directory.iterdir() if p.is_file() and not p.name.startswith("."))
    return PushPlan(repo_id, revision, private, tuple((p.name, p.stat().st_size) for p in files))


def push(directory: str | Path, plan: PushPlan) -> str:
    """Creates the repository (and branch) if missing and uploads; returns the commit's URL.

    After an interruption the same call resumes and skips files that the hub already has. An
    existing repository keeps its visibility. Raises HFError.
    """
    api = huggingface_hub.HfApi()
    if huggingface_hub.get_token() is None:
        raise HFError("no token: set HF_TOKEN to one with write access")
    try:
        api.create_repo(plan.repo_id, private=plan.private, exist_ok=True)
        if plan.revision != "main":
            api.create_branch(plan.repo_id, branch=plan.revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=plan.repo_id,
            folder_path=local_copy(directory),
            revision=plan.revision,
            allow_patterns=[name for name, _ in plan.files],
            commit_message="Upload model exported by semcoder-jax",
        )
    except Exception as error:
        raise _hub_error(plan.repo_id, plan.revision, error) from error
    return commit.commit_url


def _hub_error(repo_id: str, revision: str | None, error: Exception) -> HFError:
    """Returns the hub's error in one line; raises errors that are not the hub's."""
    while isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # huggingface_hub wraps errors of worker threads
    if isinstance(error, errors.GatedRepoError):
        reason = "gated: ask for access on its page and set HF_TOKEN"
    elif isinstance(error, errors.RepositoryNotFoundError):
        reason = "no such repository on the hub, or a private one (set HF_TOKEN)"
    elif isinstance(error, errors.RevisionNotFoundError):
        reason = f"no revision {revision!r}"
    elif isinstance(error, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError):
        reason = "not in the local cache, and the hub cannot be reached (or HF_HUB_OFFLINE is set)"
    elif isinstance(error, errors.HfHubHTTPError):
        reason = f"the hub answered {error.response.status_code}: {error.server_message or 'error'}"
    elif isinstance(error, errors.HTTPError | OSError):
        reason = f"the hub cannot be reached ({error})"
    else:
        raise error
    return HFError(f"{repo_id}: {reason}")
