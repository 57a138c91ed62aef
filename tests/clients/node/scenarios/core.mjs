// Publish, subscribe, request: what the client asks of a server without JetStream.
import { connect } from "@nats-io/transport-node";
import { headers, createInbox, syncIterator } from "@nats-io/nats-core";
import { Server } from "../server.mjs";
import { collected, message, noted, until } from "../transcript.mjs";

const CONFIG = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
max_payload: 4KB
max_subscriptions: 40
jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }
`;

export async function run(t, { program }) {
  const server = await Server.start(program, CONFIG);
  try {
    await basics(t, server);
    await requests(t, server);
    await limits(t, server);
  } finally {
    await server.stop();
  }
}

async function basics(t, server) {
  t.section("publish and subscribe");
  const nc = await connect({ servers: server.address, name: "basics" });
  t.say("info", nc.info);
  t.say("context", await nc.context());
  const all = nc.subscribe("a.>");
  const one = nc.subscribe("a.*");
  const two = nc.subscribe("a.b", { max: 2 });
  const h = headers();
  h.append("Name", "first");
  h.append("Name", "second value");
  h.set("empty", "");
  h.set("utf", "grüße");
  nc.publish("a.b", "plain");
  nc.publish("a.b", "with headers", { headers: h, reply: "answer.here" });
  nc.publish("a.b", "third");
  nc.publish("a.b.c", new Uint8Array(0));
  nc.publish("a.ü", "utf-8");
  await nc.flush();
  for (const [name, sub] of Object.entries({ all, one, two })) {
    t.say(name, await collected(sub, sub.getReceived(), 2000, (m) => ({ ...message(m), reply: m.reply })));
  }
  t.say("received", [all.getReceived(), one.getReceived(), two.getReceived()]);
  await t.attempt("drain a subscription", async () => {
    const drained = nc.subscribe("drained");
    nc.publish("drained", "1");
    const done = drained.drain();
    const seen = await collected(drained, Infinity, 2000, (m) => m.string());
    await done;
    nc.publish("drained", "2");
    await nc.flush();
    return [seen, drained.getReceived()];
  });

  const quiet = await connect({ servers: server.address, noEcho: true, name: "no echo", verbose: true, pedantic: true });
  const own = quiet.subscribe("echo");
  const other = nc.subscribe("echo");
  await nc.flush();
  quiet.publish("echo", "x");
  await quiet.flush();
  await nc.flush();
  t.say("no echo", [own.getReceived(), other.getReceived()]);
  await quiet.close();

  const workers = [1, 2, 3].map(() => nc.subscribe("work", { queue: "workers" }));
  const watcher = nc.subscribe("work");
  for (let i = 0; i < 30; i++) nc.publish("work", String(i));
  await nc.flush();
  const counts = workers.map((worker) => worker.getReceived());
  t.say("queue group", [counts.reduce((a, b) => a + b), counts.every((count) => count > 0), watcher.getReceived()]);

  const inbox = createInbox();
  const traced = nc.subscribe(inbox);
  nc.subscribe("a.traced", { queue: "listeners" });
  nc.publish("a.traced", "x", { traceDestination: inbox });
  nc.publish("a.traced", "x", { traceDestination: inbox, traceOnly: true });
  t.say("trace", await collected(traced, 2, 2000, (m) => m.json()));
  t.say("stats", (({ inMsgs, outMsgs }) => ({ inMsgs, outMsgs }))(nc.stats()));
  await nc.drain();
  t.say("closed", await nc.closed());
}

async function requests(t, server) {
  t.section("requests");
  const nc = await connect({ servers: server.address });
  for (const noMux of [false, true]) {
    await t.attempt("nobody", () => nc.request("nobody", "x", { timeout: 1000, noMux }));
    const silent = nc.subscribe("silent");
    await t.attempt("silence", () => nc.request("silent", "x", { timeout: 100, noMux }));
    silent.unsubscribe();
    const service = nc.subscribe("service", { callback: (_e, m) => m.respond(`you said ${m.string()}`, { headers: m.headers }) });
    const h = headers();
    h.set("A", "b");
    await t.attempt("answer", async () => message(await nc.request("service", "hello", { timeout: 1000, noMux, headers: h })).data);
    service.unsubscribe();
  }
  const several = nc.subscribe("several", {
    callback: async (_e, m) => {
      for (let i = 0; i < 4; i++) m.respond(String(i));
      m.respond("");
    },
  });
  for (const [strategy, options] of Object.entries({ timer: {}, count: { maxMessages: 3 }, stall: { stall: 60 }, sentinel: {} })) {
    for (const noMux of [false, true]) {
      await t.attempt(`many, ${strategy}`, async () =>
        collected(await nc.requestMany("several", "x", { strategy, maxWait: 250, noMux, ...options }), Infinity, 2000, (m) => m.string()));
    }
  }
  await t.attempt("many, nobody", async () => collected(await nc.requestMany("nobody", "x", { strategy: "timer", maxWait: 200 })));
  several.unsubscribe();
  const sync = syncIterator(nc.subscribe("sync"));
  nc.publish("sync", "x");
  t.say("sync iterator", (await sync.next()).string());
  t.say("rtt is a number", (await nc.rtt()) >= 0);
  await nc.close();
}

async function limits(t, server) {
  t.section("limits");
  const raw = await connect({ servers: server.address, reconnect: false });
  await t.attempt("too large for the client", () => raw.publish("large", "x".repeat(5000)));
  raw.info.max_payload = 100_000;
  const seen = noted(raw.status());
  await t.attempt("too large for the server", async () => {
    raw.publish("large", "x".repeat(5000));
    await raw.closed();
  });
  t.say("status", seen.filter((status) => status.type !== "close").map((s) => ({ type: s.type, error: s.error })));

  const many = await connect({ servers: server.address, reconnect: false });
  const errors = noted(many.status());
  const subs = Array.from({ length: 41 }, (_, i) => many.subscribe(`s.${i}`));
  await t.attempt("too many subscriptions", async () => {
    await many.flush();
    await until(() => errors.length > 0);
    return errors.map((s) => ({ type: s.type, error: s.error }));
  });
  t.say("subscriptions", subs.length);
  await many.close();
}
