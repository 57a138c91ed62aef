"""A nats-server's store carried over: imports.py NATS_SERVER JETSLED [--messages N] [--record DIRECTORY]

Lets NATS_SERVER write stores with everything that an import must carry (plain, both ciphers, several accounts, after a kill), reads each
through a client from NATS_SERVER itself, imports it by `JETSLED import --verify`, reads the new store through a client from JETSLED, and
compares: every message with headers, sequence and time, stream states, consumers' positions, what is delivered next, and which message ids
are still known. N (default 2000) messages go into the two largest streams, the rest is small. With --record the small stores and what
NATS_SERVER shows of them are kept, as tests/tests/imports has them. Prints one line a store.
"""
import argparse
import gzip
import hashlib
import json
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

KEY = "a key of the tests, no secret"
KINDS = ["plain", "chacha", "aes", "killed"]
ACCOUNTS = {"A": "a", "B": "b"}
LONG = 3600 * 10**9


class Client:
    """The client protocol over a plain socket."""

    def __init__(self, port, user):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb", buffering=1 << 20)
        self.file.readline()
        login = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "user": user, "pass": user}
        self.inbox, self.requests = f"_INBOX.{user}{random.getrandbits(64):x}", 0
        self.send(f"CONNECT {json.dumps(login)}\r\nSUB {self.inbox}.* 1\r\n".encode())
        self.flush()

    def send(self, data):
        self.socket.sendall(data)

    def flush(self):
        self.send(b"PING\r\n")
        while not self.file.readline().startswith(b"PONG"):
            pass

    def message(self):
        """The next one: subject, reply, headers, payload."""
        while True:
            line = self.file.readline()
            if not line:
                raise SystemExit("the server closed the connection")
            parts = line.decode().split()
            if parts[0] == "PING":
                self.send(b"PONG\r\n")
            if parts[0] not in ("MSG", "HMSG"):
                continue
            sizes = [int(parts[-2]), int(parts[-1])] if parts[0] == "HMSG" else [0, int(parts[-1])]
            args = parts[1 : -2 if parts[0] == "HMSG" else -1]
            body = self.file.read(sizes[1] + 2)[:-2]
            return parts[1], args[2] if len(args) > 2 else "", body[: sizes[0]], body[sizes[0] :]

    def request(self, subject, payload=b"", headers=None):
        self.requests += 1
        reply = f"{self.inbox}.{self.requests}"
        self.send(publish(subject, payload, headers, reply))
        while True:
            subject, _, head, body = self.message()
            if subject == reply:
                return head, body

    def api(self, call, body=None):
        _, answer = self.request("$JS.API." + call, json.dumps(body).encode() if body is not None else b"")
        return json.loads(answer)

    def must(self, call, body=None):
        answer = self.api(call, body)
        if error := answer.get("error"):
            raise SystemExit(f"{call}: {error}")
        return answer

    def store(self, subject, payload=b"", headers=None):
        """Publishes and waits for the answer."""
        return json.loads(self.request(subject, payload, headers)[1])


def publish(subject, payload, headers=None, reply=""):
    head = b""
    if headers:
        head = b"NATS/1.0\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in headers) + b"\r\n"
    if head:
        line = f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}\r\n"
    else:
        line = f"PUB {subject} {reply} {len(payload)}\r\n"
    return line.encode() + head + payload + b"\r\n"


class Server:
    """A program on a free port with its store in `files`."""

    def __init__(self, program, files, kind, options=""):
        users = "\n".join(
            f'{account}: {{ jetstream: enabled, users: [{{ user: "{user}", password: "{user}" }}] }}'
            for account, user in ACCOUNTS.items()
        )
        crypt = f', key: "{KEY}", cipher: {kind}' if options == "crypt" else ""
        self.scratch = tempfile.TemporaryDirectory()
        config = pathlib.Path(self.scratch.name) / "server.conf"
        config.write_text(f'jetstream: {{ store_dir: "{files}", max_file: 20G{crypt} }}\naccounts: {{ {users} }}\n')
        self.process = subprocess.Popen(
            [program, "-a", "127.0.0.1", "-p", "-1", "-c", str(config), "-l", self.scratch.name + "/log"],
        )
        log, deadline = pathlib.Path(self.scratch.name) / "log", time.monotonic() + 120
        while not (log.exists() and "Server is ready" in log.read_text()):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"{program} did not start:\n{log.read_text() if log.exists() else ''}")
            time.sleep(0.02)
        self.port = int(re.search(r"Listening for client connections on \S+:(\d+)", log.read_text())[1])

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.process.terminate()
        self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def client(self, account):
        return Client(self.port, ACCOUNTS[account])


def stream(client, name, subjects=None, **config):
    subjects = [f"{name.lower()}.>"] if subjects is None else subjects
    body = {"name": name, "retention": "limits", "storage": "file", "num_replicas": 1, **config}
    if subjects:
        body["subjects"] = subjects
    client.must(f"STREAM.CREATE.{name}", body)


def consumer(client, of, name, **config):
    body = {"durable_name": name, "ack_policy": "explicit", "ack_wait": LONG, **config}
    client.must(f"CONSUMER.CREATE.{of}.{name}", {"stream_name": of, "config": body, "action": "create"})


def pull(client, of, name, batch):
    """Messages of a pull consumer: their ack subjects and stream sequences."""
    client.requests += 1
    reply = f"{client.inbox}.{client.requests}"
    request = json.dumps({"batch": batch, "no_wait": True, "expires": 5 * 10**9}).encode()
    client.send(publish(f"$JS.API.CONSUMER.MSG.NEXT.{of}.{name}", request, None, reply))
    found = []
    while len(found) < batch:
        subject, ack, headers, _ = client.message()
        if not ack.startswith("$JS.ACK."):
            if subject == reply and headers.startswith(b"NATS/1.0 "):
                break
            continue
        found.append(ack)
    return found


def work(client, of, name, fetch, acks, naks=()):
    """Fetches, acks some of what came by their place, and refuses others."""
    got = pull(client, of, name, fetch)
    for place in acks:
        if place < len(got):
            client.request(got[place], b"+ACK")
    for place in naks:
        if place < len(got):
            client.request(got[place], b"-NAK")
    return got


def payload(rng, most):
    return rng.randbytes(rng.randrange(most)) if rng.random() < 0.5 else b"text " * rng.randrange(most // 5)


def bulk(client, rng, name, count, most):
    """Many messages without answers."""
    before, parts, size = client.must(f"STREAM.INFO.{name}")["state"]["messages"], [], 0
    for n in range(count):
        headers = [("Number", n), ("Empty", "")] if n % 3 == 0 else None
        part = publish(f"{name.lower()}.{n % 97}.{n % 7}", payload(rng, most), headers)
        parts.append(part)
        size += len(part)
        if size > 1 << 20:
            client.send(b"".join(parts))
            client.flush()
            parts, size = [], 0
    client.send(b"".join(parts))
    client.flush()
    deadline = time.monotonic() + 120
    while client.must(f"STREAM.INFO.{name}")["state"]["messages"] < before + count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{name}: messages got lost on their way in")
        time.sleep(0.05)


def fill(client, rng, count):
    """The streams of one account."""
    small = min(count, 300)
    # Few messages are to fill several blocks, and blocks are small where a stream is.
    room = 127000 if count <= 600 else -1
    stream(client, "PLAIN", max_bytes=room)
    bulk(client, rng, "PLAIN", count, 600 if count > 10000 else 300)
    stream(client, "PACKED", compression="s2", max_bytes=room)
    bulk(client, rng, "PACKED", count, 600 if count > 10000 else 300)
    for name in ("PLAIN", "PACKED"):
        for seq in [1, 2, 3, *rng.sample(range(4, count), min(count // 20, 300)), count]:
            client.must(f"STREAM.MSG.DELETE.{name}", {"seq": seq, "no_erase": seq % 2 == 0})
        client.must(f"STREAM.PURGE.{name}", {"filter": f"{name.lower()}.3.*"})
    stream(client, "KV", ["kv.>"], max_msgs_per_subject=3, allow_rollup_hdrs=True, deny_delete=True, allow_direct=True)
    for n in range(small):
        client.store(f"kv.{rng.randrange(20)}", payload(rng, 100))
    client.store("kv.1", b"rolled", [("Nats-Rollup", "sub")])
    client.store("kv.2", b"", [("KV-Operation", "DEL")])
    client.must("STREAM.PURGE.KV", {"filter": "kv.5", "keep": 1})
    stream(client, "TTL", allow_msg_ttl=True, subject_delete_marker_ttl=LONG * 24 * 365 * 40)
    for n in range(40):
        ttl = ["1s", "876000h", "never", None][n % 4]
        client.store(f"ttl.{n}", b"%d" % n, [("Nats-TTL", ttl)] if ttl else None)
    stream(client, "LIMITED", max_msgs=100, max_bytes=40000)
    for n in range(small):
        client.store("limited.x", payload(rng, 300))
    stream(client, "PURGED")
    stream(client, "EMPTIED")
    for n in range(small):
        client.store("purged.x", b"%d" % n)
        client.store("emptied.x", b"%d" % n)
    client.must("STREAM.PURGE.PURGED", {"seq": small - 10})
    client.must("STREAM.PURGE.EMPTIED")
    stream(client, "NEW", first_seq=1000)
    stream(client, "IDS", duplicate_window=LONG * 24 * 365 * 20)
    for n in range(50):
        client.store("ids.x", b"%d" % n, [("Nats-Msg-Id", f"id-{n}")])
    client.must("STREAM.MSG.DELETE.IDS", {"seq": 50})
    stream(client, "WORK", retention="workqueue")
    stream(client, "INTEREST", retention="interest")
    consumer(client, "WORK", "worker")
    for name in ("one", "two", "three"):
        consumer(client, "INTEREST", name, filter_subject="interest.>")
    for n in range(60):
        client.store(f"work.{n % 3}", payload(rng, 100))
        client.store(f"interest.{n % 3}", payload(rng, 100))
    work(client, "WORK", "worker", 30, [*range(10), 15, 20])
    for at, name in enumerate(("one", "two", "three")):
        work(client, "INTEREST", name, 20, range(at, 20, at + 1), [19])
    consumers(client)
    time.sleep(1.5)


def consumers(client):
    """Consumers in the middle of their work."""
    for name in ("PLAIN", "PACKED"):
        consumer(client, name, "fresh")
        consumer(client, name, "gaps", max_ack_pending=500)
        work(client, name, "gaps", 100, [*range(20), *range(30, 90, 2)])
        consumer(client, name, "again", max_deliver=5)
        work(client, name, "again", 20, range(5), range(5, 10))
        work(client, name, "again", 10, [0, 1])
        consumer(client, name, "spent", max_deliver=1, ack_wait=10**8)
        work(client, name, "spent", 10, [0, 1, 2])
        consumer(client, name, "all", ack_policy="all", filter_subject=f"{name.lower()}.*.2")
        work(client, name, "all", 50, [25])
        consumer(client, name, "none", ack_policy="none", deliver_policy="by_start_sequence", opt_start_seq=50)
        work(client, name, "none", 33, [])
        consumer(client, name, "filters", filter_subjects=[f"{name.lower()}.1.>", f"{name.lower()}.2.>"], metadata={"of": "us"})
        work(client, name, "filters", 9, [0, 8])
        consumer(client, name, "pushed", deliver_subject=f"deliver.{name}", deliver_group="group")
    consumer(client, "LIMITED", "newest", deliver_policy="last")
    work(client, "LIMITED", "newest", 1, [])


def shown(info, *without):
    return {key: value for key, value in info.items() if key not in ("type", "ts", "cluster", "metadata", *without)}


def place(info):
    return [info["consumer_seq"], info["stream_seq"]]


def messages(client, config, state):
    """All messages: one by one where there are few or reading would change something, else a digest of each thousand."""
    name, last = config["name"], state["last_seq"]
    if state["messages"] <= 5000 or config["retention"] != "limits":
        found = []
        for seq in range(state["first_seq"], last + 1):
            if message := client.api(f"STREAM.MSG.GET.{name}", {"seq": seq}).get("message"):
                found.append(message)
        return found
    config = {"ack_policy": "none", "mem_storage": True, "inactive_threshold": 60 * 10**9}
    consumer = client.must(f"CONSUMER.CREATE.{name}", {"stream_name": name, "config": config})["name"]
    client.requests += 1
    inbox, request = f"{client.inbox}.{client.requests}", json.dumps({"batch": 1000, "expires": 30 * 10**9}).encode()
    digests, digest, count = [], hashlib.sha256(), 0
    while count < state["messages"]:
        if count % 1000 == 0:
            client.send(publish(f"$JS.API.CONSUMER.MSG.NEXT.{name}.{consumer}", request, reply=inbox))
        at, reply, head, body = client.message()
        if not reply.startswith("$JS.ACK."):
            raise SystemExit(f"{name}: {count} messages of {state['messages']}, then {head} at {at}")
        parts = reply.split(".")
        digest.update(b"%s %s %s %d %d " % (parts[5].encode(), parts[7].encode(), at.encode(), len(head), len(body)))
        digest.update(head)
        digest.update(body)
        count += 1
        if count % 1000 == 0:
            digests.append([parts[5], digest.hexdigest()])
            digest = hashlib.sha256()
    digests.append(["end", digest.hexdigest()])
    return digests


def listing(client):
    """What a client sees of an account."""
    streams = {}
    for name in sorted(client.must("STREAM.NAMES").get("streams") or []):
        info = client.must(f"STREAM.INFO.{name}", {"deleted_details": True})
        config, state = shown(info["config"], "metadata"), info["state"]
        found = client.must(f"CONSUMER.LIST.{name}").get("consumers") or []
        streams[name] = {
            "config": config,
            "created": info["created"],
            "state": shown(state),
            "messages": messages(client, config, state),
            "consumers": [
                {
                    "name": one["name"],
                    "created": one["created"],
                    "config": shown(one["config"]),
                    "delivered": place(one["delivered"]),
                    "ack_floor": place(one["ack_floor"]),
                    "num_ack_pending": one["num_ack_pending"],
                    "num_redelivered": one["num_redelivered"],
                    "num_pending": one["num_pending"],
                }
                for one in sorted(found, key=lambda one: one["name"])
            ],
        }
    return streams


def goes_on(client):
    """What happens next: known message ids, the next sequences, and what consumers get (stream sequence and number of the delivery)."""
    found = {}
    for n in (0, 25, 48, 49):
        answer = client.store("ids.x", b"again", [("Nats-Msg-Id", f"id-{n}")])
        found[f"id-{n}"] = [answer["seq"], answer.get("duplicate", False)]
    for subject in ("plain.new", "emptied.new", "new.new", "purged.new"):
        found[subject] = client.store(subject, b"new")["seq"]
    for of, name in [("PLAIN", "gaps"), ("PACKED", "again"), ("PLAIN", "spent"), ("PACKED", "all"), ("PLAIN", "filters"), ("WORK", "worker"), ("INTEREST", "two")]:
        got = (ack.split(".") for ack in pull(client, of, name, 8))
        found[f"{of} {name}"] = [[int(ack[4]), int(ack[5]), int(ack[6])] for ack in got]
    return found


def differences(first, second, at=""):
    if isinstance(first, dict) and isinstance(second, dict):
        for key in first.keys() | second.keys():
            yield from differences(first.get(key), second.get(key), f"{at}/{key}")
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for n, (one, other) in enumerate(zip(first, second)):
            yield from differences(one, other, f"{at}[{n}]")
    elif first != second:
        yield f"{at}: {str(first)[:200]} / {str(second)[:200]}"


def files_of(directory):
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def check(nats_server, jetsled, kind, count, directory, record):
    rng = random.Random(kind)
    store, copy, new = directory / "store", directory / "copy", directory / "new"
    options = "crypt" if kind in ("chacha", "aes") else ""
    with Server(nats_server, store, kind, options) as server:
        fill(server.client("A"), rng, count if kind == "plain" or count > 600 else min(count, 120))
        stream(server.client("B"), "OTHER", ["other"])
        server.client("B").store("other", b"of another account")
        if kind == "killed":
            # Past its own housekeeping, so that the indexes are older than the blocks.
            server.kill()
    shutil.copytree(store, copy)
    before = files_of(store)
    with Server(nats_server, copy, kind, options) as server:
        expected = {account: listing(server.client(account)) for account in ACCOUNTS}
        after = goes_on(server.client("A"))
    if record:
        keep(record, kind, store, forgiven(kind, expected))
    keys = ["--key-file", str(directory / "key")] if options else []
    (directory / "key").write_text(KEY + "\n")
    began = time.monotonic()
    done = subprocess.run([jetsled, "import", str(store), "--store", str(new), *keys], capture_output=True, text=True)
    took = time.monotonic() - began
    if done.returncode != 0:
        raise SystemExit(f"{kind}: import ended with {done.returncode}\n{done.stdout}{done.stderr}")
    report = done.stdout
    verified = directory / "verified"
    done = subprocess.run([jetsled, "import", str(store), "--store", str(verified), "--verify", *keys], capture_output=True, text=True)
    if done.returncode != 0 or "hold the same" not in done.stdout:
        raise SystemExit(f"{kind}: verification: {done.returncode}\n{done.stdout}{done.stderr}")
    shutil.rmtree(verified)
    if files_of(store) != before:
        raise SystemExit(f"{kind}: the source was written to")
    with Server(jetsled, new, kind) as server:
        found = {account: listing(server.client(account)) for account in ACCOUNTS}
        found_after = goes_on(server.client("A"))
    expected, found, after, found_after = (forgiven(kind, one) for one in (expected, found, after, found_after))
    different = [*differences(expected, found), *differences(after, found_after)]
    if different:
        print(report)
        raise SystemExit("\n".join([f"{kind}: not the same (nats-server / jetsled):", *different[:60]]))
    streams = sum(len(account) for account in expected.values())
    consumers = sum(len(one["consumers"]) for account in expected.values() for one in account.values())
    total = sum(one["state"]["messages"] for account in expected.values() for one in account.values())
    print(f"{kind}: {streams} streams, {total} messages, {consumers} consumers are the same; import took {took:.2f} s")
    print("   ", report.strip().splitlines()[-1])


def forgiven(kind, seen):
    """After a kill nats-server has some messages again that a roll-up had removed, and forgets the message ids of a stream whose last message
    was deleted; an import does neither."""
    if kind != "killed":
        return seen
    seen = {key: value for key, value in seen.items() if not key.startswith("id-")}
    if "A" in seen:
        seen["A"] = {name: stream for name, stream in seen["A"].items() if name not in ("KV", "IDS")}
    return seen


def keep(record, kind, store, expected):
    record.mkdir(parents=True, exist_ok=True)
    with tarfile.open(record / f"{kind}.tar.gz", "w:gz") as archive:
        archive.add(store, arcname="store")
    with gzip.GzipFile(record / f"{kind}.json.gz", "wb", mtime=0) as listed:
        listed.write(json.dumps(expected, sort_keys=True, separators=(",", ":")).encode())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nats_server")
    parser.add_argument("jetsled")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--record", type=pathlib.Path)
    parser.add_argument("--kind", choices=KINDS, action="append")
    options = parser.parse_args()
    for kind in options.kind or KINDS:
        with tempfile.TemporaryDirectory(prefix="jetsled-import-") as directory:
            check(options.nats_server, options.jetsled, kind, options.messages, pathlib.Path(directory), options.record)


if __name__ == "__main__":
    main()
