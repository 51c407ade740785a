"""`truebeat demo`: an agent wedges for real in the middle of work for another; it shows, and the work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from truebeat.cli.exits import Exit
from truebeat.cli.output import complain, console, print_json

if TYPE_CHECKING:
    from truebeat.cli.stage import Stage
    from truebeat.cli.story import Story, Times
    from truebeat.client.http import Client

#: seconds that the agents may take to come up
ONLINE_LIMIT: Final = 60.0


def demo(
    *,
    keep: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Watch a lie being caught and work survive it, with measured times.

    Takes about 15 seconds, needs no key and no network, and leaves nothing behind.

    Parameters
    ----------
    keep
        Leave it running at the end, until Ctrl-C, to look around; with a link to its page.
    json
        The measured times as JSON.
    """
    from truebeat.cli.stage import Interrupted, Stage
    from truebeat.cli.story import Story

    stage = Stage()
    story = Story(None if json else console())
    code = Exit.OK
    try:
        stage.open()
        times = _tell(stage, story, keep=keep)
        if json:
            print_json(times)
        if keep:
            stage.until(lambda: False, float("inf"), "")
    except Interrupted:
        code = Exit.INTERRUPTED
    finally:
        try:
            story.stopping()
        finally:
            swept = stage.close()
    if swept:
        complain(f"had to kill what did not end by itself: {', '.join(swept)}")
    story.say("[dim]Everything is stopped and the scratch directory is gone.[/]")
    if code is Exit.OK:
        story.next()
    return code


def _tell(stage: Stage, story: Story, *, keep: bool) -> Times:
    from truebeat.cli.canvas import login_address
    from truebeat.cli.scene import play
    from truebeat.cli.stage import AGENTS
    from truebeat.cli.story import Times
    from truebeat.client.credentials import FixedToken
    from truebeat.client.http import Client
    from truebeat.kit.subscriber import Subscriber

    begin = stage.clock.monotonic()
    story.intro(len(AGENTS))
    left = stage.start()
    server_up = stage.clock.monotonic() - begin
    story.server_up(server_up)
    with Client(left.url, FixedToken(left.token)) as client:
        if keep:
            story.page(login_address(left.url, left.token))
        fleet_online = stage.until(lambda: _all_online(client), ONLINE_LIMIT, "the agents were not online")
        story.online(AGENTS, fleet_online)
        with Subscriber(client) as subscriber:
            scene = play(stage, story, client, subscriber)
        story.tree(client.delegations.trace(scene.task_id))
    times = Times(
        workspace=scene.victim.name,
        agents=len(AGENTS),
        server_up=server_up,
        fleet_online=fleet_online,
        beats_unmoved=scene.beats,
        degraded_seen=scene.times["degraded"],
        reason=scene.reason,
        asker_told=scene.asker_told,
        asker_said=scene.asker_said,
        other_done=scene.times.get("other", 0.0),
        restarted=scene.times.get("restarted", 0.0),
        online_again=scene.times["online"],
        attempts=scene.attempts,
        delegation_ended=scene.times["ended"],
        result_used=scene.times["used"],
        answer=scene.answer,
        generation_before=scene.victim.generation,
        generation_after=scene.generation,
        total=stage.clock.monotonic() - begin,
    )
    story.ending(times)
    if keep:
        page = login_address(left.url, left.token, f"?workspace={scene.lead.id}&tab=tasks&detail={scene.task_id}")
        story.kept(str(stage.directory), page, AGENTS)
    return times


def _all_online(client: Client) -> bool:
    """Online, and the runtime that is to be stopped is there."""
    from truebeat.cli.stage import AGENTS, VICTIM, runtime_under
    from truebeat.domain.health import Status

    views = {view.name: view for view in client.workspaces.snapshot().workspaces}
    return (
        views.keys() == set(AGENTS)
        and all(view.status is Status.ONLINE and view.runtime_state == "" for view in views.values())
        and runtime_under(views[VICTIM].worker_pid or 0) is not None
    )
