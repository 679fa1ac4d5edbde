"""Asks an object store for a bucket. Import it only for a remote path."""

import errno
import functools

from data_pipeline.files.file_error import FileError
from data_pipeline.files.object_path import NO_BUCKET, ObjectPath, object_errors
from data_pipeline.files.paths import store_url


def check_bucket(path: ObjectPath) -> None:
    """Raises FileError unless the bucket of a path exists and this account may list it."""
    scheme, bucket, _ = store_url(path)
    _ask(scheme, bucket)


@functools.cache
def _ask(scheme: str, bucket: str) -> None:
    """Requests one name in the bucket; a bucket that answered once is not asked again."""
    path = ObjectPath(f"{scheme}://{bucket}")
    try:
        with object_errors(path):
            if scheme == "gs":
                path.fs.call("GET", "b/{}/o", bucket, maxResults=1, json_out=True)
            else:
                path.fs.call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)
    except FileNotFoundError:
        raise FileError(errno.ENOENT, NO_BUCKET, str(path)) from None
