"""Delegations as readers may see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from truebeat.domain import access, envelope
from truebeat.domain import delegations as rules
from truebeat.domain.delivery import State
from truebeat.protocol.delegations import PREVIEW_LIMIT, DelegationStatus, DelegationView, OpenDelegation, TraceNode
from truebeat.protocol.delivery import Sender
from truebeat.server.services.ledger_results import wrapped
from truebeat.server.store import delegations as store

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from truebeat.domain.access import Principal


def of_row(row: store.Record, *, details: bool) -> DelegationView:
    """Without texts unless the reader may have them."""
    state = State(row["state"])
    status = rules.status(state)
    view = DelegationView(
        delegation_id=row["task_id"],
        source_id=row["source_id"],
        source_name=row["source_name"],
        target_id=row["target_id"],
        target_name=row["target_name"],
        status=cast("DelegationStatus", status),
        state=state,
        summary="",
        response_preview="",
        error="",
        depth=row["depth"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        context_id=row["context_id"],
        root_id=row["root_id"],
        from_task=row["source_task_id"],
        ended_at=row["ended_at"],
        deadline_at=row["deadline_at"],
        consumed=row["consumed_at"] is not None,
    )
    if details:
        view.summary = envelope.cut(row["asked"], PREVIEW_LIMIT)[0]
        if state.final or state.paused:
            said = row["answer"] or row["reason"]
            if status == "failed":
                view.error = envelope.cut(said or state.value, PREVIEW_LIMIT)[0]
            else:
                view.response_preview = envelope.cut(said, PREVIEW_LIMIT)[0]
            view.result = wrapped(store.as_given(row))
    return view


def of_open(row: store.Record) -> OpenDelegation:
    return OpenDelegation(
        delegation_id=row["task_id"],
        source_id=row["source_id"],
        target_id=row["target_id"],
        state=State(row["state"]),
        created_at=row["created_at"],
    )


def tree(rows: list[store.Record], root_id: UUID, principal: Principal, now: datetime) -> TraceNode | None:
    """Whatever hangs in the air because the tree was cut hangs on its root."""
    nodes = {row["id"]: _node(row, principal, now) for row in rows}
    top = nodes.get(root_id)
    if top is None:
        return None
    for row in rows:
        if row["id"] != root_id:
            above = nodes.get(row["origin_task_id"] if row["wake"] else row["source_task_id"], top)
            (top if above is nodes[row["id"]] else above).children.append(nodes[row["id"]])
    return top


def _node(row: store.Record, principal: Principal, now: datetime) -> TraceNode:
    sender = Sender(kind=row["sender_kind"], id=row["sender_id"], name=row["sender_name"])
    details = access.may_read_task(principal, str(row["workspace_id"]), sender.kind, sender.id)
    end = row["ended_at"] or now
    begun = row["begun_at"]
    return TraceNode(
        task_id=row["id"],
        workspace_id=row["workspace_id"],
        workspace_name=row["workspace_name"],
        sender=sender,
        state=State(row["state"]),
        summary=envelope.cut(row["asked"], PREVIEW_LIMIT)[0] if details else "",
        reason=row["reason"] if details else "",
        attempt=row["attempt"],
        depth=row["depth"],
        created_at=row["created_at"],
        begun_at=begun,
        ended_at=row["ended_at"],
        deadline_at=row["deadline_at"],
        queued_seconds=max(0.0, ((begun or end) - row["created_at"]).total_seconds()),
        worked_seconds=None if begun is None else max(0.0, (end - begun).total_seconds()),
        wake=row["wake"],
        consumed=row["consumed"],
    )
