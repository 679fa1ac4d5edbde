"""Reads and writes single objects together with their versions.

A version is the generation of an object on Google Cloud Storage and its ETag on S3. A write can
name the version that it replaces; the store refuses it if the object has changed since. That is
all that locks and logs need.

Stores answer transient failures (408, 429, 5xx, lost connections) now and then: gcsfs and botocore
repeat such requests with growing pauses. A repeated write whose first answer was lost looks as if
somebody else had written; `write_object` compares the content and is not misled.
"""

import dataclasses
import datetime
import email.utils
import errno
import json
from typing import Any

import fsspec.asyn

from data_pipeline.files.file_error import FileError
from data_pipeline.files.object_path import NO_BUCKET, ObjectPath, object_errors
from data_pipeline.files.paths import store_url

_PRECONDITION_FAILED = (409, 412)  # S3 answers 409 while another conditional write is running


class ChangedError(Exception):
    """Raised if an object does not have the version that a write was to replace."""


@dataclasses.dataclass(frozen=True)
class Stored:
    """An object's content, version, and seconds since its last write by the store's clock."""

    content: bytes
    version: str
    age: float


def read_object(path: ObjectPath) -> Stored | None:
    """Returns the object; None if there is none. Raises FileError."""
    read = _read_gcs if store_url(path)[0] == "gs" else _read_s3
    try:
        with object_errors(path):
            return read(path)
    except FileNotFoundError:
        return None


def write_object(path: ObjectPath, content: bytes, *, replaces: str | None) -> str:
    """Writes the object if `replaces` is its version (None: if there is none); returns the new one.

    Raises ChangedError if it is another one, FileError.
    """
    write = _write_gcs if store_url(path)[0] == "gs" else _write_s3
    try:
        with object_errors(path):
            return write(path, content, replaces)
    except FileNotFoundError as error:
        if replaces is None:
            raise FileError(errno.ENOENT, NO_BUCKET, str(path)) from error
        raise ChangedError(str(path)) from error
    except ChangedError:
        now = read_object(path)
        if now is not None and now.content == content and now.version != replaces:
            return now.version
        raise


def _read_gcs(path: ObjectPath) -> Stored:
    url = path.fs.base + "b/{}/o/{}"
    _, bucket, name = store_url(path)
    while True:
        headers, found = path.fs.call("GET", url, bucket, name)
        meta = json.loads(found)
        try:
            _, content = path.fs.call(
                "GET", url, bucket, name, alt="media", generation=meta["generation"]
            )
        except FileNotFoundError:
            continue  # replaced in between
        written = datetime.datetime.fromisoformat(meta["updated"])
        return Stored(content, str(meta["generation"]), _age(headers, written))


def _write_gcs(path: ObjectPath, content: bytes, replaces: str | None) -> str:
    _, bucket, name = store_url(path)
    url = path.fs.base.replace("/storage/v1/", "/upload/storage/v1/") + "b/{}/o"
    try:
        written = path.fs.call(
            "POST",
            url,
            bucket,
            uploadType="media",
            name=name,
            ifGenerationMatch=replaces or "0",
            data=content,
            headers={"Content-Type": "application/octet-stream"},
            json_out=True,
        )
    except FileExistsError as error:  # how gcsfs names 412
        raise ChangedError(str(path)) from error
    return str(written["generation"])


def _read_s3(path: ObjectPath) -> Stored:
    found, content = fsspec.asyn.sync(path.fs.loop, _get_s3, path)
    headers = found["ResponseMetadata"]["HTTPHeaders"]
    return Stored(content, found["ETag"], _age(headers, found["LastModified"]))


async def _get_s3(path: ObjectPath) -> tuple[dict[str, Any], bytes]:
    _, bucket, name = store_url(path)
    found = await path.fs._call_s3("get_object", Bucket=bucket, Key=name)
    async with found["Body"] as body:
        return found, await body.read()


def _write_s3(path: ObjectPath, content: bytes, replaces: str | None) -> str:
    _, bucket, name = store_url(path)
    condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
    try:
        written = path.fs.call_s3("put_object", Bucket=bucket, Key=name, Body=content, **condition)
    except OSError as error:
        response = getattr(error.__cause__, "response", {})
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(error, FileExistsError) or status in _PRECONDITION_FAILED:
            raise ChangedError(str(path)) from error
        raise
    return written["ETag"]


def _age(headers: Any, written: datetime.datetime) -> float:
    """Returns the seconds between a write and an answer, both by the clock of the store."""
    lowered = {str(name).lower(): value for name, value in headers.items()}
    now = email.utils.parsedate_to_datetime(lowered["date"])
    return max((now - written).total_seconds(), 0.0)
