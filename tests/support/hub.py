"""A hub of models on this machine: as much of its protocol as pushing a folder and downloading one takes."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit


class Hub(ThreadingHTTPServer):
    """Its repositories have one branch, and know its newest commit."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.url = f"http://127.0.0.1:{self.server_port}"

    def sha(self, repo: str) -> str:
        return sha1(repr(sorted(self.repos[repo].items())).encode()).hexdigest()


class Answers(BaseHTTPRequestHandler):
    """Answers one client."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self.way():
            case ["api", "repos", "create"]:
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}"
                new = name not in self.server.repos
                self.server.repos.setdefault(name, {})
                self.say({"url": f"{self.server.url}/{name}"}, 200 if new else 409)
            case ["api", "models", user, model, "preupload", _]:
                files = [
                    {"path": each["path"], "uploadMode": "regular"} for each in json.loads(body)["files"]
                ]
                self.say({"files": [{**each, "shouldIgnore": False} for each in files]})
            case ["api", "models", user, model, "commit", _]:
                self.commit(f"{user}/{model}", map(json.loads, body.splitlines()))
            case _:
                self.say({}, 404)

    def commit(self, repo: str, lines: Iterator[dict[str, Any]]) -> None:
        files = self.server.repos[repo]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = self.server.sha(repo)
        self.say({"commitOid": sha, "commitUrl": f"{self.server.url}/{repo}/commit/{sha}"})

    def do_GET(self) -> None:
        match self.way():
            case ["api", "models", user, model, "tree", *_]:
                files = self.server.repos[f"{user}/{model}"]
                self.say(
                    [
                        {"type": "file", "path": name, "size": len(each), "oid": etag(each)}
                        for name, each in files.items()
                    ]
                )
            case ["api", "models", user, model, *_] if f"{user}/{model}" in self.server.repos:
                repo = f"{user}/{model}"
                names = [{"rfilename": name} for name in self.server.repos[repo]]
                self.say({"id": repo, "sha": self.server.sha(repo), "siblings": names})
            case [user, model, "resolve", _, *path] if f"{user}/{model}" in self.server.repos:
                repo = f"{user}/{model}"
                found = self.server.repos[repo]["/".join(path)]
                self.answer(found, {"ETag": f'"{etag(found)}"', "X-Repo-Commit": self.server.sha(repo)})
            case _:
                self.send_error_code("RepoNotFound")

    do_HEAD = do_GET

    def way(self) -> list[str]:
        return urlsplit(self.path).path.strip("/").split("/")

    def send_error_code(self, code: str) -> None:
        self.answer(b"{}", {"X-Error-Code": code}, 404)

    def say(self, data: Any, status: int = 200) -> None:
        self.answer(json.dumps(data).encode(), {"Content-Type": "application/json"}, status)

    def answer(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def etag(content: bytes) -> str:
    return sha1(content).hexdigest()


@contextmanager
def hub() -> Iterator[Hub]:
    """One that runs."""
    made = Hub()
    thread = Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join()
