"""What an agent reads when it used a tool: the platform's own words, with all that others wrote as marked data.

Names and summaries are quoted as domain/envelope.py quotes: what somebody called a workspace can neither end a line nor
look like a marker. Answers of other agents, questions and error texts stand in its block and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from truebeat.domain import envelope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from truebeat.errors import TruebeatError
    from truebeat.protocol.delegations import DelegationView, Peer
    from truebeat.protocol.tasks import Availability

#: characters of a name and of a line of text that are quoted
NAME_LIMIT: Final = 200
SUMMARY_LIMIT: Final = 200
ERROR_LIMIT: Final = 600
#: peers that an error lists
PEERS_TOLD: Final = 20


def quoted(text: str, limit: int = NAME_LIMIT) -> str:
    """As a JSON string in one line, cut."""
    return envelope.quoted(envelope.cut(text, limit)[0])


def delegation(view: DelegationView, *, waited: bool, peers: Sequence[Peer] = ()) -> str:
    """How one stands, and what to do next."""
    name, identity = quoted(view.target_name), str(view.delegation_id)
    if view.state.paused:
        head = (
            f"{name} asks something before it can go on with delegation {identity}. If the question is one you can "
            f'answer, call delegate_task with reply_to="{identity}".'
        )
    elif view.ended_at is not None:
        head = f"Delegation {identity} to {name} ended: {view.state}."
        if view.status == "failed":
            why = f"It says: {quoted(view.error, ERROR_LIMIT)}."
            if view.result is not None:
                why = "What came back says why."
            head += f" {why} Ask another peer, do it yourself, or tell who asked you."
    elif view.availability is not None and not view.availability.able:
        head = (
            f"{name} can't work now: {facts(view.availability)} Delegation {identity} is kept and stays queued; it is "
            "done as soon as that is over, and the result comes to you in a later turn by itself. Do not send it again."
        )
        head += _alternatives(view, peers)
    elif waited:
        head = (
            f"{name} has not finished delegation {identity} yet (state {view.state}), and your wait is over. The work "
            "goes on, and the result comes to you in a later turn by itself. Go on with something else, or end your "
            f'turn; check_task_status(delegation_id="{identity}", wait_seconds=...) waits for it again.'
        )
    else:
        head = (
            f"Delegation {identity} to {name} is accepted (state {view.state}). The result comes to you in a later "
            "turn by itself: no need to ask for it again and again. You may end your turn."
        )
    return f"{head}\n\n{envelope.render([view.result])}" if view.result is not None else head


def delegations(views: Sequence[DelegationView]) -> str:
    """The newest, one a line."""
    if not views:
        return "You have delegated nothing so far."
    rows = [
        f"- {view.delegation_id}: {view.state}, to {quoted(view.target_name)}, "
        f"asked {quoted(view.summary, SUMMARY_LIMIT)}" + ("" if view.ended_at else _waits(view))
        for view in views
    ]
    return "Your delegations, newest first. For what came back of one: check_task_status with its id.\n" + "\n".join(
        rows
    )


def _waits(view: DelegationView) -> str:
    known = view.availability
    return "" if known is None or known.able else f" (its peer can't work now: {facts(known)})"


def peers(found: Sequence[Peer]) -> str:
    """One a line, those that can take work first."""
    if not found:
        return "There is no other workspace that you may delegate to. Do the work yourself, or tell the user."
    able = sorted(found, key=lambda peer: (not peer.availability.able, peer.name))
    return "Your peers; delegate to them by name or id.\n" + "\n".join(map(_peer, able))


def _peer(peer: Peer) -> str:
    known = peer.availability
    can = f"can take work, {known.queued} queued" if known.able else f"can't take work now: {facts(known)}"
    role = f", role {quoted(peer.role)}" if peer.role else ""
    return f"- {quoted(peer.name)} (id {peer.id}, {peer.relation}{role}): {can}"


def facts(known: Availability) -> str:
    """Why it can't take work, in words of the platform alone: error texts of the other agent are left out."""
    said = [f"status {known.status}"]
    if known.symptom is not None:
        said[0] += f" ({known.symptom})"
    if known.since is not None:
        said.append(f"since {known.since:%Y-%m-%d %H:%M:%S} UTC")
    if not known.linked:
        said.append("its supervisor is not connected")
    said.append(
        {
            "none": "no restart is under way",
            "pending": "a restart is under way",
            "given_up": "restarts were given up, an operator has to act",
        }[known.restart]
    )
    if known.position is not None:
        said.append(f"position {known.position} of {known.queued} in its queue")
    if known.retry_after is not None:
        said.append(f"asking again makes sense in {known.retry_after:.0f} s")
    return "; ".join(said) + "."


def _alternatives(view: DelegationView, found: Sequence[Peer]) -> str:
    others = [peer for peer in found if peer.availability.able and peer.id != view.target_id]
    if not others:
        return " Nobody else can take work now either." if found else ""
    named = ", ".join(quoted(peer.name) for peer in others[:PEERS_TOLD])
    return f" If it can't wait: {named} can take work now."


def canceled(view: DelegationView) -> str:
    """One was canceled by its own source."""
    head = f"Delegation {view.delegation_id} to {quoted(view.target_name)} "
    if view.ended_at is None:
        return head + f"is being canceled (state {view.state}); nothing comes back of it."
    return head + f"has ended: {view.state}. Nothing comes back of it."


def refusal(error: TruebeatError, found: Sequence[Peer] = (), *, key: str = "") -> str:
    """What was wrong and what to do; `found`: whom one may ask, where the target was the trouble. key: of the call,
    for one that may have been accepted.
    """
    head = f"Refused ({error.code}): {quoted(error.message, ERROR_LIMIT)}"
    advice = ADVICE.get(str(error.facts.get("why", "")), ADVICE.get(error.code, ""))
    if key and error.code == "unavailable":
        advice = advice.replace("the same `key`", f"key={quoted(key)}, which makes no second one,")
    listed = ""
    if error.code in {"not_found", "forbidden", "gone"} and found:
        listed = "\n" + peers(found[:PEERS_TOLD])
    return f"{head}\n{advice}{listed}".rstrip()


#: what to do next, by `why` in an error's facts, else by its code
ADVICE: Final[dict[str, str]] = {
    "no_parent": "You have no parent to report to: use send_message_to_user.",
    "too_large": "Shorten it: give what the other needs to know, and say where the rest is to be found.",
    "not_found": "Use a name or an id from this list, exactly as it is written (list_peers gives it again).",
    "forbidden": "You may not message it. Ask one of these, or ask your parent to do it.",
    "gone": "It was removed and does not come back. Ask one of these instead.",
    "conflict": "It says what to do instead; list_peers and check_task_status show how things stand.",
    "invalid": "Correct the argument that is named, and call again.",
    "unauthenticated": "This workspace's token is not valid any more: an operator must act. Go on without delegating.",
    "unavailable": (
        "The platform does not answer right now; nothing may have been accepted. Try again with the same `key` in half "
        "a minute, or go on without it."
    ),
}
