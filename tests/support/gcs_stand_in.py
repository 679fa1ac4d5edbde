"""A stand-in for Google Cloud Storage: the part of its JSON API that clients of this project use.

Keeps buckets and objects in memory, with generations, metagenerations and preconditions, ranged
and conditional reads, listing by prefix, delimiter and page, media, multipart and resumable
uploads, copies. The API: https://cloud.google.com/storage/docs/json_api/v1/objects. An object is
visible once its upload is complete, as there.

A WSGI application; `object_stores` serves it.
"""

import base64
import datetime
import hashlib
import itertools
import json
import re
import threading
import urllib.parse
import uuid
from typing import Any

import google_crc32c
from werkzeug.wrappers import Request, Response

_OBJECT = re.compile(r"/(?:download/)?storage/v1/b/([^/]+)/o/([^/]+)")
_LIST = re.compile(r"/storage/v1/b/([^/]+)/o")
_BUCKET = re.compile(r"/storage/v1/b/([^/]+)")
_COPY = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/(?:rewriteTo|copyTo)/b/([^/]+)/o/([^/]+)")
_UPLOAD = re.compile(r"/upload/storage/v1/b/([^/]+)/o")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_NO_OBJECT = "0"  # the generation of an object that does not exist


class Refused(Exception):
    """An answer of the API that is no success."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class GcsStandIn:
    """The store; a WSGI application. `buckets` maps names to objects by name."""

    def __init__(self):
        self.buckets: dict[str, dict[str, dict[str, Any]]] = {}
        self._uploads: dict[str, dict[str, Any]] = {}
        self._generations = itertools.count(1_700_000_000_000_001)
        self._lock = threading.Lock()

    def __call__(self, environ, start_response):
        request = Request(environ)
        # The path as it was sent: names of objects contain %2F.
        raw = environ.get("RAW_URI") or environ["REQUEST_URI"]
        path = urllib.parse.urlsplit(raw).path
        try:
            with self._lock:
                response = self._answer(request, path)
        except Refused as refused:
            error = {"code": refused.status, "message": str(refused)}
            response = _json({"error": error}, refused.status)
            if refused.status == 304:
                response = Response(status=304)
        return response(environ, start_response)

    def _answer(self, request: Request, path: str) -> Response:
        for pattern, answer in (
            (_COPY, self._copy),
            (_OBJECT, self._object),
            (_UPLOAD, self._upload),
            (_LIST, self._list),
            (_BUCKET, self._bucket),
        ):
            found = pattern.fullmatch(path)
            if found:
                return answer(request, *map(urllib.parse.unquote, found.groups()))
        if path == "/storage/v1/b" and request.method == "POST":
            self.buckets.setdefault(request.get_json()["name"], {})
            return _json({"kind": "storage#bucket", "name": request.get_json()["name"]})
        raise Refused(404, f"{request.method} {path}: not in this stand-in")

    def _bucket(self, request: Request, bucket: str) -> Response:
        self._objects(bucket)
        return _json({"kind": "storage#bucket", "name": bucket, "id": bucket})

    def _objects(self, bucket: str) -> dict[str, dict[str, Any]]:
        if bucket not in self.buckets:
            raise Refused(404, "The specified bucket does not exist.")
        return self.buckets[bucket]

    def _object(self, request: Request, bucket: str, name: str) -> Response:
        objects = self._objects(bucket)
        found = objects.get(name)
        wanted = request.args.get("generation")
        if found is None or wanted not in (None, found["generation"]):
            raise Refused(404, f"No such object: {bucket}/{name}")
        _check_generation(request, found)
        if request.method == "DELETE":
            del objects[name]
            return Response(status=204)
        if request.method != "GET":
            raise Refused(405, request.method)
        if request.args.get("alt") == "media":
            return _media(request, found)
        return _json(_resource(found))

    def _list(self, request: Request, bucket: str) -> Response:
        arguments = request.args
        prefix, delimiter = arguments.get("prefix", ""), arguments.get("delimiter")
        items, prefixes = {}, set()
        for name, found in sorted(self._objects(bucket).items()):
            is_inside = name >= arguments.get("startOffset", "") and (
                not arguments.get("endOffset") or name < arguments["endOffset"]
            )
            if not name.startswith(prefix) or not is_inside:
                continue
            folder, cut, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if cut:
                prefixes.add(prefix + folder + delimiter)
            else:
                items[name] = _resource(found)
        names = sorted([*items, *prefixes])
        names = [name for name in names if name > arguments.get("pageToken", "")]
        page = names[: int(arguments.get("maxResults", 1000))]
        answer: dict[str, Any] = {"kind": "storage#objects"}
        answer["items"] = [items[name] for name in page if name in items]
        answer["prefixes"] = [name for name in page if name in prefixes]
        if len(page) < len(names):
            answer["nextPageToken"] = page[-1]
        return _json(answer)

    def _copy(self, request: Request, bucket: str, name: str, to: str, new: str) -> Response:
        found = self._objects(bucket).get(name)
        if found is None:
            raise Refused(404, f"No such object: {bucket}/{name}")
        resource = _resource(self._store(request, to, new, found["content"], {}))
        return _json({"kind": "storage#rewriteResponse", "done": True, "resource": resource})

    def _upload(self, request: Request, bucket: str) -> Response:
        if "upload_id" in request.args:
            return self._continue(request, bucket, self._uploads[request.args["upload_id"]])
        self._objects(bucket)
        how = request.args.get("uploadType")
        if how == "resumable":
            described = request.get_json(silent=True) or {}
            name = request.args.get("name") or described["name"]
            identity = uuid.uuid4().hex
            self._uploads[identity] = {"name": name, "content": b"", "described": described}
            arguments = {**request.args.to_dict(), "upload_id": identity}
            response = Response(status=200)
            address = request.base_url + "?" + urllib.parse.urlencode(arguments)
            response.headers["Location"] = address
            return response
        if how == "multipart":
            described, content = _split_multipart(request)
            name = request.args.get("name") or described["name"]
        else:
            name, described, content = request.args["name"], {}, request.get_data()
        return _json(_resource(self._store(request, bucket, name, content, described)))

    def _continue(self, request: Request, bucket: str, upload: dict[str, Any]) -> Response:
        """Takes one part of a resumable upload: 308 until the last byte is there."""
        if "done" in upload:
            return _json(_resource(upload["done"]))
        span = _CONTENT_RANGE.fullmatch(request.headers.get("Content-Range", ""))
        content, total = request.get_data(), None
        if span is None:
            upload["content"], total = content, len(content)
        else:
            if span[1] is not None:
                if int(span[1]) > len(upload["content"]):
                    raise Refused(503, "a part before this one is missing")
                upload["content"] = upload["content"][: int(span[1])] + content
            total = None if span[3] == "*" else int(span[3])
        if total is None or len(upload["content"]) < total:
            response = Response(status=308)
            if upload["content"]:
                response.headers["Range"] = f"bytes=0-{len(upload['content']) - 1}"
            return response
        stored = self._store(
            request, bucket, upload["name"], upload["content"], upload["described"]
        )
        upload["done"] = stored
        return _json(_resource(stored))

    def _store(
        self, request: Request, bucket: str, name: str, content: bytes, described: dict[str, Any]
    ) -> dict[str, Any]:
        objects = self._objects(bucket)
        before = objects.get(name)
        _check_generation(request, before)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        objects[name] = {
            "bucket": bucket,
            "name": name,
            "address": request.host_url,
            "content": content,
            "generation": str(next(self._generations)),
            "updated": now.replace("+00:00", "Z"),
            "metadata": described.get("metadata", {}),
            "contentType": described.get("contentType", "application/octet-stream"),
        }
        return objects[name]


def _check_generation(request: Request, found: dict[str, Any] | None) -> None:
    """Raises Refused if a precondition of the request does not hold."""
    generation = _NO_OBJECT if found is None else found["generation"]
    must = request.args.get("ifGenerationMatch")
    if must not in (None, generation):
        raise Refused(412, "At least one of the pre-conditions you specified did not hold.")
    if request.args.get("ifGenerationNotMatch") == generation:
        status = 304 if request.method == "GET" else 412
        raise Refused(status, "At least one of the pre-conditions you specified did not hold.")


def _media(request: Request, found: dict[str, Any]) -> Response:
    content, status = found["content"], 200
    span = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
    headers = {
        "X-Goog-Generation": found["generation"],
        "X-Goog-Metageneration": "1",
        "X-Goog-Hash": f"crc32c={_crc32c(content)},md5={_md5(content)}",
        "X-Goog-Stored-Content-Length": str(len(content)),
        "Content-Type": found["contentType"],
    }
    if span:
        first = int(span[1]) if span[1] else max(len(content) - int(span[2]), 0)
        last = min(int(span[2]) if span[1] and span[2] else len(content) - 1, len(content) - 1)
        if first >= len(content):
            response = Response(status=416)
            response.headers["Content-Range"] = f"bytes */{len(content)}"
            return response
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        content, status = content[first : last + 1], 206
    return Response(content, status, headers)


def _resource(found: dict[str, Any]) -> dict[str, Any]:
    name, bucket = found["name"], found["bucket"]
    place = f"b/{bucket}/o/{urllib.parse.quote(name, safe='')}"
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{found['generation']}",
        "name": name,
        "bucket": bucket,
        "generation": found["generation"],
        "metageneration": "1",
        "contentType": found["contentType"],
        "storageClass": "STANDARD",
        "size": str(len(found["content"])),
        "md5Hash": _md5(found["content"]),
        "crc32c": _crc32c(found["content"]),
        "etag": found["generation"],
        "timeCreated": found["updated"],
        "updated": found["updated"],
        "selfLink": f"{found['address']}storage/v1/{place}",
        "mediaLink": f"{found['address']}download/storage/v1/{place}?alt=media",
        "metadata": found["metadata"],
    }


def _split_multipart(request: Request) -> tuple[dict[str, Any], bytes]:
    """Returns (description, content) of a multipart/related body."""
    boundary = re.search(r'boundary="?([^";]+)', request.headers["Content-Type"])[1]
    body = request.get_data()
    _, first, rest = body.split(b"--" + boundary.encode(), 2)
    content = rest[: rest.rindex(b"--" + boundary.encode() + b"--")]
    described = json.loads(_after_headers(first))
    content = _after_headers(content)
    return described, content[:-2] if content.endswith(b"\r\n") else content.removesuffix(b"\n")


def _after_headers(part: bytes) -> bytes:
    return re.split(rb"\r?\n\r?\n", part, maxsplit=1)[1]


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def _crc32c(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json; charset=UTF-8")
