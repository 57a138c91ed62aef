// What clients notice of a server that goes away, comes back, or is about to end.
import { connect } from "@nats-io/transport-node";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Server } from "../server.mjs";
import { collected, noted, until } from "../transcript.mjs";

const CONFIG = (ports, files) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
lame_duck_grace_period: 500ms
lame_duck_duration: 30s
jetstream { max_mem: 64MB, max_file: 64MB, store_dir: "${files}/store" }
ping_interval: "1s"
ping_max: 2
`;

export async function run(t, { program }) {
  const server = await Server.start(program, CONFIG);
  try {
    t.section("a restart");
    const options = { servers: server.address, reconnectTimeWait: 20, reconnectJitter: 0, maxReconnectAttempts: -1 };
    const nc = await connect(options);
    const noticed = noted(nc.status(), ({ type }) => type !== "reconnecting");
    const types = () => noticed.map(({ type }) => type);
    const jsm = await jetstreamManager(nc);
    await jsm.streams.add({ name: "S", subjects: ["s.>"] });
    await jsm.consumers.add("S", { durable_name: "C", ack_policy: "explicit" });
    const consumer = await jetstream(nc).consumers.get("S", "C");
    const messages = await consumer.consume({ max_messages: 10 });
    const got = [];
    (async () => {
      for await (const m of messages) {
        got.push(m.string());
        m.ack();
      }
    })();
    const sub = nc.subscribe("kept", { queue: "q" });
    await jetstream(nc).publish("s.1", "before");
    await until(() => got.length === 1, "the first message");
    await nc.flush();
    await server.restart();
    await until(() => types().includes("reconnect"), "the reconnect");
    nc.publish("kept", "after");
    t.say("kept", await collected(sub, 1, 2000, (m) => m.string()));
    await t.attempt("publish", () => jetstream(nc).publish("s.1", "after", { retries: 10 }));
    await until(() => got.length === 2, "the second message", 40_000);
    t.say("consumed", got);
    t.say("status", types());
    await messages.close();
    noticed.length = 0;
    await nc.reconnect();
    await until(() => types().includes("reconnect"), "the reconnect asked for");
    await nc.flush();
    t.say("asked for", types());

    t.section("lame duck");
    noticed.length = 0;
    server.signal("SIGUSR2");
    await until(() => noticed.length > 0, "the notice");
    t.say("status", types());
    t.say("info", nc.info);
    await t.attempt("still served", async () => {
      await nc.flush();
    });
    await server.ended;
    await until(() => types().includes("disconnect"), "the end");
    t.say("status", types());
    await nc.close();
    await t.attempt("nobody listens", () => connect({ ...options, reconnect: false, maxReconnectAttempts: 1 }));
  } finally {
    await server.stop();
  }
}
