"""Decentralized authentication with the `nats` command line: auth.py NATS SERVER [RECORDED]

As check.py beside it: makes an operator, accounts and users with `nats auth`, starts SERVER with a full resolver that knows the system account only,
pushes the others, and uses, changes and revokes their credentials. `auth-transcript.txt` is what nats-server 2.15.1 gives:

    python3 tests/clients/cli/auth.py nats nats-server > tests/clients/cli/auth-transcript.txt
    python3 tests/clients/cli/auth.py nats target/release/jetsled tests/clients/cli/auth-transcript.txt
"""
import base64
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from check import compare
from server import shown, start

MAKE = """
auth operator add O
auth user add system SYSTEM --operator=O --defaults --credential=system.creds
auth account add APP --operator=O --jetstream --js-disk=10MB --js-memory=10MB --js-streams=2 --connections=2 --defaults
auth account add OTHER --operator=O --defaults
auth user add alice APP --operator=O --defaults --credential=alice.creds
auth user add bob APP --operator=O --pub-allow=b.> --sub-allow=_INBOX.> --payload=100 --defaults --credential=bob.creds
auth user add carol OTHER --operator=O --defaults --credential=carol.creds
auth account exports add help ask.> APP --operator=O --service --description=help
auth account info APP --operator=O
"""

# CREDENTIALS: COMMAND; "-" is none, ?CREDENTIALS only asks whether it works: lists of imports have a random order.
USE = """
alice: account info
system: auth account query APP --operator=O
system: auth account push APP --operator=O
system: auth account push APP --operator=O
system: auth account push OTHER --operator=O
system: auth account query APP --operator=O
alice: account info
alice: stream add ONE --subjects=one.> --defaults
alice: stream add TWO --subjects=two.> --defaults
alice: stream add THREE --subjects=three.> --defaults
alice: pub one.1 hello -J
bob: pub b.x allowed
bob: pub a.x denied
bob: request b.x question --raw
bob: stream ls
carol: account info
carol: stream ls
-: pub x y
-: auth account edit APP --operator=O --js-streams=5
system: auth account push APP --operator=O
alice: stream add THREE --subjects=three.> --defaults
system: server report accounts
system: server report connections --account={APP}
?system: server account info {APP}
system: server list
system: server check connection
alice: server check credential --credential=alice.creds
bob: server check credential --credential=bob.creds
-: auth user ls APP --operator=O
-: auth user rm bob APP --operator=O --force
system: auth account push APP --operator=O
bob: pub b.x revoked
alice: pub one.2 still -J
"""

KEYS = [
    (r"\b[OAUN][A-Z2-7]{55}\b", "KEY"),
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "CLAIMS"),
    (r"Issued: .*", "Issued: TIME"),
]
# In the order of their keys, which are random.
RANDOM_ORDER = re.compile(r"^│ .*KEY.*│$|^│ (alice|bob) ", re.M)


def masked(text):
    for pattern, name in KEYS:
        text = re.sub(pattern, name, text)
    # Whether a violation is also told on the way is a matter of time.
    lines = [line for line in shown(text).splitlines() if ">>> Unexpected NATS error" not in line]
    rows = [index for index, line in enumerate(lines) if RANDOM_ORDER.search(line)]
    for index, line in zip(rows, sorted(lines[index] for index in rows)):
        lines[index] = line
    return "\n".join(lines) + "\n"


def account(store, name):
    """An account's claims as a token, and its key."""
    token = (store / f"accounts/{name}/{name}.jwt").read_text().strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return token, claims["sub"]


def config(store):
    """A server of the operator with a full resolver that knows its system account."""
    operator = (store / "O.jwt").read_text().strip()
    token, key = account(store, "SYSTEM")
    return f"""
server_name: SERVER
operator: {operator}
system_account: {key}
resolver {{ type: full, dir: accounts, allow_delete: true }}
resolver_preload {{ {key}: {token} }}
jetstream {{ store_dir: store, max_mem: 64MB, max_file: 64MB }}
"""


def run(nats, program):
    transcript = []
    with tempfile.TemporaryDirectory() as files:
        files = pathlib.Path(files)
        environment = {
            "HOME": str(files),
            "XDG_DATA_HOME": str(files / "data"),
            "XDG_CONFIG_HOME": str(files / "config"),
            "PATH": os.environ["PATH"],
            "NO_COLOR": "1",
            "TZ": "UTC",
        }

        store, app = files / "data/nats/nsc/stores/O", ""

        def command(title, line, environment, is_shown=True):
            done = subprocess.run(
                [nats, *line.replace("{APP}", app).split(" ")],
                cwd=files,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=60,
            )
            output = masked(done.stdout.decode(errors="replace")) if is_shown else ""
            transcript.append(f"$ {title}nats {line}  -> {done.returncode}\n{output}")

        for line in MAKE.strip().splitlines():
            command("", line, environment)
        app = account(store, "APP")[1]
        server = start(program, files, config(store))
        try:
            for entry in USE.strip().splitlines():
                user, line = entry.split(": ", 1)
                own = environment | {"NATS_URL": f"nats://127.0.0.1:{server.port}"}
                if user != "-":
                    own["NATS_CREDS"] = f"{user.lstrip('?')}.creds"
                command(f"{user}: ", line, own, not user.startswith("?"))
        finally:
            server.stop()
    return "\n".join(transcript)


def main(nats, program, recorded=None):
    full = [str(pathlib.Path(name).absolute()) if "/" in name else name for name in (nats, program)]
    transcript = run(*full)
    count = len((MAKE + USE).strip().splitlines())
    compare(transcript, program, recorded, f"{count} commands about credentials")


if __name__ == "__main__":
    main(*sys.argv[1:])
