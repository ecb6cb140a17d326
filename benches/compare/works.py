"""What is measured: each work gives the figures of one sample."""

import json
import re
import subprocess

from processes import Failed, Watch, prepare, run

MIB = 1024 * 1024


class Works:
    def __init__(self, programs, post_script, load_cores, proxy_cores, seconds, large):
        self.load = programs / "load"
        self.post_script = post_script
        self.load_cores, self.proxy_cores = load_cores, proxy_cores
        self.seconds = seconds
        self.large = large
        self.rate = None

    def sample(self, work, contender):
        """Figures of one sample: what the work gives, and `foreign`, what others took of the cores meanwhile."""
        watch = Watch(self.load_cores | contender.server.cores)
        figures = getattr(self, work)(contender)
        figures["foreign"] = watch.foreign()
        return figures

    def small(self, contender):
        return self.by_requests(contender, lambda: self.wrk(contender.url("/small"), contender.user))

    def medium(self, contender):
        return self.by_requests(contender, lambda: self.wrk(contender.url("/medium"), contender.user))

    def post(self, contender):
        url = f"http://127.0.0.1:{contender.h1}{contender.upload}"
        return self.by_requests(contender, lambda: self.wrk(url, contender.uploader, "-s", self.post_script))

    def h2(self, contender):
        return self.by_requests(contender, lambda: self.h2load(contender.url("/small", contender.h2), contender.user))

    def down(self, contender):
        return self.by_mebibytes(
            contender,
            ["down", "--path", f"{contender.paths}/large", "--user", contender.user],
        )

    def up(self, contender):
        return self.by_mebibytes(
            contender,
            ["up", "--path", contender.upload, "--user", contender.uploader, "--bytes", self.large],
        )

    def latency(self, contender):
        """Microseconds from the moment a request was planned for; the rate is the same for all."""
        command = ["rate", "--path", f"{contender.paths}/small", "--user", contender.user]
        command += ["--rate", self.rate, "--connections", 32, "--seconds", self.seconds]
        return self.own(contender, command)

    def by_requests(self, contender, generate):
        before = contender.server.cpu()
        requests, seconds = generate()
        cpu = contender.server.cpu() - before
        return {"cpu": cpu / requests * 1e6, "rps": requests / seconds}

    def by_mebibytes(self, contender, command):
        contender.server.reset_peak()
        resident = contender.server.resident()
        before = contender.server.cpu()
        mebibytes = self.own(contender, command)["bytes"] / MIB
        cpu = contender.server.cpu() - before
        growth = max(0, contender.server.peak() - resident)
        return {"cpu": cpu / mebibytes * 1e6, "growth": growth / MIB}

    def own(self, contender, command):
        command = [self.load, *command, "--address", f"127.0.0.1:{contender.h1}"]
        return json.loads(run(command, self.load_cores))

    def wrk(self, url, user, *more, threads=1, cores=None):
        command = ["wrk", "-t", threads, "-c", 32, "-d", f"{self.seconds}s", "-H", f"X-User: {user}", *more, url]
        said = run(command, cores or self.load_cores)
        found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", said)
        if not found or "Non-2xx" in said or "Socket errors" in said:
            raise Failed(f"load {url}: {said.strip()}")
        unit = 1000 if found[3] == "ms" else 1
        return int(found[1]), float(found[2]) / unit

    def h2load(self, url, user):
        # Prior knowledge, without TLS.
        command = ["h2load", "-c", 8, "-m", 4, "-t", 1, "-D", self.seconds, "-H", f"x-user: {user}", url]
        said = run(command, self.load_cores)
        done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", said)
        codes = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", said)
        # Requests still under way at the end do not count as done, nor as failed.
        if not done or not codes or int(done[1]) == 0 or int(done[2]) > 0:
            raise Failed(f"load {url}: {said.strip()}")
        return int(done[1]), self.seconds

    def idle(self, contender, connections):
        """KiB that each of many connections takes, idle after one request."""
        before = contender.server.resident()
        command = [self.load, "idle", "--address", f"127.0.0.1:{contender.h1}", "--connections", connections]
        command += ["--path", f"{contender.paths}/small", "--user", contender.user]
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: prepare(self.load_cores),
        )
        with process:
            opened = json.loads(process.stdout.readline() or "{}").get("connections")
            after = contender.server.resident()
            process.stdin.close()
        if opened != connections:
            raise Failed(f"open {connections} connections to {contender.title}")
        return (after - before) / connections / 1024

    def everything_on(self, contender, upstreams, cores):
        """Requests a second, with proxy, upstream and load generator all on `cores`."""
        moved = [contender.server, *upstreams]
        homes = [server.cores for server in moved]
        for server in moved:
            server.move(cores)
        try:
            watch = Watch(cores)
            before = contender.server.cpu()
            requests, seconds = self.wrk(
                contender.url("/small"), contender.user, threads=len(cores), cores=cores
            )
            cpu = contender.server.cpu() - before
            return {"rps": requests / seconds, "cpu": cpu / requests * 1e6, "foreign": watch.foreign()}
        finally:
            for server, home in zip(moved, homes):
                server.move(home)
