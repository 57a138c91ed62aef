#!/usr/bin/env python3
"""Runs the commands of a page, README.md or one of docs/, in its order, in an empty home and a network of its own.

    tests/docs/run.py PAGE JETSLED NATS

`sh` blocks run in one shell that ends at the first failure; `sh background` blocks start a server and wait until it is ready; `sh stop` ends the
last one. A `text` block is what the block before it must have printed: whole lines in their order, `...` stands for anything.
Lines that build the program are left out, and `cargo run --release` is `jetsled`: it is given. A comment (`<!-- sh`, lines, `-->`) prepares what a reader has already; in it
$REPOSITORY is this one.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

WITHIN = 60


def blocks(page):
    """Kind, text and line of each fenced block."""
    kind, lines, began = None, [], 0
    for number, line in enumerate(page.splitlines(), 1):
        is_end = line.strip() in ("```", "-->") and kind is not None
        if is_end:
            yield kind, "\n".join(lines), began
            kind = None
        elif kind is None and line.strip().startswith(("```", "<!-- sh")):
            kind, lines, began = line.strip().removeprefix("```").removeprefix("<!-- "), [], number
        else:
            lines.append(line)


class Page:
    def __init__(self, home, path):
        self.home = home
        # `nats` asks the system for the home of its user, unless it is told where to keep its contexts.
        self.environment = {"HOME": home, "XDG_CONFIG_HOME": os.path.join(home, ".config"), "PATH": path, "LANG": "C.UTF-8", "TERM": "dumb",
                            "REPOSITORY": os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))}
        self.directory = home
        self.servers = []
        self.said = ""

    def shell(self, text):
        """Runs a block and remembers where it has gone and what it has exported."""
        state = os.path.join(self.home, ".state")
        script = f"set -euo pipefail\ncd {self.directory!r}\n{text}\npwd > {state}\nenv -0 > {state}.env\n"
        done = subprocess.run(["bash", "-c", script], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=WITHIN)
        self.said = done.stdout
        if done.returncode != 0:
            raise AssertionError(f"exit code {done.returncode}:\n{done.stdout}")
        with open(state) as file:
            self.directory = file.read().strip()
        with open(state + ".env") as file:
            self.environment = dict(entry.split("=", 1) for entry in file.read().split("\0") if "=" in entry)

    def start(self, text):
        log = open(os.path.join(self.home, f"log{len(self.servers)}"), "w+")
        server = subprocess.Popen(["bash", "-c", f"exec {text}"], cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log)
        self.servers.append(server)
        until = time.monotonic() + WITHIN
        while True:
            log.seek(0)
            said = log.read()
            if "Server is ready" in said:
                return
            if server.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"the server did not start:\n{said}")
            time.sleep(0.02)

    def stop(self):
        server = self.servers.pop()
        server.terminate()
        if server.wait(WITHIN) != 0:
            raise AssertionError(f"the server ended with {server.returncode}")

    def compare(self, expected):
        pattern = ".*".join(re.escape(part) for part in expected.strip().split("..."))
        if not re.fullmatch(pattern, self.said.strip(), re.DOTALL):
            raise AssertionError(f"expected\n{expected}\ngot\n{self.said}")

    def run(self, kind, text):
        if kind == "sh":
            lines = [line for line in text.splitlines() if not line.startswith(("cargo ", "export PATH="))]
            self.shell("\n".join(lines))
        elif kind == "sh background":
            self.start(text.strip().replace("cargo run --release", "jetsled"))
        elif kind == "sh stop":
            self.stop()
        elif kind == "text":
            self.compare(text)
        else:
            raise AssertionError(f"a block of kind {kind!r} that nothing runs")


def main():
    page, jetsled, nats = sys.argv[1:]
    if os.environ.get("JETSLED_DOCS_NETWORK") is None:
        # The pages use the ports that everybody uses.
        os.environ["JETSLED_DOCS_NETWORK"] = "1"
        inside = 'ip link set lo up && exec "$@"'
        os.execvp("unshare", ["unshare", "--map-root-user", "--net", "sh", "-c", inside, "_", sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory() as home:
        programs = os.path.join(home, "bin")
        os.mkdir(programs)
        os.symlink(os.path.realpath(jetsled), os.path.join(programs, "jetsled"))
        os.symlink(os.path.realpath(nats), os.path.join(programs, "nats"))
        run = Page(home, programs + ":" + os.environ["PATH"])
        count = 0
        try:
            for kind, text, line in blocks(open(page).read()):
                try:
                    run.run(kind, text)
                except AssertionError as error:
                    sys.exit(f"{page}:{line}: {error}")
                count += 1
        finally:
            for server in run.servers:
                server.kill()
                server.wait()
        print(f"{page}: {count} blocks")


main()
