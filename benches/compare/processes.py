"""Processes: started on given cores, watched through /proc, and stopped by their ids on any way out."""

import os
import pathlib
import resource
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):
    """Reads well after "failed to"."""


class Server:
    """A server process, and those it has started itself."""

    started = []

    def __init__(self, name, command, ports, cores, folder):
        self.name, self.ports, self.cores = name, ports, cores
        self.log = folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: prepare(cores),
            )
        Server.started.append(self)
        self.wait_for_ports()

    def wait_for_ports(self):
        end = time.monotonic() + 30
        for port in self.ports:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if self.process.poll() is not None or time.monotonic() > end:
                        raise Failed(f"start {self.name}: {self.log.read_text().strip()[-500:]}")
                    time.sleep(0.02)

    def pids(self):
        pids, new = [], [self.process.pid]
        while new:
            pid = new.pop()
            pids.append(pid)
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                new += [int(child) for child in children.read_text().split()]
        return pids

    def move(self, cores):
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), cores)
        self.cores = cores

    def cpu(self):
        return sum(cpu_seconds(pid) for pid in self.pids())

    def resident(self):
        return sum(
            int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
            for pid in self.pids()
        )

    def reset_peak(self):
        for pid in self.pids():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak(self):
        """Most memory since `reset_peak`, in bytes."""
        return sum(status_kib(pid, "VmHWM:") * 1024 for pid in self.pids())

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                for pid in reversed(self.pids()):
                    os.kill(pid, signal.SIGKILL)
                self.process.wait()
        if self in Server.started:
            Server.started.remove(self)


def stop_all():
    for server in list(Server.started):
        server.stop()


def prepare(cores):
    os.sched_setaffinity(0, cores)
    # Ctrl-C is for the script, which then stops its servers.
    os.setpgid(0, 0)


def run(command, cores, both=False):
    """Runs a load generator to its end, and gives what it printed; on request what it printed as errors, too."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if both else subprocess.PIPE,
        text=True,
        timeout=600,
        preexec_fn=lambda: prepare(cores),
    )
    if done.returncode != 0:
        raise Failed(f"run {' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def cpu_seconds(pid):
    # Behind the name, which may hold blanks: utime and stime are fields 14 and 15.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def status_kib(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise Failed(f"read {name} of {pid}")


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Watch:
    """What others took of some cores while a sample was taken."""

    def __init__(self, cores):
        self.cores = cores
        self.before = self.now()

    def now(self):
        own = sum(server.cpu() for server in Server.started)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            own += usage.ru_utime + usage.ru_stime
        return time.monotonic(), busy(self.cores), own

    def foreign(self):
        """As a share of the cores' time."""
        (started, busy_before, own_before), (ended, busy_after, own_after) = self.before, self.now()
        others = (busy_after - busy_before) - (own_after - own_before)
        return max(0.0, others) / ((ended - started) * len(self.cores))


def busy(cores):
    """Seconds in which the cores were at work, for anybody."""
    total = 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in {f"cpu{core}" for core in cores}:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            total += user + nice + system + irq + softirq + steal
    return total / TICK
