"""Several hosts: two processes over loopback are one process, and none outlives the other's end."""

import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import optax
import pytest
from processes import HANGS, ended, free_address, start, start_hosts

import emnist_jax as ej
from emnist_jax import hosts
from emnist_jax.cli import main
from emnist_jax.engine.chunks import Runner
from emnist_jax.errors import InputError
from emnist_jax.hosts import AGAIN
from emnist_jax.store.checkpoint import Checkpoints
from emnist_jax.store.curves import load_curves
from emnist_jax.store.files import load_arrays

pytestmark = pytest.mark.hosts  # slow, as processes start and are waited for: `make hosts`


def jitter(learning_rate):
    """SGD with momentum whose steps vary at random: its state holds a random key."""

    def vary(updates, key, params=None):
        key, now = jax.random.split(key)
        return jax.tree.map(lambda u: u * jax.random.uniform(now), updates), key

    random = optax.GradientTransformation(lambda params: jax.random.key(3), vary)
    return optax.chain(optax.sgd(learning_rate, momentum=0.9), random)


GRID = {"learning_rate": [1e-3, 3e38, 1e-2, 0.1, 0.03]}


def train(out, epochs=3, **options):
    """Train three chunks; the last one is padded on two devices."""
    usual = {"seeds": 1, "keep": "best", "trials_at_once": 2, "checkpoint_minutes": 0}
    return ej.sweep(
        ej.load("glyphs", size=660),
        ej.MLP(hidden=(8,)),
        jitter,
        GRID,
        epochs=epochs,
        out=out,
        progress_bar=False,
        **usual | options,
    )


def outcome(folder):
    """Every number a finished run gave: curves and networks."""
    curves = load_curves(folder / "curves.nc")
    leaves, _ = load_arrays(folder / "networks.safetensors")
    return {name: curves[name].values for name in curves} | leaves


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name in found:
        assert found[name].tobytes() == expected[name].tobytes(), name


def said(folder):
    return [path.read_text() for path in sorted(folder.glob("?.log"))]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A cache, and the outcome of one process with two devices."""
    folder = tmp_path_factory.mktemp("hosts")
    os.environ["EMNIST_JAX_CACHE"] = str(folder / "cache")
    process = start(train, folder / "one", log=folder / "one.log", devices=2)
    assert ended([process]) == [0], (folder / "one.log").read_text()
    return folder, outcome(folder / "one")


@pytest.fixture(autouse=True)
def cache_of_the_world(world, private_cache, monkeypatch):
    monkeypatch.setenv("EMNIST_JAX_CACHE", str(world[0] / "cache"))


def test_two_hosts_give_the_bits_of_one_with_as_many_devices(world, tmp_path):
    codes = ended(start_hosts(train, tmp_path / "run", folder=tmp_path))
    assert codes == [0, 0], said(tmp_path)
    assert_same_bits(outcome(tmp_path / "run"), world[1])
    assert load_curves(tmp_path / "run" / "curves.nc").device.endswith("on 2 hosts")


def train_until(event, who, out):
    """Train, and let one process do something just after the fifth checkpoint."""
    save, saves = Checkpoints.save, []

    def save_then(self, state):
        save(self, state)
        saves.append(state.epoch)
        if len(saves) == 5 and jax.process_index() == who:
            event()

    Checkpoints.save = save_then
    train(out)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def freeze():
    os.kill(os.getpid(), signal.SIGSTOP)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def fail():
    raise InputError("the disk of this host alone is full")


def blunder():
    raise TypeError("a mistake on this host alone")


@pytest.mark.parametrize(
    ("who", "hosts", "devices"), [(1, 2, 1), (0, 1, 2)], ids=["resumed by two", "resumed by one"]
)
def test_a_killed_host_ends_the_other_and_the_run_resumes(world, tmp_path, who, hosts, devices):
    folder = tmp_path / "killed"
    processes = start_hosts(train_until, die, who, tmp_path / "run", folder=folder)
    codes = ended(processes)
    assert codes[who] == -signal.SIGKILL
    assert codes[1 - who] not in (0, None)
    lines = said(folder)[1 - who].splitlines()
    blamed = "JAX ended this process, as another host died", "another host has ended"
    assert [line for line in lines if line.startswith("error: ") and AGAIN in line], lines
    assert any(words in "\n".join(lines) for words in blamed) and "was killed" not in lines[-1]
    assert last_words(folder, who).startswith("error: this process was killed")
    assert not (tmp_path / "run" / "curves.nc").exists()
    resumed = tmp_path / "resumed"
    codes = ended(
        start_hosts(train, tmp_path / "run", folder=resumed, count=hosts, devices=devices)
    )
    assert codes == [0] * hosts, said(resumed)
    assert ("going on on" in said(resumed)[0]) == (hosts == 1)
    assert_same_bits(outcome(tmp_path / "run"), world[1])


def test_a_mistake_on_one_host_ends_the_other_soon(tmp_path):
    processes = start_hosts(train_until, blunder, 1, tmp_path / "run", folder=tmp_path)
    codes = ended(processes)
    assert codes[1] == 1 and codes[0] not in (0, None)
    assert "TypeError: a mistake on this host alone" in said(tmp_path)[1]


OWN_PROGRAM = """
import sys
from emnist_jax import hosts
hosts.HEARTBEAT_SECONDS = 10_000  # so that it is not silence that ends the other
hosts.connect(sys.argv[1], 2, int(sys.argv[2]))
hosts.any_of(True)
if sys.argv[2] == "1":
    raise TypeError("a mistake in a program of one's own")
hosts.any_of(True)
"""


def test_an_exception_in_a_program_of_ones_own_ends_all_at_once():
    command, address = [sys.executable, "-c", OWN_PROGRAM], free_address()
    processes = [
        subprocess.Popen([*command, address, str(i)], stderr=subprocess.PIPE, text=True)
        for i in range(2)
    ]
    texts = [process.communicate(timeout=HANGS)[1] for process in processes]
    assert processes[1].returncode == 1 and processes[0].returncode not in (0, None)
    assert "TypeError: a mistake in a program" in texts[1]
    assert "another host" in texts[0]


LATE = """
import sys, time
from emnist_jax import hosts
hosts.HEARTBEAT_SECONDS = 5
hosts.connect(sys.argv[1], 2, int(sys.argv[2]))
hosts.any_of(True)
time.sleep(15 * (sys.argv[2] == sys.argv[3]))
print("ends")
"""


@pytest.mark.parametrize("late", ["0", "1"])
def test_a_host_that_has_ended_waits_for_one_still_at_work(late):
    command, address = [sys.executable, "-c", LATE], free_address()
    processes = [
        subprocess.Popen([*command, address, str(i), late], stdout=subprocess.PIPE, text=True)
        for i in range(2)
    ]
    said = [process.communicate(timeout=HANGS)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert all("ends" in text for text in said)


def come_late(out):
    """Be apart by more than the 30 seconds that JAX takes to connect, twice, either waiting."""
    start = Runner.start

    def start_late(self, *args):
        time.sleep(33 * (jax.process_index() == 0))
        return start(self, *args)

    Runner.start = start_late
    time.sleep(33 * (jax.process_index() == 1))
    train(out, trials_at_once=8)


def test_hosts_may_load_and_compile_longer_than_jax_takes_to_connect(tmp_path):
    # With two devices each, a gather takes other connections than a broadcast.
    processes = start_hosts(come_late, tmp_path / "run", folder=tmp_path, devices=2)
    assert ended(processes) == [0, 0], said(tmp_path)


def meet_in_vain():
    hosts.MEET_SECONDS = 2
    time.sleep(30 * (jax.process_index() == 1))
    hosts.any_of(True)


def test_a_host_that_does_not_come_as_far_ends_the_others(tmp_path):
    assert ended(start_hosts(meet_in_vain, folder=tmp_path))[0] == 1
    assert "has not come as far as this one in 2 seconds" in said(tmp_path)[0].splitlines()[-1]


def connect_alone(address, process):
    hosts.QUIET_SECONDS, hosts.COME_SECONDS = 1, 4
    hosts.connect(address, 2, process)


@pytest.mark.parametrize("process", [0, 1])
def test_hosts_that_never_come_are_waited_for_aloud_and_not_for_ever(tmp_path, process):
    address = free_address()
    alone = start(connect_alone, address, process, log=tmp_path / "0.log")
    assert ended([alone]) == [2]
    others = f"for all 2 processes to connect at {address}"
    waiting, error = said(tmp_path)[0].splitlines()
    assert waiting == f"waiting {others}, 4 seconds at most"
    assert error.startswith(f"error: waited 4 seconds {others}; start each of them once")


def test_ctrl_c_ends_a_process_that_waits_to_connect(tmp_path):
    alone = start(wait_alone, free_address(), log=tmp_path / "0.log")
    while alone.is_alive() and not any("waiting" in text for text in said(tmp_path)):
        time.sleep(0.1)
    os.kill(alone.pid, signal.SIGINT)
    assert ended([alone]) == [-signal.SIGINT], said(tmp_path)


def wait_alone(address):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in jobs of a script
    hosts.QUIET_SECONDS = 0.1
    hosts.connect(address, 2, 0)


def test_a_process_connects_once(tmp_path):
    address = free_address()
    process = start(connect_again, address, log=tmp_path / "0.log", host=(address, 1, 0))
    assert ended([process]) == [2]
    assert said(tmp_path)[0].splitlines()[-1].startswith("error: this process has connected")


def connect_again(address):
    hosts.connect(address, 1, 0)


# What JAX reads of a cluster, as its launcher sets it for process i on the first of its hosts.
CLUSTERS = {
    "SLURM": lambda job, i: {
        "SLURM_JOB_ID": job,
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": 2,
        "SLURM_PROCID": i,
        "SLURM_LOCALID": 0,
    },
    "Open MPI 4": lambda job, i: {
        "OMPI_MCA_orte_hnp_uri": f"{4096 * job}.0;tcp://127.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": 2,
        "OMPI_COMM_WORLD_RANK": i,
        "OMPI_COMM_WORLD_LOCAL_RANK": 0,
    },
}


def connect_in_cluster(name, job, process):
    os.environ.update({key: str(value) for key, value in CLUSTERS[name](job, process).items()})
    hosts.connect()
    assert (jax.process_index(), jax.process_count()) == (process, 2)
    assert hosts.any_of(process == 1) == (True,)


@pytest.mark.parametrize("name", CLUSTERS)
def test_auto_finds_the_others_by_what_a_cluster_sets(tmp_path, name):
    job = os.getpid()  # of which JAX makes the port
    processes = [
        start(connect_in_cluster, name, job, i, log=tmp_path / f"{i}.log") for i in range(2)
    ]
    assert ended(processes) == [0, 0], said(tmp_path)


def test_an_error_of_a_single_process_blames_no_other_host():
    def broken():
        raise RuntimeError("no other host is in this")

    with pytest.raises(RuntimeError, match="no other host") as caught:
        hosts._together(broken)()
    assert not isinstance(caught.value, hosts.LostHostError)


def test_a_host_that_no_longer_answers_ends_the_other(tmp_path):
    processes = start_hosts(train_until, freeze, 0, tmp_path / "run", folder=tmp_path)
    processes[1].join(HANGS)
    code = processes[1].exitcode
    ended(processes, seconds=0)
    assert code not in (0, None)
    assert AGAIN in last_words(tmp_path, 1)


def last_words(folder, who):
    """Return the last line, which another process writes once this one has ended."""
    for _ in range(100):
        if (line := said(folder)[who].splitlines()[-1]).startswith("error: "):
            break
        time.sleep(0.1)
    return line


def test_an_error_of_one_host_alone_ends_both_each_with_its_line(tmp_path):
    codes = ended(start_hosts(train_until, fail, 1, tmp_path / "run", folder=tmp_path))
    assert codes[1] == 2 and codes[0] not in (0, None), said(tmp_path)
    assert "error: the disk of this host alone is full\n" in said(tmp_path)[1]
    assert AGAIN in said(tmp_path)[0]


def test_a_signal_to_any_host_saves_and_stops_all(world, tmp_path):
    processes = start_hosts(train_until, terminate, 1, tmp_path / "run", folder=tmp_path)
    assert ended(processes) == [130, 130], said(tmp_path)
    saved = sorted((tmp_path / "run" / "checkpoint").iterdir())
    assert saved[-1].stem == "000006"  # the epoch after
    codes = ended(start_hosts(train, tmp_path / "run", folder=tmp_path / "again"))
    assert codes == [0, 0], said(tmp_path / "again")
    assert_same_bits(outcome(tmp_path / "run"), world[1])


def test_an_error_of_the_first_host_is_everyones(tmp_path):
    (tmp_path / "file").write_text("in the way")
    codes = ended(start_hosts(train, tmp_path / "file" / "run", folder=tmp_path))
    assert codes == [2, 2]
    for text in said(tmp_path):
        assert "cannot be written" in text.splitlines()[-1]


def test_a_finished_run_is_returned_on_every_host(world, tmp_path):
    """Even where only the first sees the folder; the other is given one that is not there."""
    codes = ended(start_hosts(return_finished, world[0] / "one", tmp_path, folder=tmp_path))
    assert codes == [0, 0], said(tmp_path)
    for host in range(2):
        assert_same_bits(dict(np.load(tmp_path / f"{host}.npz")), curves_of(world[1]))


def return_finished(there, out):
    host = jax.process_index()
    curves, networks = train(there if host == 0 else out / "elsewhere")
    assert len(networks) == len(GRID["learning_rate"])
    assert not (out / "elsewhere").exists()
    np.savez(out / f"{host}.npz", **{name: curves[name].values for name in curves})


def curves_of(found):
    return {name: values for name, values in found.items() if name.startswith(("train_", "valid_"))}


def grow(out, elsewhere):
    """Train two epochs of a seed, then three of two; compare with a run of that at once."""
    folder, more = (out, elsewhere)[jax.process_index()], {"epochs": 3, "seeds": 2}
    train(folder, epochs=2, keep_state=True)
    (grown, networks), (whole, others) = train(folder, **more, keep_state=True), train(None, **more)
    for name in whole:
        np.testing.assert_allclose(grown[name], whole[name], rtol=1e-5)
    np.testing.assert_array_equal(networks.epoch, others.epoch)
    for a, b in zip(*(jax.tree.leaves(n.variables) for n in (networks, others)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert not elsewhere.exists()


def test_a_run_grows_on_two_hosts_though_one_alone_sees_its_folder(tmp_path):
    codes = ended(start_hosts(grow, tmp_path / "run", tmp_path / "elsewhere", folder=tmp_path))
    assert codes == [0, 0], said(tmp_path)
    line = "5 trials kept (they go on from epoch 2), 5 trained"
    assert [line in text for text in said(tmp_path)] == [True, False]
    assert load_curves(tmp_path / "run" / "curves.nc").sizes["seed"] == 2


DIFFERENT = {"epochs": (2, 3), "trials_at_once": (2, 4), "overwrite": (False, True)}


def differ(out, name):
    train(out, **{name: DIFFERENT[name][jax.process_index()]})


@pytest.mark.parametrize("name", DIFFERENT)
def test_hosts_about_to_do_different_things_are_refused(tmp_path, name):
    assert ended(start_hosts(differ, tmp_path / "run", name, folder=tmp_path)) == [2, 2]
    first, second = (text.splitlines()[-1] for text in said(tmp_path))
    assert "not about to do the same (see the others)" in first
    assert f"(this one in its {name})" in second
    assert not (tmp_path / "run").exists()


def command_line(out, *host):
    words = "--learning-rate 0.1 0.01 --size 660 --hidden 8 --seeds 1 --epochs 1"
    names = "--out", "--coordinator", "--processes", "--process"
    options = [word for pair in zip(names, (out, *host), strict=True) for word in map(str, pair)]
    sys.argv[1:] = words.split() + options
    main.main("sweep")


def test_on_the_command_line_the_first_host_alone_prints_and_writes(tmp_path):
    address, out = free_address(), tmp_path / "run"
    processes = [
        start(command_line, out, address, 2, i, log=tmp_path / f"{i}.log") for i in range(2)
    ]
    codes = ended(processes)
    assert codes == [0, 0], said(tmp_path)
    assert (tmp_path / "run" / "adam" / "settings.md").exists()
    assert "best valid. accuracy" in said(tmp_path)[0]
    assert "best valid. accuracy" not in said(tmp_path)[1]
