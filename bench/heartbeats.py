"""Heartbeats a second on one core. Three servers in turn, several rounds, medians and ratios of the same run."""

from __future__ import annotations

import argparse
import os

import httpx2

from bench.harness import ADMIN, beat_request, free_port, load, median_of, scratch_postgres, server

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
        with server("truebeat", ports["truebeat"], cores[0], environment):
            made = workspaces(ports["truebeat"])
            environment["BENCH_TOKENS"] = ",".join(f"{token}={workspace}" for workspace, token in made)
            with (
                server("bare", ports["bare"], cores[0], environment),
                server("fastapi", ports["fastapi"], cores[0], environment),
            ):
                rates: dict[str, list[float]] = {target: [] for target in ports}
                for _ in range(options.rounds):
                    for target, port in ports.items():
                        requests = [beat_request(port, token, workspace) for workspace, token in made]
                        rates[target].append(load(port, requests, options.seconds)[0])
    for target, rounds in rates.items():
        print(f"{target:9} {median_of(rounds):8.0f} beats/s   (rounds: {', '.join(f'{rate:.0f}' for rate in rounds)})")
    to_bare = median_of([ours / bare for ours, bare in zip(rates["truebeat"], rates["bare"], strict=True)])
    to_plain = median_of([ours / plain for ours, plain in zip(rates["truebeat"], rates["fastapi"], strict=True)])
    print(f"ratio to bare ASGI     {to_bare:.2f}   (goal >= 0.85)")
    print(f"ratio to plain FastAPI {to_plain:.2f}   (goal >= 2)")


if __name__ == "__main__":
    main()
