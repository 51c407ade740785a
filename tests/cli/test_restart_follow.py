"""`truebeat restart` tells each step and ends with what was verified."""

from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest

from truebeat import errors
from truebeat.cli import restart as command
from truebeat.cli.exits import Exit
from truebeat.cli.main import dispatch
from truebeat.domain.health import Status, Symptom, Witness
from truebeat.protocol.events import EventPage
from truebeat.protocol.resources import ConditionView, RestartReply, WorkspaceView

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def view(status=Status.ONLINE, generation=3, pid=100, phase="idle", **more):
    return WorkspaceView(
        id=uuid4(), name="ada", role="", parent_id=None, status=status, generation=generation, created_at=NOW,
        registered=False, linked=True, worker_pid=pid, phase=phase, conditions=more.pop("conditions", []), **more,
    )  # fmt: skip


def condition(symptom, detail, status=Status.DEGRADED):
    return ConditionView(symptom=symptom, witness=Witness.SELF, status=status, detail=detail, since=NOW)


class Server:
    """Answers with one view after another; the last one stays."""

    def __init__(self, *views, order=None):
        self.views = list(views)
        self.orders = 0
        self.workspaces = SimpleNamespace(find=lambda _: self.views[0], get=self.get, restart=self.restart)
        self.events = SimpleNamespace(page=lambda **_: EventPage(events=[], seq=0), stream=self.stream)
        self._order = order

    def get(self, _):
        return self.views.pop(0) if len(self.views) > 1 else self.views[0]

    def restart(self, _):
        self.orders += 1
        if self._order is not None:
            raise self._order
        return RestartReply(restart_id=uuid4(), status=Status.ONLINE)

    @contextmanager
    def stream(self, _):
        yield SimpleNamespace(next=lambda _: None)


@pytest.fixture
def serve(monkeypatch):
    def serve(*views, **more):
        server = Server(*views, **more)

        @contextmanager
        def connect():
            yield server

        monkeypatch.setattr(command, "connect", connect)
        return server

    return serve


def steps(out):
    return [line.split(" s  ", 1)[1] for line in out.splitlines()]


def test_each_step_once_and_in_order(serve, capsys):
    old = view()
    serve(
        old,
        old,
        view(Status.PROVISIONING, phase="restarting", pid=None),
        view(Status.PROVISIONING, phase="restarting", pid=None),
        view(Status.PROVISIONING, 4, 101, "starting"),
        view(Status.ONLINE, 4, 101),
    )
    assert dispatch(["restart", "ada"]) == Exit.OK
    assert steps(capsys.readouterr().out) == [
        "restart of ada ordered: generation 3 is to be replaced",
        "the old worker (process 100) has ended",
        "generation 4 is starting",
        "its canary passed: ● online, generation 4",
    ]


def test_steps_that_no_look_caught_are_told_nevertheless(serve, capsys):
    serve(view(), view(Status.ONLINE, 4, 101))
    assert dispatch(["restart", "ada"]) == Exit.OK
    assert len(steps(capsys.readouterr().out)) == 4


def test_online_again_without_a_new_generation_is_not_verified(serve, capsys):
    serve(view(Status.PROVISIONING), view(Status.ONLINE))
    assert dispatch(["restart", "ada", "--wait", "0.05"]) == Exit.FAILURE
    told = capsys.readouterr()
    assert "not verified: it is online 0 s after the order" in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (
            view(Status.FAILED, 8, conditions=[condition(Symptom.QUARANTINED, "5 restarts", Status.FAILED)]),
            "5 restarts",
        ),
        (view(Status.REMOVED, conditions=[condition(Symptom.REMOVED, "x", Status.REMOVED)]), "it was removed"),
    ],
)
def test_what_will_not_be_verified_any_more_is_not_waited_for(serve, capsys, last, why):
    serve(view(), last)
    assert dispatch(["restart", "ada", "--wait", "1000"]) == Exit.FAILURE
    assert why in capsys.readouterr().err


def test_trouble_on_the_way_is_told_and_followed_further(serve, capsys):
    wedged = [condition(Symptom.WEDGED, "\x1b[31mno answer [bold]x")]
    serve(
        view(),
        view(Status.DEGRADED, 4, conditions=wedged),
        view(Status.DEGRADED, 4, conditions=wedged),
        view(Status.ONLINE, 5),
    )
    assert dispatch(["restart", "ada"]) == Exit.OK
    out = capsys.readouterr().out
    assert out.count("no answer [bold]x") == 1
    assert "\x1b" not in out
    assert "online, generation 5" in out


def test_a_second_order_is_refused_and_nothing_is_followed(serve, capsys):
    serve(view(), order=errors.Conflict("a restart is already pending; wait for the new generation"))
    assert dispatch(["restart", "ada"]) == Exit.CONFLICT
    assert capsys.readouterr().out == ""


def test_json_orders_only_unless_told_to_wait(serve, capsys):
    serve(view())
    assert dispatch(["restart", "ada", "--json"]) == Exit.OK
    assert "restart_id" in capsys.readouterr().out
    serve(view(), view(Status.ONLINE, 4))
    assert dispatch(["restart", "ada", "--json", "--wait", "5"]) == Exit.OK
    assert '"generation":4' in capsys.readouterr().out
