#!/usr/bin/env python3
"""Compares cas-proxy with its peers, side by side on this machine. README.md beside this file says how and why.

    compare.py            everything: 9 to 14 minutes behind the build
    compare.py --quick    one short round, to see that all parts run: about a minute
"""

import argparse
import ctypes.util
import datetime
import json
import os
import pathlib
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time

# Nothing is left beside the sources.
sys.dont_write_bytecode = True

import growth
import report
from contenders import LARGE, Setup, scripts
from processes import Failed, Server, stop_all
from works import Works

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
TARGET = PROJECT / "target" / "compare"
PROGRAMS = TARGET / "release"

# What a sample of each work takes part in. The first proxy is what others are compared with.
PROXIED = ["small", "medium", "post", "h2", "down", "up", "latency"]
LOCAL = ["small", "h2"]
LARGER = ["medium", "down"]
COMMAND = "python3 benches/compare/compare.py"
IDLE_CONNECTIONS = 10_000
# A sample in which others took more of the cores than this is taken again.
FOREIGN = 0.10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round; writes no results")
    parser.add_argument("--rounds", type=int, default=6, help="rounds that count, behind one that warms up")
    parser.add_argument("--seconds", type=int, default=2, help="of load in a sample")
    parser.add_argument("--again-for", type=int, default=180, help="seconds spent on taking disturbed samples again")
    parser.add_argument("--only", nargs="*", help="works, of: " + " ".join([*PROXIED, "idle", "cores"]))
    parser.add_argument("--growth", action="store_true", help="measure growth, instead of the comparison")
    options = parser.parse_args()
    try:
        if options.growth:
            build()
            return grow(options)
        compare(options)
    except Failed as failed:
        sys.exit(f"compare.py failed to {failed}")
    except KeyboardInterrupt:
        sys.exit("stopped")
    finally:
        stop_all()


def compare(options):
    install()
    build()
    raise_limit()
    # The script's own load generators end with it, and so do its servers: see `finally` above.
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Failed("run on one core: the proxy needs one, and the load another")
    load_core, proxy_core = cores[0], cores[1]
    os.sched_setaffinity(0, {load_core})

    setup = Setup(folder(), PROGRAMS, {proxy_core}, {load_core})
    setup.upstreams()
    proxies, local, buffers = list(setup.proxies()), list(setup.locals()), setup.with_buffers()
    seconds, rounds = (1, 1) if options.quick else (options.seconds, options.rounds)
    large = LARGE // 16 if options.quick else LARGE
    works = Works(PROGRAMS, scripts(setup.folder), {load_core}, {proxy_core}, seconds, large)
    plan = [(work, contender) for work in PROXIED if wanted(options, work) for contender in proxies]
    plan += [(work, buffers) for work in LARGER if wanted(options, work)]
    plan += [(work, contender) for work in LOCAL if wanted(options, work) for contender in local]

    samples = Samples()
    started = time.monotonic()
    capacity = works.small(proxies[0])["rps"]
    works.rate = round(0.3 * capacity)
    say(f"nginx does {capacity:.0f} requests/s, so the fixed rate is {works.rate}/s")
    for number in range(rounds + (0 if options.quick else 1)):
        warming = number == 0 and not options.quick
        works.seconds = 1 if warming else seconds
        for work, contender in plan:
            figures = works.sample(work, contender)
            if not warming:
                samples.add(work, contender.key, figures)
        say(f"round {number}{' (warms up)' if warming else ''}: {time.monotonic() - started:.0f} s so far")
    if wanted(options, "cores"):
        both_cores(setup, works, samples, proxies, {load_core, proxy_core}, rounds)
    if not options.quick:
        again(options, works, samples, plan, rounds)
    if wanted(options, "idle"):
        # Fresh processes, or what the load has left behind would be used again.
        stop_all()
        setup.upstreams()
        for contender in [*setup.proxies(), *setup.locals()]:
            kib = works.idle(contender, IDLE_CONNECTIONS // (20 if options.quick else 1))
            samples.add("idle", contender.key, {"kib": kib, "foreign": 0.0})

    titles = {contender.key: contender.title for contender in [*proxies, buffers, *local]}
    result = {
        "command": COMMAND,
        "measured": {
            **machine(),
            "rounds": rounds,
            "seconds": seconds,
            "rate": works.rate,
            "took": round(time.monotonic() - started),
        },
        "titles": titles,
        "works": samples.summary(),
    }
    print(report.table(result))
    if options.quick or options.only:
        print("\nnot written down: that takes a whole run")
    else:
        report.write(HERE, result)


def grow(options):
    rows = []
    for row in growth.growth(PROGRAMS, {max(os.sched_getaffinity(0))}, 100 if options.quick else None):
        say(" ".join(str(value) for value in row.values()))
        rows.append(row)
    print(growth.table(rows))
    if options.quick:
        print("\nnot written down: that takes a whole run")
    else:
        report.write_growth(HERE, rows, {"command": COMMAND + " --growth", **machine()})


def both_cores(setup, works, samples, proxies, cores, rounds):
    """What a second core brings, when all is doubled with it: proxy, upstream and load generator."""
    double = Setup(setup.folder / "double", PROGRAMS, cores, cores, threads=len(cores))
    double.upstreams()
    ones = [each for each in proxies if each.key in ("nginx", "cas_proxy")]
    twos = [double.nginx_proxy("nginx", "nginx, map"), double.first_cas("cas_proxy", "cas-proxy", "lab")]
    first = {min(cores)}
    for _ in range(rounds):
        for one, two in zip(ones, twos):
            samples.add("one_core", one.key, works.everything_on(one, [setup.upstream], first))
            samples.add("both_cores", two.key, works.everything_on(two, [double.upstream], cores))
    for server in [two.server for two in twos] + [double.upstream, double.reno_server]:
        server.stop()


def again(options, works, samples, plan, rounds):
    """Takes disturbed samples again, while there is time."""
    end = time.monotonic() + options.again_for
    missing = True
    while missing and time.monotonic() < end:
        missing = False
        for work, contender in plan:
            if samples.clean(work, contender.key) < rounds and time.monotonic() < end:
                missing = True
                samples.add(work, contender.key, works.sample(work, contender))


class Samples:
    def __init__(self):
        self.taken = {}

    def add(self, work, key, figures):
        self.taken.setdefault(work, {}).setdefault(key, []).append(figures)

    def clean(self, work, key):
        return sum(figures["foreign"] <= FOREIGN for figures in self.taken[work][key])

    def summary(self):
        """Medians with their spread: of the undisturbed samples, or of all if those are fewer than three."""
        return {
            work: {key: self.of(samples) for key, samples in contenders.items()}
            for work, contenders in self.taken.items()
        }

    def of(self, samples):
        clean = [figures for figures in samples if figures["foreign"] <= FOREIGN]
        disturbed = len(clean) < min(3, len(samples))
        used = samples if disturbed else clean
        summary = {"samples": len(used), "dropped": len(samples) - len(used), "disturbed": disturbed}
        for name in used[0]:
            if name != "foreign":
                values = sorted(figures[name] for figures in used)
                summary[name] = [round(value, 3) for value in (statistics.median(values), values[0], values[-1])]
        return summary


def raise_limit():
    """Proxies and load generator inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = IDLE_CONNECTIONS + 2_000
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(need, hard), max(need, hard)))
    except (OSError, ValueError) as error:
        raise Failed(f"let {need} files be open: {error}") from error


def wanted(options, work):
    return not options.only or work in options.only


def install():
    needed = {"nginx": "nginx", "haproxy": "haproxy", "wrk": "wrk", "h2load": "nghttp2-client"}
    os.environ["PATH"] += ":/usr/sbin"
    missing = [package for program, package in needed.items() if not shutil.which(program)]
    if not ctypes.util.find_library("jemalloc"):
        missing.append("libjemalloc2")
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failed(f"find what it needs. As root on Debian: apt-get install --no-install-recommends {' '.join(missing)}")
    # Packages must not start their daemons.
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
            apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *command]
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            if subprocess.run(apt, env=environment, stdout=subprocess.DEVNULL).returncode != 0:
                raise Failed(f"run {' '.join(apt)}")
    finally:
        if ours:
            policy.unlink()


def build():
    command = ["cargo", "build", "--release", "--quiet", "--manifest-path", str(HERE / "Cargo.toml")]
    if subprocess.run([*command, "--target-dir", str(TARGET)]).returncode != 0:
        raise Failed("build the contenders")


def folder():
    run = TARGET / "run"
    run.mkdir(parents=True, exist_ok=True)
    return run


def machine():
    def said(command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PROJECT)
        return (done.stdout.strip().splitlines() or ["?"])[0]

    model = "?"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    return {
        "day": datetime.date.today().isoformat(),
        "commit": said(["git", "rev-parse", "--short", "HEAD"]),
        "cpu": f"{model}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "rustc": said(["rustc", "--version"]),
        "nginx": said(["nginx", "-v"]),
        "haproxy": said(["haproxy", "-v"]),
    }


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
