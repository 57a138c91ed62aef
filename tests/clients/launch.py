"""Starts a server and waits until it serves, for the checks in the directories beside this file."""
import re
import subprocess
import threading


class Server:
    """A running program; `port` is where its clients connect to, as it says in its log."""

    def __init__(self, program, *arguments, cwd=None):
        self.process = subprocess.Popen([program, *arguments], cwd=cwd, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"Listening for client connections on \S+:(\d+)", line):
                self.port = int(found[1])
            if "Server is ready" in line:
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return
        raise SystemExit(f"{program} ended before it was ready")

    def stop(self):
        self.process.terminate()
        self.process.wait()
