"""Serves a local hub: the part of the Hugging Face Hub's HTTP API that uploads and downloads use.

Keeps files in memory. Large files use git-LFS's basic transfer.

API: https://huggingface.co/docs/hub/api and the requests that huggingface_hub makes.
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

MODEL = r"/api/models/(?P<repo>[^/]+/[^/]+)"


class Hub:
    """`repos`: id → {"private", "branches": {name: {file: bytes}}}; `uploads` lists the received
    LFS objects; the hub refuses uploads beyond `fail_after`."""

    def __init__(self):
        self.repos, self.objects = {}, {}
        self.uploads, self.tokens, self.downloads = [], set(), []
        self.fail_after, self._lock = None, threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def files(self, repo: str, branch: str = "main") -> dict[str, bytes]:
        return self.repos[repo]["branches"][branch]

    def create_repo(self, body: dict) -> tuple[int, object]:
        repo = (
            f"{body['organization']}/{body['name']}" if body.get("organization") else body["name"]
        )
        if repo in self.repos:
            return 409, {"error": "exists", "url": f"{self.endpoint}/{repo}"}
        private = body.get("private", body.get("visibility") == "private")
        self.repos[repo] = {"private": private, "branches": {"main": {}}}
        return 200, {"url": f"{self.endpoint}/{repo}", "name": repo, "id": repo}

    def create_branch(self, repo: str, branch: str) -> tuple[int, object]:
        branches = self.repos[repo]["branches"]
        if branch in branches:
            return 409, {"error": "exists"}
        branches[branch] = dict(branches["main"])
        return 200, {}

    def preupload(self, body: dict) -> tuple[int, object]:
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in body["files"]
        ]
        return 200, {"files": modes}

    def lfs_batch(self, body: dict) -> tuple[int, object]:
        objects = []
        for item in body["objects"]:
            known = item["oid"] in self.objects
            upload = {"upload": {"href": f"{self.endpoint}/lfs/{item['oid']}", "header": {}}}
            objects.append(item | ({} if known else {"actions": upload}))
        return 200, {"transfer": "basic", "objects": objects}

    def put(self, oid: str, data: bytes) -> tuple[int, object]:
        assert hashlib.sha256(data).hexdigest() == oid
        with self._lock:
            if self.fail_after is not None and len(self.uploads) >= self.fail_after:
                return 403, {"error": "quota of the stand-in"}
            self.objects[oid] = data
            self.uploads.append(oid)
        return 200, {}

    def commit(self, repo: str, branch: str, lines: list[dict]) -> tuple[int, object]:
        files = self.files(repo, branch)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.objects[value["oid"]]
        sha = self.sha(repo, branch)
        return 200, {
            "success": True,
            "commitOid": sha,
            "commitUrl": f"{self.endpoint}/{repo}/commit/{sha}",
            "hookOutput": "",
        }

    def sha(self, repo: str, branch: str) -> str:
        state = sorted(
            (k, hashlib.sha1(v).hexdigest()) for k, v in self.files(repo, branch).items()
        )
        return hashlib.sha1(json.dumps(state).encode()).hexdigest()

    def branch_of(self, repo: str, revision: str) -> str | None:
        for branch in self.repos[repo]["branches"]:
            if revision in (branch, self.sha(repo, branch)):
                return branch
        return None


def _handler(hub: Hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def _answer(self, status, body, headers=None):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def _body(self) -> bytes:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                data = b""
                while size := int(self.rfile.readline(), 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return data
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def do_POST(self):
            path, body = unquote(urlsplit(self.path).path), self._body()
            hub.tokens.add(self.headers.get("Authorization"))
            if path == "/api/repos/create":
                return self._answer(*hub.create_repo(json.loads(body)))
            if path == "/api/validate-yaml":
                return self._answer(200, {"errors": [], "warnings": []})
            if match := re.fullmatch(MODEL + "/branch/(?P<branch>.+)", path):
                return self._answer(*hub.create_branch(match["repo"], match["branch"]))
            if re.fullmatch(MODEL + "/preupload/.+", path):
                return self._answer(*hub.preupload(json.loads(body)))
            if path.endswith(".git/info/lfs/objects/batch"):
                return self._answer(*hub.lfs_batch(json.loads(body)))
            if match := re.fullmatch(MODEL + "/commit/(?P<branch>.+)", path):
                lines = [json.loads(line) for line in body.splitlines()]
                return self._answer(*hub.commit(match["repo"], match["branch"], lines))
            return self._answer(404, {"error": path})

        def do_PUT(self):
            self._answer(*hub.put(self.path.rsplit("/", 1)[1], self._body()))

        def do_GET(self):
            path = unquote(urlsplit(self.path).path)
            match = re.fullmatch(MODEL + "(/(?P<kind>revision|tree)/(?P<revision>.+))?", path)
            match = match or re.fullmatch(
                "/(?P<repo>[^/]+/[^/]+)/(?P<kind>resolve)/(?P<revision>[^/]+)/(?P<file>.+)", path
            )
            if not match or match["repo"] not in hub.repos:
                return self._answer(404, {"error": "?"}, {"X-Error-Code": "RepoNotFound"})
            repo = match["repo"]
            branch = hub.branch_of(repo, match["revision"] or "main")
            if branch is None:
                return self._answer(404, {"error": "?"}, {"X-Error-Code": "RevisionNotFound"})
            files, sha = hub.files(repo, branch), hub.sha(repo, branch)
            if match["kind"] == "tree":
                rows = [
                    {"type": "file", "path": n, "size": len(d), "oid": hashlib.sha1(d).hexdigest()}
                    for n, d in files.items()
                ]
                return self._answer(200, rows)
            if match["kind"] == "resolve":
                data = files[match["file"]]
                if self.command == "GET":
                    hub.downloads.append(match["file"])
                etag = f'"{hashlib.sha1(data).hexdigest()}"'
                return self._answer(200, data, {"ETag": etag, "X-Repo-Commit": sha})
            siblings = [{"rfilename": name} for name in files]
            return self._answer(200, {"id": repo, "sha": sha, "siblings": siblings})

        do_HEAD = do_GET

    return Handler
