"""Object stores for tests: a stand-in for Google Cloud Storage and moto's S3, both over HTTP.

Both are served by threads of the test's process, under addresses that this process and those it
starts find in their environment. A store can be told to fail.
"""

import contextlib
import dataclasses
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

BUCKET = "bucket"


@dataclasses.dataclass
class Fault:
    """Answers the next `times` requests of `method` whose address contains `part` with `status`."""

    status: int
    times: int
    method: str = ""
    part: str = ""
    skip: int = 0  # so many requests that fit are served before
    after: bool = False  # whether the store does the work before it answers so
    act: Callable[[], None] = lambda: None  # called at each of these requests

    def takes(self, method: str, address: str) -> bool:
        """Returns whether it answers this request; counts those that fit."""
        if self.method not in ("", method) or self.part not in address:
            return False
        self.skip -= 1
        self.times -= self.skip < 0
        return self.skip < 0 and self.times >= 0


@dataclasses.dataclass
class ServedStore:
    """A store served over HTTP.

    Attributes:
      scheme: "gs" or "s3".
      url: the address of its server.
    """

    scheme: str
    url: str
    bucket: str = BUCKET

    def path(self, *names: str) -> str:
        """Returns the address of an object as a user writes it."""
        return "/".join([f"{self.scheme}://{self.bucket}", *names])

    def content(self, *names: str) -> bytes | None:
        """Returns an object's content by plain HTTP, without any client; None without an object."""
        name = "/".join(names)
        place = f"storage/v1/b/{self.bucket}/o/{name.replace('/', '%2F')}?alt=media"
        place = place if self.scheme == "gs" else f"{self.bucket}/{name}"
        signed = {"Authorization": "AWS test:unchecked"}  # moto looks for a signature only
        request = urllib.request.Request(f"{self.url}/{place}", headers=signed)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None


class ObjectStore(ServedStore):
    """A store of this process, which can be told to fail.

    Attributes:
      requests: "METHOD address" of every request.
    """

    def __init__(self, scheme: str, application):
        self.requests: list[str] = []
        self._application, self._faults = application, []
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet
        )
        super().__init__(scheme, f"http://127.0.0.1:{self._server.server_port}")
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @contextlib.contextmanager
    def failing(self, status: int, times: int = 1 << 30, **which) -> Iterator[Fault]:
        """Lets requests fail in the block; see Fault."""
        fault = Fault(status, times, **which)
        self._faults.append(fault)
        try:
            yield fault
        finally:
            self._faults.remove(fault)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ, start_response):
        method, address = environ["REQUEST_METHOD"], environ["REQUEST_URI"]
        self.requests.append(f"{method} {address}")
        for fault in list(self._faults):
            if fault.takes(method, address):
                fault.act()
                if fault.after:
                    list(self._application(environ, lambda *_: None))
                else:
                    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                return Response("told to fail", fault.status)(environ, start_response)
        return self._application(environ, start_response)


class _Quiet(WSGIRequestHandler):
    """Logs nothing, and keeps connections, as stores do."""

    protocol_version = "HTTP/1.1"

    def log(self, *_) -> None:
        pass


def environment(gcs: ObjectStore, s3: ObjectStore) -> dict[str, str]:
    """Returns the variables by which clients find the two stores, and need no credentials."""
    return {
        "STORAGE_EMULATOR_HOST": gcs.url,  # gcsfs, google-cloud-storage
        "TENSORSTORE_GCS_HTTP_URL": gcs.url,
        "FSSPEC_GCS_TOKEN": "anon",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        "GCE_METADATA_ROOT": "127.0.0.1:9",  # nobody answers
        "NO_GCE_CHECK": "true",
        "AWS_ENDPOINT_URL": s3.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.contextmanager
def serve_stores() -> Iterator[dict[str, ObjectStore]]:
    """Serves both stores, each with one empty bucket, and sets the environment for the block."""
    from moto.server import DomainDispatcherApplication, create_backend_app

    from tests.support.gcs_stand_in import GcsStandIn

    gcs = ObjectStore("gs", GcsStandIn())
    s3 = ObjectStore("s3", DomainDispatcherApplication(create_backend_app))
    before = dict(os.environ)
    os.environ.update(environment(gcs, s3))
    import fsspec

    fsspec.config.conf.setdefault("gcs", {})["token"] = "anon"
    try:
        fsspec.filesystem("gcs").call("POST", "b", json={"name": BUCKET})
        fsspec.filesystem("s3").mkdir(BUCKET)
        yield {"gs": gcs, "s3": s3}
    finally:
        del fsspec.config.conf["gcs"]["token"]
        os.environ.clear()
        os.environ.update(before)
        gcs.close()
        s3.close()
