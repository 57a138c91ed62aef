"""The `nats` command line's view of a server: server.py NATS SERVER [RECORDED]

As check.py beside it, for the commands that look at the server, its accounts and its services: `nats server`, `account`, `rtt`, `trace`, `micro`,
`latency`. `server-transcript.txt` is what nats-server 2.15.1 gives:

    python3 tests/clients/cli/server.py nats nats-server > tests/clients/cli/server-transcript.txt
    python3 tests/clients/cli/server.py nats target/release/jetsled tests/clients/cli/server-transcript.txt
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from check import Server, compare, mask

CONFIG = """
server_name: SERVER
accounts {
  A { jetstream: enabled, users: [ {user: a, password: p} ], exports: [ {service: "q.>"} ] }
  B { users: [ {user: b, password: p} ], imports: [ {service: {account: A, subject: "q.>"}} ] }
  SYS { users: [ {user: system, password: p} ] }
}
system_account: SYS
jetstream { store_dir: store, max_mem: 64MB, max_file: 64MB }
"""

# USER: COMMAND; &USER runs on in the background, ?USER is only asked whether it works: its output is never the
# same twice or an answer of a monitoring service as it came.
COMMANDS = """
a: stream add ORDERS --subjects=orders.> --defaults
a: pub orders.1 hello -J
&a: reply q.help answer
&a: sub s.> --queue=workers
system: server list
system: server ping
system: server info
system: server info SERVER
system: server report connections
system: server report connections --account=A
system: server report accounts
system: server report jetstream
?system: server report cpu
?system: server report mem
system: server report health
system: server report routes
system: server report gateways
system: server report leafnodes
?system: server request variables
?system: server request connections
?system: server request subscriptions --detail
?system: server request accounts
?system: server request accounts --account=A
?system: server request jetstream --streams --consumer
?system: server request routes
?system: server request gateways
?system: server request leafnodes
?system: server request raft
?system: server account info A
?system: server check connection
?system: server check server --name=SERVER
system: server stream-check
system: server consumer-check
system: server check meta --expect=1 --lag-critical=1 --seen-critical=1s
a: server check jetstream
a: server check jetstream --streams-warn=0 --streams-critical=0
a: server check stream --stream=ORDERS
a: server check stream --stream=NONE
a: server check stream --stream=ORDERS --msgs-critical=5
a: consumer add ORDERS C --pull --defaults
a: server check consumer --stream=ORDERS --consumer=C
a: server check consumer --stream=ORDERS --consumer=C --outstanding-ack-critical=1 --waiting-critical=1
a: server check consumer --stream=ORDERS --consumer=NONE
a: server check message --stream=ORDERS --subject=orders.1 --content=hello
a: server check message --stream=ORDERS --subject=orders.1 --content=other
a: kv add BUCKET
a: kv put BUCKET key value
a: server check kv --bucket=BUCKET --key=key
a: server check kv --bucket=BUCKET --key=none
a: server check kv --bucket=NONE
a: server check request --subject=q.help --payload=question --match-payload=answer
a: server check request --subject=nobody --payload=question
a: server check server --name=SERVER
system: server check server --name=OTHER
?system: server check server --name=SERVER --conn-warn=1 --conn-critical=2 --subs-warn=1 --subs-critical=2 --js-required
?system: server request jetstream-health
?system: server request jetstream-health --account=A --stream=ORDERS
system: server report jetstream --account=A
?system: server report health --account=A --stream=NONE
system: server mappings foo.* bar.$1 foo.x
a: account tls
a: account info
?a: account report connections
?a: account report statistics
?a: rtt
a: trace orders.1
a: trace s.1
a: trace q.help
b: trace q.help
b: request q.help question --raw
a: request nobody question --raw
&a: micro serve echo
?a: micro ls
?a: micro ping
a: micro info echo
a: micro stats echo
?a: latency --server-b=URL --duration=1s
a: server info
"""

MASKS = [
    (r"cid:\d+", "CID"),
    (r"Client ID: \d+", "CID"),
    (r"^│ \d+ +│ NATS CLI", "│ CID │ NATS CLI"),
    (r"\b[\d.]+ [KM]iB\b|\b\d+ B\b", "SIZE"),
    (r'"rtt": \d+', '"rtt": SPAN'),
    (r"max: [\d.]+ min: [\d.]+ avg: [\d.]+", "SPANS"),
    (r" +│", " │"),
    (r"─+", "─"),
]
# Of a Go program, of the machine, and what docs/compatibility.md has (durability, compression, order of imports).
LEFT_OUT = re.compile(
    r"Git Commit|Go Version|Memory:|Subscriptions:|CPU|sync writes|sync Frequency|Message Compression|Uptime|Load:|^│ (SERVER)? *│|Messages: |Start Time"
)


def shown(text):
    text = mask(text)
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text, flags=re.M)
    return "\n".join(line for line in text.splitlines() if not LEFT_OUT.search(line)) + "\n"


def start(program, files, config=CONFIG):
    (files / "server.conf").write_text(config)
    return Server(program, "-c", "server.conf", "-a", "127.0.0.1", "-p", "-1", cwd=files)


def wait_for_subscriptions(nats, environment, files, count):
    """Until what runs in the background has subscribed."""
    for _ in range(100):
        done = subprocess.run(
            [nats, "server", "report", "connections", "--account=A", "--json"], cwd=files, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.stdout.count('"cid"') >= count:
            return
        time.sleep(0.05)
    raise SystemExit("the background does not subscribe")


def run(nats, program):
    transcript, background = [], []
    with tempfile.TemporaryDirectory() as files:
        files = pathlib.Path(files)
        server = start(program, files)
        url = f"nats://127.0.0.1:{server.port}"
        common = {"HOME": str(files), "PATH": os.environ["PATH"], "NATS_URL": url, "NATS_PASSWORD": "p", "NO_COLOR": "1", "TZ": "UTC"}
        try:
            for entry in COMMANDS.strip().splitlines():
                user, command = entry.split(": ", 1)
                environment = common | {"NATS_USER": user.lstrip("&?")}
                args = [nats, *command.replace("URL", f"nats://a:p@127.0.0.1:{server.port}").split(" ")]
                quiet = {"cwd": files, "env": environment, "stdin": subprocess.DEVNULL}
                if user.startswith("&"):
                    background.append(subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **quiet))
                    wait_for_subscriptions(nats, common | {"NATS_USER": "system"}, files, len(background))
                    continue
                done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, **quiet)
                output = "" if user.startswith("?") else shown(done.stdout.decode(errors="replace"))
                transcript.append(f"$ {user.lstrip('?')}: nats {command}  -> {done.returncode}\n{output}")
        finally:
            for process in [*background, server.process]:
                process.terminate()
                process.wait()
    return "\n".join(transcript)


def main(nats, program, recorded=None):
    full = [str(pathlib.Path(name).absolute()) if "/" in name else name for name in (nats, program)]
    transcript = run(*full)
    compare(transcript, program, recorded, f"{len(COMMANDS.strip().splitlines())} commands about the server")


if __name__ == "__main__":
    main(*sys.argv[1:])
