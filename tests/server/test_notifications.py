"""What people are told: read one by one or up to one, agreed on by everybody who looks, and hostile in no way."""

import asyncio
from uuid import uuid4

import pytest

from truebeat.domain.access import Role

HOSTILE = "<script>alert(1)</script>\u202e javascript:alert(1) {{7*7}} " + "\U0001f680" * 50


@pytest.fixture
async def tell(stand):
    """Tells `count` notifications of one workspace; their ids, the oldest first."""
    workspace_id, token = await stand.workspace("ada")

    async def told(count=1, **fields):
        ids = []
        for number in range(count):
            body = {"message": f"message {number}", **fields}
            answer = await stand.http.post(
                f"/workspaces/{workspace_id}/notify", json=body, headers={"Authorization": f"Bearer {token}"}
            )
            assert answer.status_code == 201, answer.text
            ids.append(answer.json()["id"])
        return ids

    return told


async def page(stand, **query):
    return (await stand.http.get("/notifications", params=query)).raise_for_status().json()


async def read_through(stand, notification_id, status=200):
    answer = await stand.http.post("/notifications/read", json={"through": str(notification_id)})
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_all_up_to_one_are_read_and_what_came_later_is_not(stand, tell):
    ids = await tell(5)
    assert (await read_through(stand, ids[2]))["unread"] == 2
    listed = await page(stand)
    assert {one["id"] for one in listed["notifications"] if one["read_at"]} == set(ids[:3])
    assert (await read_through(stand, ids[2]))["unread"] == 2
    assert (await read_through(stand, ids[4]))["unread"] == 0
    await read_through(stand, uuid4(), status=404)
    (event, last) = await stand.events("NOTIFICATION_READ")
    assert event["payload"] == {"notification_id": ids[2], "older": True}
    assert event["workspace_id"] is None
    assert last["payload"]["notification_id"] == ids[4]


async def test_reading_one_is_told_once_and_its_first_time_stays(stand, tell):
    (one,) = await tell()
    first = (await stand.http.post(f"/notifications/{one}/read")).json()["read_at"]
    assert first
    assert (await stand.http.post(f"/notifications/{one}/read")).json()["read_at"] == first
    assert [event["payload"] for event in await stand.events("NOTIFICATION_READ")] == [
        {"notification_id": one, "older": False}
    ]
    assert (await stand.http.post(f"/notifications/{uuid4()}/read")).status_code == 404


async def test_many_readers_at_once_agree(stand, tell):
    ids = await tell(6)
    answers = await asyncio.gather(
        *(stand.http.post(f"/notifications/{one}/read") for one in ids for _ in range(3)),
        *(stand.http.post("/notifications/read", json={"through": one}) for one in ids),
    )
    assert {answer.status_code for answer in answers} == {200}
    listed = await page(stand)
    assert listed["unread"] == 0
    assert all(one["read_at"] for one in listed["notifications"])


async def test_pages_go_back_to_the_first(stand, tell):
    ids = await tell(7)
    found, query = [], {"limit": 3}
    while True:
        listed = await page(stand, **query)
        found += [one["id"] for one in listed["notifications"]]
        assert listed["unread"] == 7
        if listed["next"] is None:
            break
        query["after"] = listed["next"]
    assert found == ids[::-1]


async def test_hostile_text_is_kept_as_it_is(stand, tell):
    await tell(message=HOSTILE, type=HOSTILE[:90], link="javascript:alert(1)")
    (one,) = (await page(stand))["notifications"]
    assert one["message"] == HOSTILE
    assert one["link"] == "javascript:alert(1)"


@pytest.mark.parametrize("body", [{}, {"through": "x"}, {"through": None}, [], {"through": "1' OR 1=1"}])
async def test_a_bad_mark_is_refused(stand, tell, body):
    await tell()
    assert (await stand.http.post("/notifications/read", json=body)).status_code in {400, 422}
    assert (await page(stand))["unread"] == 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ENROLMENT])
async def test_only_who_may_see_details_reads(stand, tell, role):
    (one,) = await tell()
    answer = await stand.http.post("/tokens", json={"name": "t", "role": role.value})
    headers = {"Authorization": f"Bearer {answer.json()['token']}"}
    for path, body in ((f"/notifications/{one}/read", None), ("/notifications/read", {"through": one})):
        assert (await stand.http.post(path, json=body, headers=headers)).status_code == 403
    assert (await stand.http.get("/notifications", headers=headers)).status_code == 403
    assert (await page(stand))["unread"] == 1
