"""Snapshots and restores between two servers: archives.py FIRST SECOND

Starts both programs, fills streams on FIRST with everything that an archive must carry (gaps, headers, TTLs, large and empty
messages, consumers in the middle of their work), takes a snapshot of each through the API, restores it into SECOND, and compares
messages byte by byte, states and consumers; then the other way round with what SECOND has restored. FIRST and SECOND may be the same
program. Prints one line a stream and direction.
"""
import asyncio
import json
import pathlib
import random
import re
import sys
import tempfile

import nats

WITHIN = 60.0


class Server:
    """A program under test in a directory of its own."""

    def __init__(self, program, files):
        self.program, self.files = program, files

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            self.program, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", str(self.files), stderr=asyncio.subprocess.PIPE
        )
        while line := (await asyncio.wait_for(self.process.stderr.readline(), WITHIN)).decode():
            if found := re.search(r"Listening for client connections on \S+:(\d+)", line):
                port = int(found[1])
            if "Server is ready" in line:
                break
        else:
            raise SystemExit(f"{self.program} ended before it was ready")
        self.drain = asyncio.create_task(self.process.stderr.read())
        self.nc = await nats.connect(f"nats://127.0.0.1:{port}")
        return self

    async def __aexit__(self, *_error):
        await self.nc.close()
        self.process.terminate()
        await self.process.wait()
        await self.drain

    async def api(self, call, body=None):
        answer = await self.nc.request("$JS.API." + call, json.dumps(body).encode() if body is not None else b"", timeout=30)
        return json.loads(answer.data)

    async def must(self, call, body=None):
        answer = await self.api(call, body)
        if error := answer.get("error"):
            raise SystemExit(f"{self.program}: {call}: {error}")
        return answer

    async def snapshot(self, stream, **options):
        """The archive's bytes, with the reply to the request and the headers of its end."""
        inbox, chunks, end = self.nc.new_inbox(), [], asyncio.get_running_loop().create_future()

        async def chunk(message):
            if message.data:
                chunks.append(message.data)
                if message.reply:
                    await message.respond(b"")
            else:
                end.set_result(message.headers)

        subscription = await self.nc.subscribe(inbox, cb=chunk)
        reply = await self.must(f"STREAM.SNAPSHOT.{stream}", {"deliver_subject": inbox, **options})
        headers = await asyncio.wait_for(end, WITHIN)
        await subscription.unsubscribe()
        return b"".join(chunks), reply, headers

    async def restore(self, config, state, archive, size=64 << 10):
        reply = await self.must(f"STREAM.RESTORE.{config['name']}", {"config": config, "state": state})
        subject = reply["deliver_subject"]
        for at in range(0, len(archive), size):
            ack = await self.nc.request(subject, archive[at : at + size], timeout=30)
            if ack.data:
                return json.loads(ack.data)
        return json.loads((await self.nc.request(subject, b"", timeout=60)).data)

    async def messages(self, stream, state):
        found = {}
        for seq in range(state["first_seq"], state["last_seq"] + 1):
            answer = await self.api(f"STREAM.MSG.GET.{stream}", {"seq": seq})
            if message := answer.get("message"):
                found[seq] = {key: message.get(key) for key in ("subject", "time", "hdrs", "data")}
        return found


async def fill(server):
    """Makes the streams; answers their names."""
    dice, js = random.Random(20260101), server.nc.jetstream()
    base = {"retention": "limits", "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1,
            "discard": "old", "num_replicas": 1}
    for name, extra in {
        "PLAIN": {"storage": "file"},
        "MEMORY": {"storage": "memory"},
        "GAPS": {"storage": "file", "allow_msg_ttl": True, "first_seq": 1000},
        "QUEUE": {"storage": "file", "retention": "workqueue"},
        "INTEREST": {"storage": "file", "retention": "interest"},
        "LATEST": {"storage": "file", "max_msgs_per_subject": 3, "allow_rollup_hdrs": True},
        "EMPTIED": {"storage": "file"},
        "NEW": {"storage": "file"},
    }.items():
        await server.must(f"STREAM.CREATE.{name}", {**base, "name": name, "subjects": [f"{name}.>"], **extra})

    async def put(subject, payload=b"", **headers):
        return await js.publish(subject, payload, headers=headers or None)

    async def consumer(stream, name, **config):
        await server.must(f"CONSUMER.CREATE.{stream}.{name}", {
            "stream_name": stream, "config": {"name": name, "durable_name": name, "ack_policy": "explicit", "deliver_policy": "all", **config}})
        return await js.pull_subscribe_bind(name, stream)

    interested = await consumer("INTEREST", "I")
    for n in range(300):
        size = dice.choice([0, 1, 10, 1000, 100_000])
        await put(f"PLAIN.{n % 17}", dice.randbytes(size), **({"A": "b", "Nats-Msg-Id": f"id{n}"} if n % 3 else {}))
        await put(f"MEMORY.{n % 5}", dice.randbytes(size % 1001))
        await put(f"QUEUE.{n}", b"q%d" % n)
        await put(f"INTEREST.{n}", b"i%d" % n)
        await put(f"LATEST.{n % 40}", b"l%d" % n)
        await put(f"GAPS.{n}", b"g%d" % n, **({"Nats-TTL": "1h"} if n % 2 else {"Nats-TTL": "1s"} if n % 5 == 0 else {}))
        await put("EMPTIED.x", b"e")
    for seq in range(1010, 1300, 7):
        await server.api("STREAM.MSG.DELETE.GAPS", {"seq": seq})  # some have expired
    await server.must("STREAM.MSG.DELETE.GAPS", {"seq": 1299})
    await server.must("STREAM.PURGE.EMPTIED")
    await put("LATEST.1", b"rolled", **{"Nats-Rollup": "sub"})
    worker = await consumer("PLAIN", "WORKER", ack_wait=3_600_000_000_000, max_deliver=2)
    for message in await worker.fetch(60):
        seq = message.metadata.sequence.stream
        if seq % 3 == 0:
            await message.ack_sync()
        elif seq % 10 == 1:
            await message.nak()
    await worker.fetch(2)
    await consumer("PLAIN", "FILTERED", filter_subject="PLAIN.3", description="<&>")
    for sub, count in ((await consumer("QUEUE", "Q"), 120), (interested, 90)):
        for message in await sub.fetch(count):
            await message.ack_sync()
    await asyncio.sleep(1.5)  # the short TTLs
    return ["PLAIN", "MEMORY", "GAPS", "QUEUE", "INTEREST", "LATEST", "EMPTIED", "NEW"]


async def consumers(server, stream):
    infos = (await server.must(f"CONSUMER.LIST.{stream}"))["consumers"]
    keep = ("name", "config", "num_ack_pending", "num_redelivered", "num_pending")
    found = []
    for info in infos:
        kept = {key: info.get(key) for key in keep}
        kept["config"].pop("metadata", None)
        for place in ("delivered", "ack_floor"):
            kept[place] = {key: info[place][key] for key in ("consumer_seq", "stream_seq")}
        found.append(kept)
    return sorted(found, key=lambda info: info["name"])


def check(what, ours, theirs):
    if ours != theirs:
        raise SystemExit(f"{what} differs:\n{json.dumps(ours)[:2000]}\n{json.dumps(theirs)[:2000]}")


async def carry(name, source, target, again):
    archive, reply, headers = await source.snapshot(name, chunk_size=CHUNKS.get(name, 0))
    done = await target.restore(reply["config"], reply["state"], archive)
    if error := done.get("error"):
        raise SystemExit(f"{target.program}: restore of {name}: {error}")
    before, after = [
        await server.must(f"STREAM.INFO.{name}", {"deleted_details": True}) for server in (source, target)
    ]
    for info in (before, after):
        info["config"].pop("metadata", None)
        state = info["state"]
        if state["messages"] == 0 or state["last_seq"] in state.get("deleted", ()):
            state.pop("last_ts")  # the time of a message that is no more is not in an archive
        if state["last_seq"] == 0:
            info["state"] = {}  # nats-server 2.15.1 counts a deleted sequence 0, or begins at 1
    check(f"config of {name}", before["config"], after["config"])
    check(f"state of {name}", before["state"], after["state"])
    if before["state"]:
        check(f"messages of {name}", *[await server.messages(name, before["state"]) for server in (source, target)])
    check(f"consumers of {name}", *[await consumers(server, name) for server in (source, target)])
    print(f"{name} {again}: {before['state'].get('messages', 0)} messages, {len(archive)} bytes, end {headers}")
    return archive


CHUNKS = {"PLAIN": 16 << 10, "GAPS": 1024}


async def main(first, second):
    with tempfile.TemporaryDirectory() as files:
        files = pathlib.Path(files)
        async with Server(first, files / "first") as one, Server(second, files / "second") as two:
            for name in await fill(one):
                archive = await carry(name, one, two, "there")
                if len(sys.argv) > 3:
                    pathlib.Path(sys.argv[3], f"{name.lower()}.natsarc").write_bytes(archive)
                await one.must(f"STREAM.DELETE.{name}")
                await carry(name, two, one, "and back")
    print("archives: passed")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
