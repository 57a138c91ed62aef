"""The oCIS scenario with nats-py: ocis.py PROGRAM CERTIFICATES

Starts PROGRAM with JetStream and TLS, publishes events to two groups of two members, kills it in the middle (SIGKILL),
starts it again, and checks that each group gets every acknowledged event; then a key-value registry with expiry and
watch, and a store with listing. All of this once more with PROGRAM in the place of oCIS's nats service, without and with
TLS. CERTIFICATES holds ca.pem, server.pem and server-key.pem.
"""
import asyncio
import json
import logging
import pathlib
import re
import ssl
import sys
import tempfile

import nats
from nats.errors import TimeoutError as NatsTimeout
from nats.js.errors import KeyNotFoundError, NoKeysError

EVENTS = 300
GROUPS = ("postprocessing", "search")
WITHIN = 60.0

logging.getLogger("asyncio").setLevel(logging.ERROR)  # TLS ends without a farewell when the broker is killed


class Broker:
    """The program under test, on one port over all its lives."""

    def __init__(self, program, files, tls):
        self.program, self.files, self.tls, self.port = program, files, tls, -1

    def command(self):
        """Arguments, and the environment if it is not this process' own."""
        raise NotImplementedError

    async def start(self):
        arguments, environment = self.command()
        self.process = await asyncio.create_subprocess_exec(
            self.program, *arguments, stderr=asyncio.subprocess.PIPE, env=environment
        )
        log = []
        while line := (await asyncio.wait_for(self.process.stderr.readline(), WITHIN)).decode():
            log.append(line)
            if found := re.search(r"Listening for client connections on \S+:(\d+)", line):
                self.port = int(found[1])
            if "Server is ready" in line:
                self.drain = asyncio.create_task(self.process.stderr.read())
                return
        raise SystemExit("the server ended before it was ready:\n" + "".join(log))

    async def kill(self):
        self.process.kill()
        await self.process.wait()
        await self.drain

    async def connect(self, name):
        scheme = "tls" if self.tls else "nats"
        return await nats.connect(
            f"{scheme}://127.0.0.1:{self.port}",
            name=name,
            tls=self.tls,
            reconnect_time_wait=0.05,
            max_reconnect_attempts=-1,
            error_cb=quiet,
        )


class Server(Broker):
    """Started as nats-server is started, with a configuration file."""

    def __init__(self, program, files, certificates):
        super().__init__(program, files, ssl.create_default_context(cafile=certificates / "ca.pem"))
        self.config = files / "server.conf"
        self.config.write_text(
            f'tls {{ cert_file: "{certificates / "server.pem"}", key_file: "{certificates / "server-key.pem"}" }}\n'
        )

    def command(self):
        store = str(self.files / "store")
        return ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", store, "-c", str(self.config)], None


class Service(Broker):
    """Started as oCIS's nats service is started, with variables."""

    def __init__(self, program, files, with_tls):
        # The service makes its own certificate, which services are told not to verify (OCIS_INSECURE).
        super().__init__(program, files, ssl._create_unverified_context() if with_tls else None)
        self.variables = {
            "OCIS_BASE_DATA_PATH": str(files), "OCIS_CONFIG_DIR": str(files), "NATS_DEBUG_ADDR": "127.0.0.1:0",
            "NATS_LOG_LEVEL": "info",
        }
        if with_tls:
            self.variables |= {"OCIS_EVENTS_ENABLE_TLS": "true", "OCIS_INSECURE": "true"}

    def command(self):
        return ["ocis", "nats", "server"], self.variables | {"NATS_NATS_PORT": str(self.port)}


async def quiet(_error):
    """A killed broker is expected here."""


async def api(nc, call, body=None):
    answer = await nc.request("$JS.API." + call, json.dumps(body).encode() if body else b"", timeout=5)
    return json.loads(answer.data)


async def events(broker):
    first = await broker.connect("start")
    missing = await api(first, "STREAM.INFO.main-queue")
    assert missing["error"]["err_code"] == 10059, missing
    created = await api(first, "STREAM.CREATE.main-queue", {"name": "main-queue", "storage": "file", "num_replicas": 0})
    assert created["config"]["subjects"] == ["main-queue"], created

    received = {group: set() for group in GROUPS}
    by_member, arrived = {}, asyncio.Event()

    async def join(group, instance):
        nc = await broker.connect(group)
        known = await api(nc, f"CONSUMER.INFO.main-queue.{group}")

        async def deliver(message):
            number = json.loads(message.data)["Number"]
            received[group].add(number)
            by_member.setdefault((group, instance), []).append(number)
            arrived.set()
            await message.respond(b"+ACK")

        if "error" not in known:
            await nc.subscribe(known["config"]["deliver_subject"], queue=group, cb=deliver)
            return nc
        assert known["error"]["err_code"] == 10014, known
        inbox = nc.new_inbox()
        await nc.subscribe(inbox, queue=group, cb=deliver)
        config = {
            "durable_name": group, "deliver_policy": "new", "ack_policy": "explicit", "ack_wait": 3_000_000_000,
            "filter_subject": "main-queue", "deliver_subject": inbox, "deliver_group": group, "replay_policy": "instant",
        }
        call = f"CONSUMER.CREATE.main-queue.{group}.main-queue"
        bound = await api(nc, call, {"stream_name": "main-queue", "config": config})
        assert bound["push_bound"] is True, bound
        return nc

    members = [await join(group, instance) for group in GROUPS for instance in range(2)]
    publisher = await broker.connect("frontend")
    acknowledged = set()

    async def publish(number):
        event = {"Number": number, "Payload": "e30=" * (150 + number % 300)}
        try:
            answer = await publisher.request("main-queue", json.dumps(event).encode(), timeout=5)
            if json.loads(answer.data).get("stream") == "main-queue":
                acknowledged.add(number)
        except (NatsTimeout, nats.errors.Error):
            pass  # neither acknowledged nor refused: it may be there or not

    for start in range(0, EVENTS, 10):
        batch = asyncio.gather(*(publish(number) for number in range(start, start + 10)))
        if start == EVENTS // 2:
            await asyncio.sleep(0)  # the publishes are on their way
            await broker.kill()
            await broker.start()
        await batch
    assert len(acknowledged) >= EVENTS - 10, f"only {len(acknowledged)} acknowledged"

    async def all_there():
        while any(acknowledged - got for got in received.values()):
            arrived.clear()
            await arrived.wait()

    try:
        await asyncio.wait_for(all_there(), WITHIN)
    except asyncio.TimeoutError:
        raise SystemExit(f"missing: { {group: sorted(acknowledged - got) for group, got in received.items()} }")
    assert len(by_member) == 4, f"some member got nothing: {sorted(by_member)}"
    for nc in [first, publisher, *members]:
        await nc.close()
    print(f"events: {len(acknowledged)} acknowledged, each group has them all")


async def registry(broker):
    nc = await broker.connect("nats-js-kv-registry")
    js = nc.jetstream(timeout=5)
    kv = await js.create_key_value(bucket="service-registry", ttl=2, storage=nats.js.api.StorageType.MEMORY)
    keys = [f"ONSXE5TJMNSS24TFM5UXG5DSPE{service:02}" for service in range(33)]
    watch = await kv.watchall()
    assert await watch.updates(timeout=5) is None, "an empty bucket has nothing to show"
    for key in keys:
        await kv.put(key, b"{}" * 400)
    seen = {(await watch.updates(timeout=5)).key for _ in keys}
    assert seen == set(keys), seen
    assert sorted(await kv.keys()) == keys
    for key in keys:
        assert (await kv.get(key)).value == b"{}" * 400
    await kv.delete(keys[0])
    try:
        await kv.get(keys[0])
        raise AssertionError("a deleted key is found")
    except KeyNotFoundError:
        pass

    async def expired():
        while True:
            try:
                await kv.keys()
            except NoKeysError:
                return
            await asyncio.sleep(0.05)

    await asyncio.wait_for(expired(), WITHIN)
    await nc.close()
    print("registry: watched, listed, deleted, expired")


async def stores(broker):
    nc = await broker.connect("TODO")
    kv = await nc.jetstream(timeout=5).create_key_value(bucket="eventhistory", ttl=336 * 3600)
    keys = [f"MV3GK3TUONXWMZTFMVWGS43U{number:03}" for number in range(100)]
    for value in (b"first", b"second"):
        for key in keys:
            await kv.put(key, value)
    await nc.close()
    await broker.kill()
    await broker.start()
    nc = await broker.connect("TODO")
    kv = await nc.jetstream(timeout=5).key_value("eventhistory")
    assert sorted(await kv.keys()) == keys
    for key in keys:
        assert (await kv.get(key)).value == b"second"
    await nc.close()
    print("stores: replaced, listed, kept over a kill")


async def main():
    program, certificates = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    for name, broker in (
        ("server with TLS", lambda files: Server(program, files, certificates)),
        ("oCIS's service", lambda files: Service(program, files, with_tls=False)),
        ("oCIS's service with TLS", lambda files: Service(program, files, with_tls=True)),
    ):
        print(name)
        with tempfile.TemporaryDirectory(prefix="jetsled-nats-py-") as files:
            await on(broker(pathlib.Path(files)))


async def on(broker):
    await broker.start()
    try:
        await events(broker)
        await registry(broker)
        await stores(broker)
    finally:
        if broker.process.returncode is None:
            await broker.kill()


asyncio.run(main())
