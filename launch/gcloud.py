"""Calls gcloud and says in one line what its failures mean.

Commands and their outputs follow Google Cloud's reference of `gcloud compute tpus tpu-vm` and
`gcloud compute tpus queued-resources`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from launch.errors import CommandFailed, LaunchError
from launch.failures import shorten
from launch.shell import Shell, last_lines

# Seconds after which a command counts as failed; ssh and scp take as long as an installation.
LIMITS = {"describe": 120.0, "create": 1800.0, "delete": 1800.0}
_INSTALL = "https://cloud.google.com/sdk/docs/install has it"
_SHOWN = 400  # characters of gcloud's own words
# What follows an error and says nothing about it.
_ADVICE = re.compile(
    r"^(?:Usage:|To search the help text|For detailed information|If you would like to report|"
    r"To check gcloud for common problems)",
    re.M,
)
# What an error of gcloud means, by a pattern of its text; the first that matches.
_MEANINGS = (
    ("login", r"active account|[Rr]eauthentication|invalid_grant|UNAUTHENTICATED",
     "gcloud is not logged in: gcloud auth login"),
    ("permission", r"PERMISSION_DENIED|does not have permission|[Pp]ermission .* denied|"
     r"forbidden|SERVICE_DISABLED|has not been used in project",
     "no permission: the account needs roles/tpu.admin in the project, and the TPU API enabled"),
    ("exists", r"ALREADY_EXISTS|already exists", "it exists already"),
    ("missing", r"NOT_FOUND|was not found|could not be found", "it does not exist"),
    ("capacity", r"no more capacity|[Ii]nsufficient .*capacity|stockout",
     "no capacity in this zone now"),
    ("quota", r"RESOURCE_EXHAUSTED|[Qq]uota", "no quota: ask for more, or take another zone, "
     "a smaller slice or pod.spot"),
    ("ssh", r"Failed to connect|exit code \[255\]|Connection (refused|closed|timed out|reset)|"
     r"Permission denied \(publickey|\[/usr/bin/ssh\]",
     "ssh does not reach the worker: see gcloud compute tpus tpu-vm ssh --help"),
    ("argument", r"INVALID_ARGUMENT|unrecognized arguments|Invalid value",
     "gcloud refuses the arguments"),
)  # fmt: skip


class CloudError(LaunchError):
    """Reports a failure of gcloud; `cause` is a word of _MEANINGS, or "other"."""

    def __init__(self, message: str, cause: str):
        super().__init__(message)
        self.cause = cause


class Gcloud:
    """`gcloud compute tpus …` in one zone of a project."""

    def __init__(self, shell: Shell, zone: str, project: str | None, ssh_flags: Sequence[str] = ()):
        self._shell, self._ssh_flags = shell, tuple(ssh_flags)
        self._place = [f"--zone={zone}", *([f"--project={project}"] if project else [])]

    def check(self) -> None:
        self._shell.require("gcloud", f"it starts commands on TPU workers; {_INSTALL}")

    def argv(self, group: str, verb: str, *words: str) -> tuple[str, ...]:
        """Returns a command: ("tpu-vm", "ssh", NAME, …)."""
        name, rest = words[0], words[1:]
        own = self._ssh_flags if verb in ("ssh", "scp") else ()
        start = ("gcloud", "compute", "tpus", group, verb, name)
        return (*start, *self._place, *rest, *own, "--quiet")

    def run(self, group: str, verb: str, *words: str) -> str:
        """Runs a command that changes something. Raises CloudError."""
        try:
            limit = LIMITS.get(verb)
            return self._shell.run(*self.argv(group, verb, *words), limit=limit)
        except CommandFailed as error:
            raise explain(error, f"{group} {verb}", words[0]) from None

    def describe(self, group: str, name: str) -> Mapping[str, Any] | None:
        """Returns a resource's description; None if it does not exist. Raises CloudError."""
        argv = self.argv(group, "describe", name, "--format=json")
        try:
            described = json.loads(self._shell.ask(*argv, limit=LIMITS["describe"]))
        except CommandFailed as error:
            explained = explain(error, f"{group} describe", name)
            if explained.cause == "missing":
                return None
            raise explained from None
        except ValueError:
            raise CloudError(f"gcloud describes {name} in no JSON", "other") from None
        if not isinstance(described, dict):
            raise CloudError(f"gcloud describes {name} in no JSON object", "other")
        return described


def explain(error: CommandFailed, action: str, name: str) -> CloudError:
    """Returns the failure with its meaning and gcloud's own words."""
    reason = shorten(_reason(error.stderr), _SHOWN) or f"exit status {error.status}"
    cause = find_cause(error.stderr)
    if cause == "other":
        return CloudError(f"{action} {name} failed: {reason}", cause)
    meaning = next(meaning for word, _, meaning in _MEANINGS if word == cause)
    return CloudError(f"{action} {name}: {meaning} ({reason})", cause)


def find_cause(text: str) -> str:
    """Returns the cause that a text of Google Cloud means: "quota", "missing", …, or "other"."""
    return next((cause for cause, pattern, _ in _MEANINGS if re.search(pattern, text)), "other")


def _reason(stderr: str) -> str:
    """Returns what gcloud says from its first "ERROR: …" on, without the command and advice.

    The first line often names the status alone, and those after it the field or the quota.
    """
    start = re.search(r"^ERROR: ", stderr, re.M)
    if start is None:
        return last_lines(stderr)
    said = _ADVICE.split(stderr[start.start() :])[0]
    return re.sub(r"^ERROR: (?:\(gcloud[\w.-]*\) )?|^\W*@type.*$", "", said, flags=re.M)
