"""Push notifications: where they may go, what they carry, and that they are off by default."""

import asyncio
import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address

import httpx2
import pytest
from scripted_agent import linked

from truebeat.errors import Invalid
from truebeat.server.a2a.push_target import Targets
from truebeat.server.serve import serve

SECRET = "a secret of the push tests"
HEADERS = {"A2A-Version": "1.0", "Authorization": "Bearer admin-token-for-tests"}


class Hook:
    """A bare HTTP server that keeps what is posted to it, and answers as told."""

    def __init__(self):
        self.posted = asyncio.Queue()
        self.answers = []

    async def handle(self, reader, writer):
        try:
            while line := await reader.readline():
                headers = {}
                while (header := await reader.readline()).strip():
                    name, _, value = header.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers["content-length"]))
                self.posted.put_nowait((line.decode().split()[1], headers, body))
                status, more = self.answers.pop(0) if self.answers else ("200 OK", "")
                writer.write(f"HTTP/1.1 {status}\r\n{more}content-length: 0\r\n\r\n".encode())
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def hooked():
    hook = Hook()
    server = await asyncio.start_server(hook.handle, "127.0.0.1", 0)
    hook.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield hook
    finally:
        server.close()


@asynccontextmanager
async def serving(settings):
    ready = asyncio.get_running_loop().create_future()
    server = asyncio.ensure_future(serve(settings, "127.0.0.1", 0, ready=ready.set_result))
    url = await ready
    try:
        async with httpx2.AsyncClient(base_url=url, timeout=20, headers=HEADERS) as client:
            yield url, client
    finally:
        server.cancel()
        await asyncio.wait({server})


@pytest.fixture
def pushing(settings):
    return replace(settings, push_hosts=("127.0.0.1",), push_secret=SECRET)


def send(message, **configuration):
    params = {"message": message, "configuration": configuration}
    return {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}


async def next_of(hook):
    async with asyncio.timeout(15):
        return await hook.posted.get()


async def test_each_update_is_posted_signed_to_an_allowed_host(pushing, message):
    async with hooked() as hook, serving(pushing) as (url, client):
        made = (await client.post("/workspaces", json={"name": "ada"})).json()
        base = f"/workspaces/{made['workspace']['id']}/a2a"
        assert (await client.get(base + "/.well-known/agent-card.json")).json()["capabilities"]["pushNotifications"]
        async with linked(url, made["workspace"]["id"], made["token"]):
            config = {
                "url": hook.url + "/in?x=1",
                "token": "mine",
                "authentication": {"scheme": "Basic", "credentials": "abc"},
            }
            # the first is tried again; a redirect is followed by none
            hook.answers = [("503 No", ""), ("302 There", "location: http://127.0.0.1:1/\r\n"), ("200 OK", "")]
            answer = await client.post(base, json=send(message(), taskPushNotificationConfig=config))
            task = answer.json()["result"]["task"]
            seen = []
            while not any("TASK_STATE_COMPLETED" in json.dumps(event) for event in seen):
                path, headers, body = await next_of(hook)
                assert path == "/in?x=1"
                assert headers["x-a2a-notification-token"] == "mine"
                assert headers["authorization"] == "Basic abc"
                stamp, signature = (part.partition("=")[2] for part in headers["x-truebeat-signature"].split(","))
                wanted = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
                assert hmac.compare_digest(signature, wanted)
                seen.append(json.loads(body))
            artifacts = [event for event in seen if "artifactUpdate" in event]
            assert artifacts[0]["artifactUpdate"]["artifact"]["parts"] == [{"text": "you said hello"}]
            configs = f"{base}/tasks/{task['id']}/pushNotificationConfigs"
            (listed,) = (await client.get(configs)).json()["configs"]
            assert listed["url"] == config["url"]
            assert (await client.get(f"{configs}/{listed['id']}")).json()["token"] == "mine"
            assert (await client.delete(f"{configs}/{listed['id']}")).status_code == 200
            assert (await client.get(configs)).json() == {}


async def test_a_restarted_server_goes_on_with_it(pushing, message):
    async with hooked() as hook:
        async with serving(pushing) as (url, client):
            made = (await client.post("/workspaces", json={"name": "ada"})).json()
            workspace_id = made["workspace"]["id"]
            config = {"id": "c", "url": hook.url}
            body = send(message(), taskPushNotificationConfig=config)
            held = (await client.post(f"/workspaces/{workspace_id}/a2a", json=body)).json()["result"]["task"]
            assert held["status"]["state"] == "TASK_STATE_SUBMITTED"
        async with serving(pushing) as (url, client), linked(url, workspace_id, made["token"]):
            while b"TASK_STATE_COMPLETED" not in (await next_of(hook))[2]:
                pass


async def rpc(client, workspace_id, method, token=None, **params):
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return (await client.post(f"/workspaces/{workspace_id}/a2a", json=body, headers=headers)).json()


async def test_only_its_sender_or_an_operator_sees_or_deletes_it_and_its_credentials_nobody(pushing, message):
    async with hooked() as hook, serving(pushing) as (_, client):
        workspace_id = (await client.post("/workspaces", json={"name": "ada"})).json()["workspace"]["id"]
        issued = [
            (await client.post("/tokens", json={"name": role, "role": role})).json()["token"]
            for role in ("viewer", "member")
        ]
        authentication = {"scheme": "Bearer", "credentials": "hook-secret"}
        config = {"id": "p", "url": hook.url, "token": "shared-secret", "authentication": authentication}
        body = send(message(), returnImmediately=True, taskPushNotificationConfig=config)
        answer = (await client.post(f"/workspaces/{workspace_id}/a2a", json=body)).json()
        task_id = answer["result"]["task"]["id"]
        for token in issued:
            for method in ("Get", "List", "Delete"):
                name = f"{method}TaskPushNotificationConfig{'s' if method == 'List' else ''}"
                more = {} if method == "List" else {"id": "p"}
                refused = await rpc(client, workspace_id, name, token, taskId=task_id, **more)
                assert refused["error"]["code"] == -32051, (method, refused)
                assert "secret" not in str(refused)
        listed = await rpc(client, workspace_id, "ListTaskPushNotificationConfigs", taskId=task_id)
        (found,) = listed["result"]["configs"]
        assert found["authentication"] == {"scheme": "Bearer"}
        assert found["token"] == "shared-secret"


async def test_what_follows_the_reply_to_a_question_is_pushed(pushing, message):
    async with hooked() as hook, serving(pushing) as (url, client):
        made = (await client.post("/workspaces", json={"name": "ada"})).json()
        workspace_id = made["workspace"]["id"]

        async def ask_once(agent, deliver):
            await agent.begin(deliver)
            state, text = ("completed", "done") if deliver["reply"] else ("input-required", "when?")
            await agent.finish(deliver, text, state=state)

        async with linked(url, workspace_id, made["token"]) as agent:
            agent.behave = ask_once
            body = send(message(), taskPushNotificationConfig={"id": "p", "url": hook.url})
            task = (await client.post(f"/workspaces/{workspace_id}/a2a", json=body)).json()["result"]["task"]
            while b"TASK_STATE_INPUT_REQUIRED" not in (await next_of(hook))[2]:
                pass
            await client.post(f"/workspaces/{workspace_id}/a2a", json=send(message("now", taskId=task["id"])))
            while b"TASK_STATE_COMPLETED" not in (await next_of(hook))[2]:
                pass


async def test_other_hosts_and_bad_configurations_are_refused(pushing, message):
    async with serving(pushing) as (_, client):
        made = (await client.post("/workspaces", json={"name": "ada"})).json()
        base = f"/workspaces/{made['workspace']['id']}/a2a"
        for config in (
            {"url": "http://example.com/"},
            {"url": "http://127.0.0.2/"},
            {"url": "file:///etc/passwd"},
            {"url": "http://127.0.0.1/", "token": "a\r\nb: c"},
            {"url": "http://127.0.0.1/", "authentication": {"scheme": "x\ny", "credentials": ""}},
        ):
            answer = await client.post(base, json=send(message(), taskPushNotificationConfig=config))
            assert answer.json()["error"]["code"] == -32602, config
        body = send(message(), taskPushNotificationConfig={"url": "http://127.0.0.1:1/"}, returnImmediately=True)
        task = (await client.post(base, json=body)).json()["result"]["task"]
        configs = f"{base}/tasks/{task['id']}/pushNotificationConfigs"
        for number in range(9):
            answer = await client.post(configs, json={"url": "http://127.0.0.1:1/", "id": str(number)})
            assert answer.status_code == 200, answer.text
        assert (await client.post(configs, json={"url": "http://127.0.0.1:1/", "id": "10"})).status_code == 400
        viewer = (await client.post("/tokens", json={"name": "v", "role": "viewer"})).json()["token"]
        answer = await client.post(
            configs, json={"url": "http://127.0.0.1:1/", "id": "0"}, headers={"Authorization": f"Bearer {viewer}"}
        )
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example.com.evil.net/", "http://evil@hooks.example.com/",
     "http://hooks.example.com@evil.net/",
     "//hooks.example.com/",
     "ftp://hooks.example.com/", "http://hooks.example.com:99999/", "http://[::1/",
     "http://10.2.0.1/", "http://2130706433/",
     "http://only.example.com/", "http://only.example.com:80/", "http://hooks.example.com/\r\nx", "http:///", ""],
)  # fmt: skip
def test_what_is_not_in_the_list_is_no_target(url):
    with pytest.raises(Invalid):
        Targets(["hooks.example.com", "only.example.com:8443", "10.1.0.0/16"]).parse(url)


def test_what_is_in_the_list_is_a_target():
    targets = Targets(["hooks.example.com", "only.example.com:8443", "10.1.0.0/16", "fd00::/8"])
    assert targets.parse("https://Hooks.Example.com./a?b=c").path == "/a?b=c"
    assert targets.parse("https://only.example.com:8443").port == 8443
    assert targets.parse("http://10.1.2.3/").host == "10.1.2.3"
    assert targets.parse("http://[fd00::1]:8080/").host == "fd00::1"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.2.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe",
                "2002:7f00:1::",
                "0.0.0.0", "224.0.0.1", "fe80::1"],
)  # fmt: skip
async def test_a_name_that_resolves_into_a_private_network_is_refused(address, monkeypatch):
    targets = Targets(["hooks.example.com", "10.1.0.0/16"])
    target = targets.parse("http://hooks.example.com/")
    found = ["93.184.216.34", address]

    async def getaddrinfo(*_, **__):
        return [(2, 1, 6, "", (each, 80)) for each in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(Invalid):
        await targets.resolve(target)
    found[1] = "10.1.0.9"  # that one is allowed by itself
    assert await targets.resolve(target) == ip_address("93.184.216.34")


def test_a_bad_entry_of_the_list_is_refused_by_name():
    with pytest.raises(Invalid, match="TRUEBEAT_PUSH_HOSTS"):
        Targets(["host:port"])
