"""The `nats` command line against a server: check.py NATS SERVER [RECORDED]

Starts SERVER with JetStream, runs NATS (github.com/nats-io/natscli, v0.5.1) through its stream, consumer, benchmark, key-value and object commands, and
prints what they print, with times, rates, names and sizes that differ from run to run masked. With RECORDED, what was printed for another
server, the two are compared and every difference is an error. `transcript.txt` beside this file is what nats-server 2.15.1 gives:

    python3 tests/clients/cli/check.py nats nats-server > tests/clients/cli/transcript.txt
    python3 tests/clients/cli/check.py nats target/release/jetsled tests/clients/cli/transcript.txt
"""
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from launch import Server  # noqa: E402

COMMANDS = """
stream ls
stream names
stream add ORDERS --subjects=orders.> --defaults
stream add ORDERS --subjects=other --defaults
stream add FULL --subjects=full.*,more --storage=file --retention=limits --discard=new --max-msgs=1000 --max-bytes=1MB --max-age=1h --max-msg-size=1KB --max-msgs-per-subject=50 --dupe-window=30s --replicas=1 --allow-rollup --deny-delete --no-deny-purge --description=text --allow-direct --max-consumers=5 --compression=s2 --metadata=a:b --allow-msg-ttl --defaults
stream add MEM --subjects=mem.> --storage=memory --defaults
stream add WORK --subjects=work.> --retention=work --defaults
stream info FULL
stream info FULL --json
stream info MISSING
stream edit FULL --description=changed --max-msgs=500 --force
stream edit FULL --retention=interest --force
stream edit ORDERS --max-msgs-per-subject=3 --dry-run
stream config ORDERS
pub orders.new {{Count}} --count=20 -J
pub orders.old message -H Some:Header -J
pub orders.ttl message -H Nats-TTL:1h -J
pub full.a {{Count}} --count=3 -J
pub mem.a m -J
pub work.a w --count=2 -J
stream ls
stream ls --subject=orders.new
stream names --subject=mem.>
stream report
stream find
stream find --subject=orders.>
stream find --empty
stream find --expression='state.messages>2'
stream state ORDERS
stream state ORDERS --json
stream subjects ORDERS
stream subjects ORDERS --json
stream get ORDERS 1
stream get ORDERS 21
stream get ORDERS 21 --json
stream get ORDERS --last-for=orders.new
stream get ORDERS 500
stream view ORDERS 5 --raw
stream view ORDERS --subject=orders.old --raw
stream rmm ORDERS 3 --force
stream rmm ORDERS 3 --force
stream rmm ORDERS 7 --force
stream rmm FULL 1 --force
stream gaps ORDERS
stream gaps ORDERS --json
stream info ORDERS
consumer add ORDERS PULL --pull --deliver=all --ack=explicit --defaults
consumer add ORDERS PUSH --target=push.target --deliver=new --ack=none --replay=instant --defaults
consumer ls ORDERS
consumer info ORDERS PULL
consumer next ORDERS PULL --count=3 --no-ack --raw
consumer next ORDERS PULL --raw
consumer report ORDERS
consumer info ORDERS PULL --json
consumer pause ORDERS PULL 1h --force
consumer resume ORDERS PULL --force
consumer edit ORDERS PULL --description=edited --force
stream copy ORDERS COPY --subjects=copy.>
stream info COPY
stream purge ORDERS --subject=orders.old --force
stream purge ORDERS --keep=5 --force
stream purge ORDERS --seq=19 --force
stream backup ORDERS BACKUP --no-progress --consumers
stream rm ORDERS --force
stream restore BACKUP --no-progress
stream info ORDERS
consumer info ORDERS PULL
consumer next ORDERS PULL --raw --timeout=500ms
stream backup MEM BACKUPMEM --no-progress
stream rm MEM --force
stream restore BACKUPMEM --no-progress
stream get MEM 1
stream restore BACKUPMEM --no-progress
stream seal COPY --force
pub copy.x after -J
stream purge COPY --force
stream purge ORDERS --force
stream rm COPY --force
stream rm MISSING --force
consumer rm ORDERS PUSH --force
stream add CONS --subjects=cons.> --defaults
pub cons.a {{Count}} --count=10 -J
pub cons.b other -J
consumer add CONS ALL --pull --deliver=all --ack=all --max-pending=5 --wait=20s --max-deliver=3 --description=text --metadata=a:b --max-waiting=10 --max-pull-batch=20 --max-pull-expire=30s --max-pull-bytes=100000 --headers-only --sample=50 --replay=instant --defaults
consumer add CONS FILTER --pull --deliver=last --ack=explicit --filter=cons.a --filter=cons.b --inactive-threshold=1h --memory --replicas=1 --defaults
consumer add CONS SEQ --pull --deliver=3 --ack=explicit --filter=cons.* --backoff=linear --backoff-steps=3 --backoff-min=1s --backoff-max=5s --max-deliver=5 --defaults
consumer add CONS SUBJECT --pull --deliver=subject --ack=explicit --filter=cons.> --defaults
consumer add CONS SINCE --pull --deliver=1h --ack=none --defaults
consumer add CONS PUSHED --target=pushed --deliver-group=g --heartbeat=10s --flow-control --bps=1000000 --ack=explicit --deliver=all --replay=original --defaults
consumer add CONS PINNED --pull --deliver=all --ack=explicit --pinned-groups=g --pinned-ttl=1m --defaults
consumer add CONS OVER --pull --deliver=all --ack=explicit --overflow-groups=g --defaults
consumer add CONS PRIO --pull --deliver=all --ack=explicit --prioritized-groups=g --defaults
consumer add CONS PAUSED --pull --deliver=all --ack=explicit --pause=1h --defaults
consumer add CONS WRONG --pull --deliver=all --ack=none --max-pending=3 --defaults
consumer add CONS ALL --pull --deliver=new --ack=all --defaults
consumer add MISSING ALL --pull --deliver=new --ack=all --defaults
consumer ls CONS
consumer ls CONS --names
consumer ls CONS --json
consumer info CONS ALL
consumer info CONS SEQ --json
consumer info CONS PINNED
consumer info CONS PAUSED
consumer info CONS MISSING
consumer state CONS ALL
consumer find CONS
consumer find CONS --pull
consumer find CONS --push
consumer find CONS --pending=5
consumer find CONS --invert --pending=5
consumer find CONS --ack-pending=1
consumer find CONS --pinned
consumer find CONS --api-level=1
consumer next CONS ALL --count=4 --no-ack --raw
consumer next CONS ALL --raw
consumer next CONS ALL --raw --wait=100ms
consumer next CONS SEQ --term --raw
consumer next CONS SEQ --nak --raw
consumer next CONS SEQ --raw
consumer next CONS PUSHED --raw
consumer next CONS FILTER --raw
consumer next CONS SUBJECT --count=2 --raw
consumer next CONS OVER --raw --timeout=500ms
consumer edit CONS ALL --description=changed --max-pending=7 --force
consumer edit CONS SEQ --filter=cons.b --force
consumer edit CONS ALL --max-deliver=10 --dry-run
consumer copy CONS ALL COPIED --description=copied
consumer copy CONS ALL COPIED --description=again
consumer pause CONS SEQ 1h --force
consumer info CONS SEQ
consumer resume CONS SEQ --force
consumer resume CONS SEQ --force
consumer unpin CONS PINNED g --force
consumer unpin CONS PINNED other --force
consumer reset CONS ALL --force
consumer reset CONS SEQ --sequence=5 --force
consumer reset CONS SEQ --sequence=1 --force
consumer report CONS
consumer cluster step-down CONS ALL
consumer cluster balance CONS
consumer rm CONS SINCE --force
consumer rm CONS SINCE --force
consumer ls CONS
stream rm CONS --force
bench js pub sync bench --create --msgs=200 --no-progress
bench js pub async bench --purge --msgs=2000 --batch=100 --clients=2 --no-progress
bench js pub batch bench --purge --msgs=2000 --batch=100 --no-progress
bench js ordered --msgs=2000 --no-progress
bench js consume --msgs=2000 --no-progress
consumer add benchstream fetched --pull --ack=explicit --deliver=all --defaults
consumer add benchstream none --pull --ack=none --deliver=all --defaults
consumer add benchstream all --pull --ack=all --deliver=all --defaults
consumer add benchstream double --pull --ack=explicit --deliver=all --defaults
bench js fetch --msgs=2000 --consumer=fetched --clients=2 --no-progress
bench js consume --msgs=500 --consumer=none --acks=none --no-progress
bench js consume --msgs=500 --consumer=all --acks=all --no-progress
bench js consume --msgs=500 --consumer=double --doubleack --no-progress
bench js get sync --msgs=500 --no-progress
bench js get batch --msgs=500 --no-progress
stream info benchstream
stream rm benchstream --force
bench kv put --msgs=500 --no-progress
bench kv get --msgs=500 --no-progress
kv info benchbucket
bench kv put --msgs=500 --purge --randomize=20 --clients=2 --no-progress
kv rm benchbucket --force
kv add BUCKET --history=5 --ttl=1h --description=keys --storage=file
kv add SMALL --max-value-size=10 --max-bucket-size=1MB
kv put BUCKET a 1
kv put BUCKET a 2
kv put BUCKET b.c three
kv put SMALL a 12345678901
kv create BUCKET a again
kv create BUCKET new 1
kv update BUCKET a 3 2
kv update BUCKET a 4 1
kv get BUCKET a
kv get BUCKET a --raw
kv get BUCKET a --revision=1 --raw
kv get BUCKET none
kv ls
kv ls BUCKET
kv ls BUCKET -v --display-value
kv history BUCKET a
kv del BUCKET a --force
kv get BUCKET a
kv ls BUCKET
kv history BUCKET a
kv purge BUCKET b.c --force
kv history BUCKET b.c
kv revert BUCKET a 1 --force
kv get BUCKET a --raw
kv info BUCKET
kv compact BUCKET --force
kv info BUCKET
kv edit BUCKET --description=changed
kv del SMALL --force
object add STORE --description=objects --max-bucket-size=10MB
object put STORE FILE --name=thing --no-progress -f
object ls
object ls STORE
object info STORE
object info STORE thing
object get STORE thing -O FETCHED --no-progress -f
object put STORE FILE --name=other --description=d -H A:b --no-progress -f
object rm STORE other -f
object ls STORE
object info STORE other
object seal STORE -f
object put STORE FILE --name=late --no-progress -f
object rm STORE -f
stream report
server check jetstream
server check stream --stream=ORDERS
server check kv --bucket=BUCKET
rtt
"""

MASKS = [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d{4} \w+|Z|[+-]\d\d:\d\d)?", "TIME"),
    (r"\d{1,2} \w{3} \d{2,4} \d\d:\d\d(:\d\d)?", "TIME"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\b\d+h\d+m\d+(\.\d+)?s\b|\b\d+m\d+(\.\d+)?s\b|\b\d+(\.\d+)?([nµm]?s)\b", "SPAN"),
    (r"\bN[A-Z2-7]{55}\b", "SERVER"),
    (r"127\.0\.0\.1:\d+|\[::1\]:\d+", "ADDRESS"),
    (r"\b[A-Za-z0-9]{22}\b", "NUID"),
    (re.escape(tempfile.gettempdir()) + r"/[\w./-]+", "PATH"),
    (r"pid \d+|port \d+", "NUMBER"),
    (r"Received .* uncompressed", "Received an archive"),
    (r"(SPAN|TIME) +│", r"\1 │"),
    (r"[\d,.]+ (msgs|[KMG]?i?B)/sec", "RATE"),
    (r"(min|avg|max|stddev|P[\d.]+):? [\d,.]+[muµ]?s?", r"\1 NUMBER"),
]


def mask(text):
    text = text.replace("\u00a0", " ")
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text)
    return re.sub(r"[ \t]+$", "", text, flags=re.M)


def run(nats, program):
    transcript = []
    with tempfile.TemporaryDirectory() as files:
        files = pathlib.Path(files)
        (files / "FILE").write_bytes(bytes(range(256)) * 600)
        server = Server(program, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", str(files / "store"), "-n", "SERVER")
        env = {"HOME": str(files), "PATH": os.environ["PATH"], "NATS_URL": f"nats://127.0.0.1:{server.port}", "NO_COLOR": "1", "TZ": "UTC"}
        try:
            for command in COMMANDS.strip().splitlines():
                args = [arg.strip("'") for arg in command.split(" ")]
                done = subprocess.run(
                    [nats, *args], cwd=files, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30
                )
                transcript.append(f"$ nats {command}  -> {done.returncode}\n{mask(done.stdout.decode(errors='replace'))}")
        finally:
            server.stop()
        same = (files / "FETCHED").exists() and (files / "FETCHED").read_bytes() == (files / "FILE").read_bytes()
        transcript.append(f"the object is what was put: {same}\n")
    return "\n".join(transcript)


def compare(transcript, program, recorded, commands):
    """Prints the transcript, or ends with what differs from the recorded one, if there is one."""
    if recorded is None:
        print(transcript, end="")
        return
    want = pathlib.Path(recorded).read_text()
    lines = difflib.unified_diff(want.splitlines(), transcript.splitlines(), "recorded", program, lineterm="", n=4)
    if difference := list(lines):
        raise SystemExit("\n".join(difference))
    print(f"command line: {commands} answer as recorded, passed")


def main(nats, program, recorded=None):
    transcript = run(str(pathlib.Path(nats).absolute()) if "/" in nats else nats, program)
    compare(transcript, program, recorded, f"{len(COMMANDS.strip().splitlines())} commands")


if __name__ == "__main__":
    main(*sys.argv[1:])
