"""`truebeat incidents` and the table of witnesses in `truebeat show`, with texts that agents wrote."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from truebeat import errors
from truebeat.cli import incidents as incidents_command
from truebeat.cli import show as show_command
from truebeat.cli.exits import Exit
from truebeat.cli.main import dispatch
from truebeat.client.incidents import Incidents
from truebeat.domain.health import Status, Witness
from truebeat.protocol.incidents import IncidentDetail, IncidentPage, IncidentView, StepView
from truebeat.protocol.link import Counters
from truebeat.protocol.resources import WorkspaceView
from truebeat.protocol.testimony import CanaryView, EvidenceView, WitnessView

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = UUID("abcdef01-0000-4000-8000-000000000001")
NASTY = "[bold]x[/] \x1b[31mred\u202e\nnext"
EVIDENCE = EvidenceView(
    age=1.0, phase="in_tool", phase_age=3.0, unmoved=50.0, counters=Counters(turns_started=3, turns_finished=2),
    loop_lag=0.012, tick_age=0.2, process_state="T", canary=CanaryView(age=4.0, failures=2, detail=NASTY),
    stall="no evidence for 50 s", note=NASTY, capacity=0, holding=["task/1"],
)  # fmt: skip


def incident(**more):
    return {
        "id": ID, "workspace_id": uuid4(), "name": NASTY, "opened_at": NOW, "closed_at": None, "seconds": 4.2,
        "symptom": "wedged", "witness": "self", "detail": NASTY, "worst": Status.FAILED, "generation": 3,
        "recovery": "", **more,
    }  # fmt: skip


def detail(**more):
    step = StepView(at=NOW, after=0.0, kind="status", by="self", status=Status.DEGRADED, text=NASTY)
    report = StepView(
        at=NOW + timedelta(seconds=1), after=1.0, kind="exited", by="supervisor", status=None, text=NASTY,
        action="killed the tree", generation=3, facts={NASTY: NASTY},
    )  # fmt: skip
    told = {
        "timeline": [step, report], "evidence": EVIDENCE, "stack": f"Thread 1\n  File {NASTY}", "stderr_tail": NASTY,
        "left_out": 3,
    }  # fmt: skip
    return IncidentDetail(**incident() | told | more)


class Server:
    def __init__(self, known=(), one=None, workspace=None):
        page = IncidentPage(incidents=[IncidentView(**incident(**more)) for more in known], next="more")
        self.workspaces = SimpleNamespace(find=self.find, get=lambda _: workspace)
        self.incidents = SimpleNamespace(page=lambda **_: page, find=lambda text: one if text == "abcdef" else None)
        self._workspace = workspace

    def find(self, name):
        if self._workspace is None or name != self._workspace.name:
            raise errors.NotFound(f"no workspace is named {name!r}")
        return self._workspace


@pytest.fixture
def serve(monkeypatch):
    def serve(**more):
        server = Server(**more)

        @contextmanager
        def connect():
            yield server

        monkeypatch.setattr(incidents_command, "connect", connect)
        monkeypatch.setattr(show_command, "connect", connect)
        monkeypatch.setenv("COLUMNS", "200")

    return serve


def harmless(out):
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[bold]x[/]" in out
    return out


def test_a_list_says_what_is_open_and_how_the_rest_ended(serve, capsys):
    serve(known=[{}, {"closed_at": NOW, "recovery": "restart verified by generation 4"}])
    assert dispatch(["incidents"]) == Exit.OK
    out = harmless(capsys.readouterr().out)
    assert "still open" in out
    assert "restart verified by generation 4" in out
    assert "abcdef01" in out
    assert "--limit" in out


def test_none(serve, capsys):
    serve()
    assert dispatch(["incidents"]) == Exit.OK
    assert capsys.readouterr().out.startswith("No incident")


def test_one_from_its_symptom_to_its_end(serve, capsys):
    serve(one=detail(closed_at=NOW, recovery="recovered in place"))
    assert dispatch(["incidents", "abcdef"]) == Exit.OK
    out = harmless(capsys.readouterr().out)
    for part in (
        "wedged", "recovered in place", "killed the tree", "generation 3", "STACK", "Thread 1", "STANDARD ERROR",
        "and 3 more", "turns 2/3", "stopped", "2 in a row failed",
    ):  # fmt: skip
        assert part in out, part


def test_what_is_neither(serve, capsys):
    serve()
    assert dispatch(["incidents", "nobody"]) == Exit.NOT_FOUND
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("limit", ["0", "1001", "-3"])
def test_a_limit_out_of_bounds(serve, limit):
    serve()
    assert dispatch(["incidents", "--limit", limit]) == Exit.USAGE


def test_witnesses_in_a_table(serve, capsys):
    says = (
        ("healthy", True),
        ("stands still", False),
        ("beats come", True),
        ("no delivery yet", None),
        ("passed", True),
    )
    witnesses = [
        WitnessView(witness=witness, says=text, detail=NASTY, age=None if healthy is None else 2.0, healthy=healthy)
        for witness, (text, healthy) in zip(list(Witness)[:5], says, strict=True)
    ]
    view = WorkspaceView(
        id=uuid4(), name="ada", role=NASTY, parent_id=None, status=Status.ONLINE, conditions=[], generation=1,
        created_at=NOW, registered=False, linked=True, note=NASTY, witnesses=witnesses, evidence=EVIDENCE,
        incident_id=ID,
    )  # fmt: skip
    serve(workspace=view)
    assert dispatch(["show", "ada"]) == Exit.OK
    out = harmless(capsys.readouterr().out)
    rows = [line.split() for line in out.splitlines()]
    assert ["✓", "self", "healthy", "2.0", "s"] in [row[:5] for row in rows]
    assert ["✗", "evidence", "stands", "still"] in [row[:4] for row in rows]
    assert ["·", "sender", "no", "delivery", "yet", "-"] in [row[:6] for row in rows]
    assert "truebeat incidents abcdef01" in out


def test_an_incident_by_the_beginning_of_its_id():
    other = UUID("abcdef01-1111-4000-8000-000000000001")

    class Client:
        def call(self, kind, method, path, **_):
            if kind is IncidentPage:
                return IncidentPage(incidents=[IncidentView(**incident(id=one)) for one in (ID, other)])
            if path.endswith(str(ID)):
                return detail()
            raise errors.NotFound("no such incident")

    found = Incidents(Client())
    assert found.find(str(ID)).id == ID
    assert found.find("ABCDEF01-00").id == ID
    assert found.find(str(uuid4())) is None
    for text in ("abcde", "nobody", "abcdef02"):
        assert found.find(text) is None, text
    with pytest.raises(errors.Conflict):
        found.find("abcdef01")
