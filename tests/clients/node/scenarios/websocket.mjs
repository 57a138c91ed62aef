// The same over WebSocket, as browsers connect.
import { wsconnect } from "@nats-io/nats-core";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { WebSocket } from "undici";
import { Server } from "../server.mjs";
import { collected, message, noted, until } from "../transcript.mjs";

const CONFIG = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
websocket { host: 127.0.0.1, port: ${ports.websocket}, no_tls: true, compression: true, same_origin: false }
authorization { users: [ { user: a, password: p }, { user: limited, password: p, permissions: { publish: ["a"], subscribe: ["_INBOX.>"] } } ] }
max_payload: 2MB
jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }
`;

export async function run(t, { program }) {
  if (!globalThis.WebSocket) globalThis.WebSocket = WebSocket; // Node 20 has none of its own
  const server = await Server.start(program, CONFIG, ["client", "websocket"]);
  const servers = `ws://127.0.0.1:${server.ports.websocket}`;
  try {
    t.section("WebSocket");
    const nc = await wsconnect({ servers, user: "a", pass: "p", name: "browser", reconnectTimeWait: 50, reconnectJitter: 0, maxReconnectAttempts: -1 });
    t.say("info", nc.info);
    t.say("context", (await nc.context()).data);
    const sub = nc.subscribe("a.>");
    nc.publish("a.b", "hello");
    nc.publish("a.large", "x".repeat(1_500_000));
    for (let i = 0; i < 200; i++) nc.publish("a.many", "y".repeat(i * 50));
    await nc.flush();
    t.say("received", (await collected(sub, 202, 5000, message)).slice(0, 3));
    t.say("all", sub.getReceived());
    await t.attempt("nobody", () => nc.request("nobody"));
    const jsm = await jetstreamManager(nc);
    await jsm.streams.add({ name: "S", subjects: ["s"] });
    t.say("acknowledged", await jetstream(nc).publish("s", "x".repeat(300_000)));
    t.say("stored", (await jsm.streams.getMessage("S", { seq: 1 })).data.length);
    await t.attempt("wrong password", () => wsconnect({ servers, user: "a", pass: "q", reconnect: false }));
    await t.attempt("a violation", async () => {
      const limited = await wsconnect({ servers, user: "limited", pass: "p" });
      const seen = noted(limited.status());
      limited.publish("b", "x");
      await limited.flush();
      await until(() => seen.length > 0);
      await limited.close();
      return seen[0];
    });

    const seen = noted(nc.status());
    await server.restart();
    await t.attempt("after a restart", async () => {
      await until(() => seen.some(({ type }) => type === "reconnect"));
      const again = nc.subscribe("again");
      nc.publish("again", "x");
      return collected(again, 1, 2000, (m) => m.string());
    });
    await nc.drain();
  } finally {
    await server.stop();
  }
}
