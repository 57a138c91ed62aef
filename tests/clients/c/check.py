"""What the C client sees of a server: check.py BINARIES SERVER CERTIFICATES [LIKE]

Starts SERVER under the name nats-server, runs the scenarios of BINARIES (core.c and jetstream.c, compiled) and prints what they print. With
LIKE, another server, the same is played there, and every difference is an error: nothing is recorded, since the client is the one that
the system has, in whatever version.
"""
import difflib
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from launch import Server  # noqa: E402

USER = "UA43N76SDYG4ZD3LGHH4I6Q622OWNYIOLIDTQWMVVRENAUNIWZOCR6L6"
SEED = "SUAFQMXUYQ6AQJPOOMZWZWFTLASQ35AWXTKFNW4MZ3WTSWFAUWUOKRRTMM"  # of nobody but this test
PLAIN = f"""
max_payload: 4KB
lame_duck_grace_period: 500ms
lame_duck_duration: 30s
authorization {{ users: [
  {{ user: a, password: p }}
  {{ nkey: {USER} }}
  {{ user: limited, password: p, permissions: {{ publish: ["a.>"], subscribe: ["_INBOX.>"] }} }}
] }}
"""
JETSTREAM = "jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }\n"
TLS = 'tls {{ cert_file: "{0}/server.pem", key_file: "{0}/server-key.pem", ca_file: "{0}/ca.pem", verify: true }}\n'
MASKS = [
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"_INBOX\.\S+", "INBOX"),
    (r"\b[A-Za-z0-9]{22}\b", "NUID"),
    (r"=\d{4}-\d\d-\d\dT[\d:.]+Z", "=TIME"),
]


class Restartable:
    """A server with a configuration, on the same port over all its lives."""

    def __init__(self, program, files, config):
        self.files, self.port, self.config = files, -1, config
        files.mkdir()
        self.program = files / "nats-server"
        self.program.symlink_to(program)
        self.start()

    def start(self):
        file = self.files / "server.conf"
        file.write_text(f"server_name: SERVER\nhost: 127.0.0.1\nport: {self.port}\n{self.config}")
        self.server = Server(self.program, "-c", file, cwd=self.files)
        self.port = self.server.port

    def stop(self):
        self.server.stop()


def play(command, files, actions):
    """What a scenario prints; `? ACTION` lets it have one done first."""
    process = subprocess.Popen(command, cwd=files, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    late = threading.Timer(120, process.kill)
    late.start()
    lines = []
    for line in process.stdout:
        if line.startswith("? "):
            actions[line[2:].strip()]()
            process.stdin.write("\n")
            process.stdin.flush()
        else:
            lines.append(line)
    lines.append(f"-> {process.wait()}\n")
    late.cancel()
    return "".join(lines)


def run(binaries, program, certificates):
    with tempfile.TemporaryDirectory(prefix="jetsled-c-") as files:
        files = pathlib.Path(files)
        (files / "user.seed").write_text(SEED)
        configs = {"plain": PLAIN, "tls": TLS.format(certificates), "js": JETSTREAM}
        servers = [Restartable(program, files / name, config) for name, config in configs.items()]
        plain, tls, js = servers

        def restart():
            plain.stop()
            plain.start()

        try:
            actions = {"restart": restart, "lame duck": lambda: plain.server.process.send_signal(signal.SIGUSR2)}
            core = play([binaries / "core", f"nats://127.0.0.1:{plain.port}", f"nats://127.0.0.1:{tls.port}", certificates], files, actions)
            transcript = core + play([binaries / "jetstream", f"nats://127.0.0.1:{js.port}"], files, {})
        finally:
            for server in servers:
                server.stop()
    for pattern, name in MASKS:
        transcript = re.sub(pattern, name, transcript)
    return transcript


def main(binaries, program, certificates, like=None):
    binaries, program, certificates = (pathlib.Path(name).resolve() for name in (binaries, program, certificates))
    transcript = run(binaries, program, certificates)
    if like is None:
        print(transcript, end="")
        return
    want = run(binaries, pathlib.Path(like).resolve(), certificates)
    if "-> 0" not in want or "ended" in want:
        raise SystemExit(f"{like} does not play the scenario to its end:\n{want}")
    lines = difflib.unified_diff(want.splitlines(), transcript.splitlines(), str(like), str(program), lineterm="", n=4)
    if difference := list(lines):
        raise SystemExit("\n".join(difference))
    print(f"C client: {len(transcript.splitlines())} lines as with nats-server, passed")


if __name__ == "__main__":
    main(*sys.argv[1:])
