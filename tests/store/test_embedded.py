"""Our own PostgreSQL survives kill -9 of anyone, belongs to one process, and stops cleanly."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from truebeat.errors import Conflict
from truebeat.server.store.database import connect
from truebeat.server.store.embedded import EmbeddedPostgres

KEEPER = """
import sys, time
from pathlib import Path
from truebeat.server.store.embedded import EmbeddedPostgres
print(EmbeddedPostgres(Path(sys.argv[1])).start(), flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def made(new_directory):
    """A data directory whose cluster was made once, stopped."""
    directory = new_directory()
    server = EmbeddedPostgres(directory)
    server.start()
    server.stop()
    return directory


@pytest.fixture
def data_dir(made, new_directory):
    """A copy of it, with its owner kept."""
    copy = new_directory() / "data"
    subprocess.run(["cp", "-a", made, copy], check=True)
    return copy


@pytest.fixture
def server(data_dir):
    server = EmbeddedPostgres(data_dir)
    yield server
    server.stop()
    assert not postmaster_pid(data_dir)


def postmaster_pid(data_dir):
    """The live server's pid, or None."""
    file = data_dir / "postgres-18" / "postmaster.pid"
    pid = int(file.read_text().split()[0]) if file.exists() else 0
    return pid if pid and psutil.pid_exists(pid) else None


def state(data_dir):
    """What the server says of itself: starting, ready, stopping; "" when it is gone."""
    with contextlib.suppress(FileNotFoundError):
        return (data_dir / "postgres-18" / "postmaster.pid").read_text().splitlines()[7].strip()
    return ""


def kill_postmaster(data_dir):
    """Kills it and waits until it is dead (a zombie is)."""
    process = psutil.Process(postmaster_pid(data_dir))
    process.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        deadline = time.monotonic() + 30
        while process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.002)


@pytest.fixture
def keeper(data_dir):
    """Another process that runs the server of `data_dir`."""
    process = subprocess.Popen([sys.executable, "-c", KEEPER, str(data_dir)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("postgresql://")
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    heir = EmbeddedPostgres(data_dir)
    heir.start()
    heir.stop()


def run(run_async, url, statement):
    async def body():
        connection = await connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return run_async(body())


def test_a_warm_start_answers(server, run_async):
    url = server.start()
    assert run(run_async, url, "SELECT current_database()") == "truebeat"
    assert server.start() == url
    assert server.ensure_running() == url


def test_stopping_twice_and_starting_again(server, data_dir, run_async):
    url = server.start()
    server.stop()
    server.stop()
    assert postmaster_pid(data_dir) is None
    assert server.ensure_running() == url
    assert run(run_async, url, "SELECT 1") == 1


def test_a_killed_server_comes_back_with_what_was_committed(server, data_dir, run_async):
    url = server.start()
    run(run_async, url, "CREATE TABLE kept AS SELECT 42 AS answer")
    kill_postmaster(data_dir)
    assert server.ensure_running() == url
    assert run(run_async, url, "SELECT answer FROM kept") == 42


def test_the_server_outlives_its_keeper_and_is_taken_over(keeper, server, data_dir, run_async):
    pid = postmaster_pid(data_dir)
    keeper.kill()
    keeper.wait()
    url = server.start()
    assert postmaster_pid(data_dir) == pid
    kill_postmaster(data_dir)  # and the one we took over is watched as our own
    assert server.ensure_running() == url
    assert run(run_async, url, "SELECT 1") == 1


def test_both_killed(keeper, server, data_dir, run_async):
    keeper.kill()
    kill_postmaster(data_dir)
    keeper.wait()
    assert run(run_async, server.start(), "SELECT 1") == 1


def test_one_directory_has_one_owner(keeper, data_dir):
    with pytest.raises(Conflict, match=f"process {keeper.pid} already uses"):
        EmbeddedPostgres(data_dir).start()


def test_a_predecessor_that_is_shutting_down_is_waited_for(keeper, server, data_dir, run_async):
    pid = postmaster_pid(data_dir)
    keeper.kill()
    keeper.wait()
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + 30
    while state(data_dir) == "ready":
        assert time.monotonic() < deadline
    assert run(run_async, server.start(), "SELECT 1") == 1
    assert postmaster_pid(data_dir) != pid


def test_a_stale_pid_file_that_names_another_program(server, data_dir, run_async):
    stale = data_dir / "postgres-18" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{stale.parent}\n0\n5432\n{stale.parent}\n\n  1 1\nready\n")
    assert run(run_async, server.start(), "SELECT 1") == 1


def test_a_half_made_cluster_is_made_anew(new_directory, run_async):
    directory = new_directory()
    (directory / "postgres-18.new").mkdir()
    (directory / "postgres-18.new" / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(directory)
    try:
        assert run(run_async, server.start(), "SHOW fsync") == "on"
    finally:
        server.stop()


def test_a_long_path_gets_a_private_socket_elsewhere(made, new_directory, run_async):
    directory = new_directory() / ("d" * 120)
    subprocess.run(["cp", "-a", made, directory], check=True)
    server = EmbeddedPostgres(directory)
    try:
        url = server.start()
        assert run(run_async, url, "SELECT 1") == 1
        place = Path(url.split("host=")[1])
        assert directory not in place.parents
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_a_parent_directory_that_is_closed_while_it_runs(server, data_dir, run_async):
    url = server.start()
    data_dir.chmod(0o700)
    kill_postmaster(data_dir)
    assert server.ensure_running() == url
    assert run(run_async, url, "SELECT 1") == 1


def test_only_the_owner_may_open_the_socket(server, data_dir):
    server.start()
    socket = data_dir / "postgres-18" / ".s.PGSQL.5432"
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


def test_a_version_that_is_not_in_the_wheel(tmp_path):
    with pytest.raises(ValueError, match=r"no PostgreSQL 17 .* only \[16, 18\]"):
        EmbeddedPostgres(tmp_path, version=17)
