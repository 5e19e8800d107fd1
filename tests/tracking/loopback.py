"""A W&B server on the loopback device: what the SDK needs to log runs and to read them back.

It can also misbehave: be failing (answer every request with an error) or hanging (never answer),
from the start or from a GET of ``/be/failing`` or ``/be/hanging`` on.
"""

import base64
import gzip
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = "me"
NOW = "2026-01-01T00:00:00Z"


@dataclass
class Run:
    """One run as the server knows it."""

    project: str
    name: str
    display_name: str = ""
    group: str | None = None
    job_type: str | None = None
    entity: str | None = None
    sweep: str | None = None
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    state: str = "running"

    def values(self) -> dict[str, Any]:
        return {key: item["value"] for key, item in self.config.items() if key != "_wandb"}

    def points(self, metric: str) -> list[tuple[int, float]]:
        return [(row["_step"], row[metric]) for row in self.history if metric in row]

    def node(self) -> dict[str, Any]:
        """Return every field that some query of the SDK asks for."""
        identity = base64.b64encode(f"Run:v1:{self.name}:{self.project}:{ENTITY}".encode()).decode()
        return dict(
            id=identity,
            internalId="1",
            projectId="1",
            name=self.name,
            displayName=self.display_name,
            sweepName=None,
            state=self.state,
            tags=self.tags,
            group=self.group,
            jobType=self.job_type,
            config=json.dumps(self.config),
            wandbConfig=json.dumps({"t": {}}),
            summaryMetrics=json.dumps(self.summary),
            systemMetrics="{}",
            historyLineCount=len(self.history),
            historyTail=json.dumps([json.dumps(row) for row in self.history[-1:]]),
            historyKeys=None,
            eventsLineCount=0,
            eventsTail="[]",
            logLineCount=0,
            fileCount=len(self.files),
            commit=None,
            readOnly=False,
            notes=None,
            description=None,
            createdAt=NOW,
            heartbeatAt=NOW,
            user={"name": ENTITY, "username": ENTITY},
            project={"id": "1", "name": self.project, "entity": {"id": "1", "name": ENTITY}},
        )


class Loopback(ThreadingHTTPServer):
    """The server; ``with`` it, point WANDB_BASE_URL at ``url``, look at ``runs`` afterwards."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.runs: dict[str, Run] = {}
        self.requests: list[str] = []  # every path that was asked for
        self.unknown: list[str] = []  # operations that it has no answer to
        self.failing = False
        self.hanging = False
        self.released = threading.Event()
        self.lock = threading.RLock()

    def __enter__(self) -> "Loopback":
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error here."""

    def query(self, text: str, variables: dict[str, Any]) -> dict[str, Any] | None:
        """Answer a GraphQL request; None if it is not understood."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", text)
        operation = found[1] if found else text
        with self.lock:
            answer = getattr(self, f"on_{operation}", None)
            if answer:
                return answer(variables)
            self.unknown.append(operation)
            return None

    def on_Viewer(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        viewer = dict(id="1", entity=ENTITY, username=ENTITY, email="me@example.com", flags="{}")
        return {"viewer": viewer | {"admin": False, "teams": {"edges": []}}}

    on_GetDefaultEntity = on_Viewer  # noqa: N815

    def on_OrganizationCoreWeaveOrganizationID(self, variables):  # noqa: N802
        return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}

    def on_RunResumeStatus(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        run = self.runs.get(variables["name"])
        model = {"id": "1", "name": variables["project"], "entity": {"id": "1", "name": ENTITY}}
        return {"model": model | {"bucket": run.node() if run else None}}

    def on_UpsertBucket(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = variables.get("name")
        if variables.get("id"):
            name = base64.b64decode(variables["id"]).decode().split(":")[2]
        inserted = name not in self.runs
        made = Run(variables.get("project") or "", name, entity=variables.get("entity"))
        run = self.runs.setdefault(name, made)
        run.state = variables.get("state") or "running"
        fields = dict(displayName="display_name", groupName="group", jobType="job_type")
        for key, attribute in (fields | dict(tags="tags", sweep="sweep")).items():
            if variables.get(key) is not None:
                setattr(run, attribute, variables[key])
        run.config |= json.loads(variables.get("config") or "{}")
        run.summary |= json.loads(variables.get("summaryMetrics") or "{}")
        return {"upsertBucket": {"bucket": run.node(), "inserted": inserted}}

    def on_CreateRunFiles(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        base = f"{self.url}/upload/{variables['run']}/"
        files = [{"name": name, "uploadUrl": base + name} for name in variables["files"]]
        return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}

    def on_Runs(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        wanted = json.loads(variables.get("filters") or "{}")
        if set(wanted) - {"config.name"}:
            raise NotImplementedError(f"filter {wanted}")
        project = variables["project"]
        if variables["entity"] != ENTITY or all(r.project != project for r in self.runs.values()):
            return {"project": None}
        runs = [run for run in self.runs.values() if run.project == project]
        if wanted:
            runs = [run for run in runs if run.values().get("name") == wanted["config.name"]]
        start = int(variables.get("cursor") or 0)
        end = start + (variables.get("perPage") or 50)
        edges = [{"node": run.node(), "cursor": str(end)} for run in runs[start:end]]
        page = {"endCursor": str(end), "hasNextPage": end < len(runs)}
        listing = {"edges": edges, "pageInfo": page}
        return {
            "project": dict(internalId="1", readOnly=False, runCount=len(runs), runs=listing),
        }

    def stream(self, name: str, body: dict[str, Any]) -> None:
        """Take lines of a run's history and summary, each at its offset, and its end."""
        with self.lock:
            run = self.runs[name]
            for file, part in (body.get("files") or {}).items():
                rows = [json.loads(line) for line in part["content"]]
                if file == "wandb-history.jsonl":
                    run.history[part["offset"] :] = rows
                elif file == "wandb-summary.json":
                    run.summary = rows[-1]
            if body.get("complete"):
                run.state = "finished" if body.get("exitcode", 0) == 0 else "failed"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Loopback

    def log_message(self, *arguments: object) -> None:
        """Keep the terminal quiet."""

    def answer(self) -> None:
        self.server.requests.append(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path in ("/be/failing", "/be/hanging"):
            setattr(self.server, self.path[4:], True)
            return self.reply({})
        if self.server.hanging:
            self.server.released.wait()
        if self.server.failing:
            self.reply({"error": "out of order"}, 500)
        elif self.path.startswith("/graphql"):
            request = json.loads(body)
            data = self.server.query(request["query"], request.get("variables") or {})
            self.reply({"data": data} if data else {"errors": [{"message": "unsupported"}]})
        elif found := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
            self.server.stream(found[1], json.loads(body or b"{}"))
            self.reply({"limits": {}})
        elif found := re.fullmatch(r"/upload/([^/]+)/(.+)", self.path):
            self.server.runs[found[1]].files[found[2]] = body
            self.reply({})
        else:
            self.reply({}, 404)

    do_GET = do_POST = do_PUT = answer

    def reply(self, content: dict[str, Any], code: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
