"""A small cluster: a job server with two worker processes, as a portable runner of Beam sees one.

    python -m tests.support.portable_cluster   # prints {"job_endpoint", "worker_endpoint"}

Beam's own job server for tests gives every job one worker; this one gives it two. Workers are
processes that a worker pool starts, as in a cluster. All of them end with the standard input.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
WORKERS = 2


@contextlib.contextmanager
def portable_cluster(environment: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """Starts a cluster and yields Beam's options for it; `environment` is added to its own."""
    path = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the pool runs `python`
    )
    given = os.environ | {"PATH": path, "PYTHONPATH": str(REPOSITORY)} | environment
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.portable_cluster"],
        cwd=REPOSITORY,
        env=given,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        found = json.loads(process.stdout.readline())
        yield (
            f"--job_endpoint={found['job_endpoint']}",
            "--environment_type=EXTERNAL",
            f"--environment_config={found['worker_endpoint']}",
        )
    finally:
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:  # a job that lost a worker may hold its threads
            process.kill()
            process.wait()
        process.stdout.close()


def worker_processes(pool: int | None = None) -> list[int]:
    """Returns the ids of the worker processes that children of this process have started."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            command = (entry / "cmdline").read_bytes()
            if b"SdkHarness(" in command and _descends(int(entry.name), pool or os.getpid()):
                found.append(int(entry.name))
    return found


def _descends(process: int, ancestor: int) -> bool:
    while process > 1:
        if process == ancestor:
            return True
        status = Path(f"/proc/{process}/stat").read_text()
        process = int(status.rpartition(")")[2].split()[1])
    return False


def main() -> None:
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
    from apache_beam.runners.portability.fn_api_runner.worker_handlers import ControlConnection
    from apache_beam.runners.portability.local_job_service import BeamJob, LocalJobServicer
    from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

    read = ControlConnection._read

    def read_until_lost(self):
        """Fails what a lost worker was asked; Beam's test server would wait for ever."""
        try:
            read(self)
        finally:
            self.abort(RuntimeError("a worker was lost"))

    ControlConnection._read = read_until_lost

    class JobOfTwo(BeamJob):
        def _invoke_runner(self):
            runner = FnApiRunner(provision_info=self._provision_info)
            runner._num_workers = WORKERS
            return runner.run_via_runner_api(self._pipeline_proto, self.pipeline_options())

    pool, server = BeamFnExternalWorkerPoolServicer.start(use_process=True)
    jobs = LocalJobServicer(beam_job_type=JobOfTwo)
    port = jobs.start_grpc_server()
    found = {"job_endpoint": f"localhost:{port}", "worker_endpoint": pool}
    print(json.dumps(found), flush=True)
    sys.stdin.read()
    jobs.stop()
    server.stop(0)


if __name__ == "__main__":
    main()
