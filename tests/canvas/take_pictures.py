"""Takes the pictures of the docs from the page as it is: `uv run python tests/canvas/take_pictures.py [DIRECTORY]`.

Real agents in three teams, one of them with a runtime that is stopped; nothing is drawn. By default into docs/images.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil
from page_stand import AGENT, Stand, Visitor, until
from playwright.sync_api import expect, sync_playwright

PLACE = Path(__file__).parents[2] / "docs" / "images"
SIZE = {"width": 1280, "height": 760}
#: team, its members' (name, role); the first leads, and is a real agent
TEAMS = (
    (("ada", "lead of research"), ("grace", "reads papers"), ("mary", "librarian"), ("emmy", "proofs")),
    (("linus", "lead of engineering"), ("ken", "compilers"), ("dennis", "systems"), ("barbara", "types")),
    (("hedy", "lead of writing"), ("jane", "drafts"), ("toni", "edits")),
)
REAL = ("ada", "grace", "linus", "hedy")
DOING = {
    "mary": "collecting sources on gossip protocols",
    "emmy": "checking lemma 4",
    "ken": "bisecting the regression of last night",
    "barbara": "reviewing the parser",
    "jane": "chapter 2: what a heartbeat proves",
}


def member(name: str, role: str, parent: str) -> str:
    lines = [
        "[[workspace]]",
        f'name = "{name}"',
        f'role = "{role}"',
        f'parent = "{parent}"' if parent else "",
        'agent = "command"',
        f'target = ["{sys.executable}", "{AGENT}", "{name}"]',
        'options = { mode = "ndjson", probe_interval = 0.5, probe_timeout = 0.7 }',
    ]
    return "\n".join(lines) + "\n"


class Fleet(Stand):
    """The real ones; the others of each team only beat."""

    def members(self) -> str:
        return "".join(
            member(name, role, "" if name == team[0][0] else team[0][0])
            for team in TEAMS
            for name, role in team
            if name in REAL
        )


def people(fleet: Fleet, made: ExitStack) -> dict[str, object]:
    beaters = {}
    for team in TEAMS:
        lead = fleet.id_of(team[0][0])
        for name, role in team:
            if name not in REAL:
                one = beaters[name] = made.enter_context(fleet.beater(name, role=role, parent_id=lead))
                one.beat(current_task=DOING.get(name, ""), active_tasks=int(name in DOING))
    return beaters


def stop_runtimes(fleet: Fleet, name: str) -> None:
    """Also those that it is given in place of the first, so that there is time for a picture."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[-2:] == [str(AGENT), name] and process.environ().get("TMPDIR") == str(fleet.place):
                process.send_signal(signal.SIGSTOP)


def take(visitor: Visitor, place: Path, name: str) -> None:
    session = visitor.context.new_cdp_session(visitor.page)
    found = session.send("Page.captureScreenshot", {"format": "webp", "quality": 80})
    (place / f"{name}.webp").write_bytes(base64.b64decode(found["data"]))
    session.detach()
    print(f"{name}.webp: {(place / name).with_suffix('.webp').stat().st_size // 1024} KB")


def tell_the_story(browser, fleet: Fleet, place: Path) -> None:
    grace, ada, linus = (fleet.id_of(name) for name in ("grace", "ada", "linus"))
    with ExitStack() as made:
        beaters = people(fleet, made)
        visitor = made.enter_context(Visitor(browser, fleet, viewport=SIZE))
        page = visitor.page
        beaters["ken"].wedge("the compiler's language server does not answer since the last edit")
        fleet.call("POST", f"/workspaces/{beaters['toni'].id}/notify", {"message": "draft 3 is ready to read"})
        listing = fleet.delegate(ada, grace, "wait until the list is complete")
        fleet.delegate(linus, beaters["barbara"].id, "Which types does the new parser need?")
        until(lambda: fleet.view(grace)["active_tasks"], "grace did not begin")
        expect(visitor.card(beaters["ken"])).to_contain_text("Degraded")
        expect(page.locator(".exchange")).not_to_have_count(0)
        take(visitor, place, "canvas-graph")
        fleet.call("POST", f"/tasks/{listing}/cancel")

        visitor.open(beaters["ken"], "chat")
        for number in range(2):
            fleet.call("POST", f"/workspaces/{beaters['ken'].id}/tasks", {"text": f"earlier {number}"})
        page.locator(".chat > .box textarea").fill("Can you look at the failing build?")
        page.keyboard.press("Enter")
        expect(page.locator(".turn .waiting")).to_contain_text("Place in the queue: 3")
        take(visitor, place, "canvas-chat")

        page.set_viewport_size({**SIZE, "height": 920})  # all five witnesses
        visitor.open(grace)
        said = page.locator(".witnesses .is-against", has_text="Canary")
        until(lambda: stop_runtimes(fleet, "grace") or said.is_visible(), "the canary was not seen to fail")
        take(visitor, place, "canvas-health")
        page.set_viewport_size(SIZE)
        until(lambda: fleet.view(grace)["status"] == "online", "grace did not recover")

        page.emulate_media(color_scheme="dark")
        visitor.open(grace, "incidents")
        page.locator(".rows button").first.click()
        expect(page.locator(".steps li").first).to_be_visible()
        take(visitor, place, "canvas-incident-dark")

        page.emulate_media(color_scheme="light")
        task = ask_around(fleet, ada, grace, beaters["mary"].id)
        page.goto(f"/?workspace={ada}&tab=tasks&detail={task}")
        expect(page.locator(".trace")).to_contain_text("waits")
        page.locator(".trace").evaluate("(trace) => trace.scrollIntoView()")
        take(visitor, place, "canvas-trace")


def ask_around(fleet: Fleet, ada: str, grace: str, mary: str) -> str:
    """The id of a task of ada, because of which others are asked: one has answered, one works, one waits."""

    def ask(source: str, target: str, text: str, because: str) -> str:
        body = {"target": target, "text": text, "from_task": because}
        return fleet.call("POST", f"/workspaces/{source}/delegations", body)["delegation_id"]

    def becomes(task_id: str, state: str) -> None:
        until(lambda: fleet.call("GET", f"/tasks/{task_id}")["state"] == state, f"it is not {state}")

    task = fleet.send(ada, "wait for the survey of gossip protocols, then tell me what is new")
    becomes(task, "working")
    becomes(ask(ada, grace, "Which papers are on the list?", task), "completed")
    reading = ask(ada, grace, "wait until all of them are read, then summarise", task)
    becomes(reading, "working")
    ask(grace, mary, "Get the two papers that are not in the archive", reading)
    return task


def main() -> None:
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else PLACE
    place.mkdir(parents=True, exist_ok=True)
    own = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with (
        tempfile.TemporaryDirectory(prefix="truebeat-pictures-") as directory,
        Fleet(Path(directory), agents=REAL) as fleet,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=own, args=["--no-sandbox"])
        tell_the_story(browser, fleet, place)
        browser.close()


if __name__ == "__main__":
    main()
