"""Who waits for whom, for those who watch the whole fleet."""

from __future__ import annotations


async def _linked(stand, name):
    workspace_id, token = await stand.workspace(name)
    return workspace_id, {"Authorization": f"Bearer {token}"}


async def _delegate(stand, source, target, headers):
    answer = await stand.http.post(
        f"/workspaces/{source}/delegations", json={"target": target, "text": "a secret"}, headers=headers
    )
    return answer.raise_for_status().json()["delegation_id"]


async def _open(stand, headers=None):
    answer = await stand.http.get("/delegations", headers=headers)
    return answer.raise_for_status().json()


async def test_open_delegations_are_told_without_texts_until_they_have_ended(stand):
    ada, of_ada = await _linked(stand, "ada")
    bob, of_bob = await _linked(stand, "bob")
    first = await _delegate(stand, ada, bob, of_ada)
    second = await _delegate(stand, bob, ada, of_bob)
    page = await _open(stand)
    assert [(one["delegation_id"], one["source_id"], one["target_id"]) for one in page["delegations"]] == [
        (second, bob, ada),
        (first, ada, bob),
    ]
    assert {one["state"] for one in page["delegations"]} == {"submitted"}
    assert "secret" not in str(page)
    assert page["left_out"] == 0
    await stand.cancel(first)
    after = await _open(stand)
    assert [one["delegation_id"] for one in after["delegations"]] == [second]
    # what the events after `seq` say is all that may be missing
    known = [event["seq"] for event in await stand.events("DELEGATION_CANCELED")]
    assert page["seq"] < known[0] <= after["seq"]


async def test_a_workspace_is_told_of_those_that_it_is_part_of(stand):
    ada, of_ada = await _linked(stand, "ada")
    bob, of_bob = await _linked(stand, "bob")
    _, of_eve = await _linked(stand, "eve")
    delegation = await _delegate(stand, ada, bob, of_ada)
    for headers in (of_ada, of_bob):
        assert [one["delegation_id"] for one in (await _open(stand, headers))["delegations"]] == [delegation]
    assert (await _open(stand, of_eve))["delegations"] == []


async def test_what_is_left_out_is_counted(stand, monkeypatch):
    monkeypatch.setattr("truebeat.server.services.delegations.OPEN_ONES_LIMIT", 2)
    ada, of_ada = await _linked(stand, "ada")
    bob, _ = await _linked(stand, "bob")
    made = [await _delegate(stand, ada, bob, of_ada) for _ in range(5)]
    page = await _open(stand)
    assert [one["delegation_id"] for one in page["delegations"]] == made[:2:-1]
    assert page["left_out"] == 3
