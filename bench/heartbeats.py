"""Heartbeats a second on one core. Three servers in turn, several rounds, medians and ratios of the same run."""

from __future__ import annotations

import argparse
import os

import httpx2

from bench.harness import (
    ADMIN,
    beat_request,
    free_port,
    load,
    median_of,
    processor_seconds,
    scratch_postgres,
    server,
)

CONNECTIONS = 16


def workspaces(port: int) -> list[tuple[str, str]]:
    made = []
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {ADMIN}"}) as client:
        for number in range(CONNECTIONS):
            answer = client.post("/workspaces", json={"name": f"member-{number}"})
            answer.raise_for_status()
            made.append((answer.json()["workspace"]["id"], answer.json()["token"]))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with scratch_postgres() as url:
        environment = {"TRUEBEAT_DATABASE_URL": url, "TRUEBEAT_ADMIN_TOKEN": ADMIN}
        ports = {target: free_port() for target in ("bare", "fastapi", "truebeat")}
        with server("truebeat", ports["truebeat"], cores[0], environment) as truebeat:
            made = workspaces(ports["truebeat"])
            environment["BENCH_TOKENS"] = ",".join(f"{token}={workspace}" for workspace, token in made)
            with (
                server("bare", ports["bare"], cores[0], environment) as bare,
                server("fastapi", ports["fastapi"], cores[0], environment) as fastapi,
            ):
                pids = {"bare": bare.pid, "fastapi": fastapi.pid, "truebeat": truebeat.pid}
                rates: dict[str, list[float]] = {target: [] for target in ports}
                spent: dict[str, list[float]] = {target: [] for target in ports}
                for _ in range(options.rounds):
                    for target, port in ports.items():
                        requests = [beat_request(port, token, workspace) for workspace, token in made]
                        before = processor_seconds(pids[target])
                        rate, count = load(port, requests, options.seconds)
                        rates[target].append(rate)
                        spent[target].append((processor_seconds(pids[target]) - before) / count * 1e6)
    for target, rounds in rates.items():
        print(f"{target:9} {median_of(rounds):8.0f} beats/s   (rounds: {', '.join(f'{rate:.0f}' for rate in rounds)}), "
              f"{median_of(spent[target]):.1f} us of processor for one")  # fmt: skip
    for other, name, goal in (("bare", "bare ASGI", 0.85), ("fastapi", "plain FastAPI", 2)):
        pairs = zip(rates["truebeat"], rates[other], spent[other], spent["truebeat"], strict=True)
        each = [(ours / theirs, its / mine) for ours, theirs, its, mine in pairs]
        print(f"ratio to {name:13} {median_of([one[0] for one in each]):.2f} (goal >= {goal}); "
              f"by the processor time of one {median_of([one[1] for one in each]):.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
