"""The canvas's login: a token or a code becomes a cookie, which counts only from the page itself."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta

import httpx2 as httpx
import pytest
import websockets

from truebeat.clock import SystemClock
from truebeat.protocol.login import CODE_LIFE, code_is_good, login_url, make_code

ADMIN = "admin-token-for-tests"


@pytest.fixture
def admin_token():
    return ADMIN


@pytest.fixture
async def http(live):
    async with httpx.AsyncClient(base_url=live, headers={"Authorization": f"Bearer {ADMIN}"}) as client:
        yield client


@pytest.fixture
async def browser(live):
    async with httpx.AsyncClient(base_url=live) as client:
        yield client


async def log_in(browser, **body):
    return await browser.post("/session", json=body)


def cookie_of(browser):
    [cookie] = browser.cookies.jar
    return f"{cookie.name}={cookie.value}"


def code(token, *, age=0.0):
    return make_code(token, SystemClock().now().timestamp() - age, secrets.token_bytes(16))


async def test_a_token_becomes_a_cookie_that_no_script_can_read(browser, admin_token):
    assert (await browser.get("/workspaces")).status_code == 401
    answer = await log_in(browser, token=admin_token)
    assert answer.status_code == 201, answer.text
    assert answer.json()["role"] == "operator"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert admin_token not in cookie
    assert (await browser.get("/workspaces")).status_code == 200
    assert (await browser.get("/session")).json()["role"] == "operator"


async def test_two_servers_on_one_host_do_not_log_each_other_out(browser, admin_token, live):
    port = live.rpartition(":")[2]
    await log_in(browser, token=admin_token)
    mine = cookie_of(browser)
    assert mine.startswith(f"truebeat_session_{port}=")
    # as the browser sends it when the other server has its own
    browser.cookies.clear()
    both = {"Cookie": f"truebeat_session_1=another; truebeat_session=older; {mine}"}
    assert (await browser.get("/session", headers=both)).status_code == 200
    ended = await browser.delete("/session", headers={**both, "Origin": live})
    assert ended.headers["set-cookie"].startswith(f'truebeat_session_{port}="";')
    assert (await browser.get("/session", headers=both)).status_code == 401


@pytest.mark.parametrize(
    "body", [{}, {"token": "", "code": ""}, {"token": "x", "code": "y"}, {"token": "x" * 500}, {"token": 1}, []]
)
async def test_a_bad_login_says_what_to_give(browser, body):
    answer = await browser.post("/session", content=json.dumps(body))
    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("token", ["nonsense", "\N{SNOWMAN}", "a b", "\r\nx: y"])
async def test_an_unknown_token_opens_nothing(browser, token):
    answer = await log_in(browser, token=token)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


async def test_a_login_code_is_good_once(browser, admin_token):
    once = code(admin_token)
    assert (await log_in(browser, code=once)).status_code == 201
    again = await log_in(browser, code=once)
    assert again.status_code == 401
    assert "used already" in again.json()["detail"]


async def test_another_spelling_of_a_used_code_is_the_same_code(browser, admin_token):
    once = code(admin_token)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 56 bytes: two bits of the last character count for nothing
    others = [once[:-1] + letter for letter in letters if letters.index(letter) // 4 == letters.index(once[-1]) // 4]
    assert (await log_in(browser, code=once)).status_code == 201
    for spelling in (once + "=", *others):
        assert (await log_in(browser, code=spelling)).status_code == 401, spelling


async def test_another_sites_page_opens_no_session(browser, live, admin_token):
    body = json.dumps({"token": admin_token})
    for origin in ("http://evil.example", "null"):
        answer = await browser.post("/session", content=body, headers={"Origin": origin, "Content-Type": "text/plain"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert (await browser.post("/session", content=body, headers={"Origin": live})).status_code == 201


@pytest.mark.parametrize("wrong", ["", "%%%", "AAAA", "é"])
async def test_a_code_of_our_own_making_only(browser, admin_token, wrong):
    forged = (code("another token, just as long"), code(admin_token, age=CODE_LIFE + 5), code(admin_token)[:-3], wrong)
    for bad in filter(None, forged):
        assert (await log_in(browser, code=bad)).status_code == 401, bad


async def test_logging_out_ends_it_and_the_streams_it_opened(browser, live, admin_token):
    await log_in(browser, token=admin_token)
    cookie = cookie_of(browser)
    url = live.replace("http", "ws", 1) + "/events"
    async with websockets.connect(url, additional_headers={"Cookie": cookie}, origin=live) as socket:
        assert (await browser.delete("/session", headers={"Origin": live})).status_code == 204
        with pytest.raises(websockets.ConnectionClosed) as ended:
            while True:
                await socket.recv()
        assert ended.value.rcvd.code == 4401
    assert (await browser.get("/session", headers={"Cookie": cookie})).status_code == 401


async def test_revoking_the_token_ends_its_sessions(browser, http):
    issued = (await http.post("/tokens", json={"name": "anna", "role": "viewer"})).json()
    await log_in(browser, token=issued["token"])
    assert (await browser.get("/session")).json() == {"name": "anna", "role": "viewer", "workspace_id": None}
    assert (await http.delete(f"/tokens/{issued['view']['id']}")).status_code == 204
    assert (await browser.get("/session")).status_code == 401


async def test_another_sites_page_can_not_use_the_cookie(browser, live, admin_token):
    await log_in(browser, token=admin_token)
    cookie = cookie_of(browser)
    for origin in ("https://evil.example", live.replace("127.0.0.1", "127.0.0.2"), "null"):
        answer = await browser.post("/tokens", json={"name": "x", "role": "operator"}, headers={"Origin": origin})
        assert answer.status_code == 403, origin
        url = live.replace("http", "ws", 1) + "/events"
        async with websockets.connect(url, additional_headers={"Cookie": cookie}, origin=origin) as socket:
            with pytest.raises(websockets.ConnectionClosed) as ended:
                while True:
                    await socket.recv()
            assert ended.value.rcvd.code == 4403
    assert (await browser.post("/tokens", json={"name": "x", "role": "viewer"}, headers={"Origin": live})).is_success


async def test_a_token_in_a_header_needs_no_origin(http, live):
    assert (await http.get("/workspaces", headers={"Origin": "https://another.example"})).is_success


def test_a_code_runs_out():
    now = SystemClock().now()
    one = make_code(ADMIN, now.timestamp(), secrets.token_bytes(16))
    assert code_is_good(ADMIN, one, now.timestamp())
    assert code_is_good(ADMIN, one, (now + timedelta(seconds=CODE_LIFE - 1)).timestamp())
    assert not code_is_good(ADMIN, one, (now + timedelta(seconds=CODE_LIFE + 1)).timestamp())
    assert not code_is_good("another", one, now.timestamp())
    assert login_url("http://x", one) == f"http://x/#login={one}"


async def test_the_page_allows_nothing_inline_and_a_missing_file_is_no_page(browser):
    page = await browser.get("/")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    for missing in ("/assets/nothing.js", "/assets/..%2findex.html", "/assets/%00", "/nothing"):
        assert (await browser.get(missing)).status_code == 404, missing


async def test_without_a_bundle_the_page_says_how_to_get_one(tmp_path):
    from truebeat.server.api import canvas

    page = canvas.endpoints(tmp_path)["GET", "/"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(page), base_url="http://x") as client:
        answer = await client.get("/")
        assert answer.status_code == 503
        assert "npm run build" in answer.text


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
async def test_behind_a_proxy_that_speaks_tls_the_cookie_is_for_tls_only(browser, admin_token, scheme, secure):
    answer = await browser.post("/session", json={"token": admin_token}, headers={"X-Forwarded-Proto": scheme})
    assert answer.status_code == 201
    assert ("secure" in answer.headers["set-cookie"].lower()) is secure
