// Consumers: their configurations, and what they deliver to pull requests, to subjects, in order, by priority.
import { connect } from "@nats-io/transport-node";
import { createInbox, headers } from "@nats-io/nats-core";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Server } from "../server.mjs";
import { collected, failure, message, noted, sleep, until } from "../transcript.mjs";

const CONFIG = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }
`;
const SECOND = 1_000_000_000;

export async function run(t, { program }) {
  const server = await Server.start(program, CONFIG);
  const nc = await connect({ servers: server.address });
  try {
    const jsm = await jetstreamManager(nc);
    const js = jetstream(nc);
    await configurations(t, nc, jsm, js);
    await pulls(t, nc, jsm, js);
    await acknowledgements(t, nc, jsm, js);
    await pushes(t, nc, jsm, js);
    await ordered(t, nc, jsm, js);
    await priorities(t, nc, jsm, js);
  } finally {
    await nc.close();
    await server.stop();
  }
}

async function configurations(t, nc, jsm, js) {
  t.section("configurations");
  await jsm.streams.add({ name: "C", subjects: ["c.>"], consumer_limits: { max_ack_pending: 500 } });
  for (let i = 1; i <= 6; i++) await js.publish(`c.${i % 2}`, String(i));
  const seen = [];
  const events = nc.subscribe("$JS.EVENT.ADVISORY.CONSUMER.>", { callback: (_e, m) => seen.push({ subject: m.subject, ...m.json() }) });
  const add = (config, options) => t.attempt(`add ${config.durable_name ?? config.name} ${JSON.stringify({ ...config, pause_until: undefined })}`, () => jsm.consumers.add("C", config, options));
  await add({ durable_name: "PLAIN", ack_policy: "explicit" });
  await add({ durable_name: "PLAIN", ack_policy: "explicit" });
  await add({ durable_name: "PLAIN", ack_policy: "none" });
  await add({ name: "NAMED", ack_policy: "all", inactive_threshold: 60 * SECOND });
  await add({
    durable_name: "FULL", description: "all of it", ack_policy: "explicit", deliver_policy: "by_start_sequence", opt_start_seq: 2, ack_wait: 5 * SECOND, max_deliver: 4,
    filter_subjects: ["c.0", "c.1"], replay_policy: "original", sample_freq: "50%", max_waiting: 7, max_ack_pending: 20, headers_only: true, max_batch: 10,
    max_expires: 30 * SECOND, max_bytes: 1000, inactive_threshold: 3600 * SECOND, backoff: [SECOND, 2 * SECOND, 3 * SECOND], num_replicas: 1, mem_storage: true, metadata: { a: "b" },
  });
  await add({ durable_name: "PUSH", deliver_subject: "push.here", deliver_group: "g", ack_policy: "none", flow_control: true, idle_heartbeat: 5 * SECOND, rate_limit_bps: 100000, deliver_policy: "new" });
  await add({ durable_name: "TIMED", ack_policy: "explicit", deliver_policy: "by_start_time", opt_start_time: "2020-01-01T00:00:00Z", pause_until: new Date(Date.now() + 3_600_000).toISOString() }).catch(() => {});
  await add({ durable_name: "SUBJECTS", ack_policy: "explicit", deliver_policy: "last_per_subject", filter_subject: "c.*" });
  await add({ ack_policy: "none", deliver_policy: "last" });
  for (const config of [
    { durable_name: "a.b", ack_policy: "explicit" },
    { durable_name: "X", ack_policy: "explicit", filter_subject: "other" },
    { durable_name: "X", ack_policy: "explicit", filter_subjects: ["c.*", "c.1"] },
    { durable_name: "X", ack_policy: "explicit", filter_subject: "c.1", filter_subjects: ["c.0"] },
    { durable_name: "X", ack_policy: "explicit", deliver_policy: "by_start_sequence" },
    { durable_name: "X", ack_policy: "explicit", deliver_policy: "all", opt_start_seq: 3 },
    { durable_name: "X", ack_policy: "explicit", max_ack_pending: 1000 },
    { durable_name: "X", ack_policy: "explicit", backoff: [SECOND, SECOND], max_deliver: 1 },
    { durable_name: "X", ack_policy: "explicit", flow_control: true },
    { durable_name: "X", ack_policy: "explicit", deliver_group: "g" },
    { durable_name: "X", ack_policy: "none", deliver_subject: "x", max_waiting: 5 },
    { durable_name: "X", ack_policy: "none", deliver_subject: "c.1" },
    { durable_name: "X", ack_policy: "none", deliver_subject: "x", flow_control: true },
    { durable_name: "X", ack_policy: "explicit", num_replicas: 3 },
    { durable_name: "X", ack_policy: "explicit", sample_freq: "many" },
    { durable_name: "X", ack_policy: "explicit", ack_wait: -1 },
    { durable_name: "X", ack_policy: "none", priority_policy: "overflow" },
    { durable_name: "X", ack_policy: "explicit", priority_policy: "overflow", priority_groups: ["a", "b"] },
    { durable_name: "X", ack_policy: "explicit", priority_policy: "overflow", priority_groups: ["a much too long name of a group"] },
    { durable_name: "X", ack_policy: "flow_control", deliver_subject: "x" },
    { durable_name: "X", deliver_policy: "all" },
  ]) await add(config);
  await add({ durable_name: "X", ack_policy: "explicit", backoff: [SECOND], max_deliver: 3, ack_wait: 7 * SECOND }, { pedantic: true });
  const update = (name, config) => t.attempt(`update ${name} ${JSON.stringify(config)}`, async () => (await jsm.consumers.update("C", name, config)).config);
  await update("FULL", { description: "changed", max_ack_pending: 5, filter_subjects: ["c.1"], metadata: { c: "d" } });
  await update("FULL", { max_waiting: 9 });
  await update("FULL", { deliver_subject: "x" });
  await update("PLAIN", { ack_policy: "none" });
  await update("MISSING", { description: "x" });
  await t.attempt("names", async () => (await collected(jsm.consumers.list("C"))).map(({ name }) => name.replace(/^[A-Za-z0-9]{8,}$/, "EPHEMERAL")).sort());
  await t.attempt("info", () => jsm.consumers.info("C", "FULL"));
  await t.attempt("info MISSING", () => jsm.consumers.info("C", "MISSING"));
  await t.attempt("info of no stream", () => jsm.consumers.info("D", "MISSING"));
  await t.attempt("pause", async () => {
    const { pause_until, ...rest } = await jsm.consumers.pause("C", "PLAIN", new Date(Date.now() + 60_000));
    return { ...rest, pause_until: pause_until.length > 20 };
  });
  await t.attempt("paused", async () => (await jsm.consumers.info("C", "PLAIN")).paused);
  await t.attempt("resume", () => jsm.consumers.resume("C", "PLAIN"));
  await t.attempt("reset", () => jsm.consumers.reset("C", "PLAIN"));
  await t.attempt("reset to a sequence", () => jsm.consumers.reset("C", "PLAIN", 3));
  await t.attempt("unpin", () => jsm.consumers.unpin("C", "PLAIN", "g"));
  await t.attempt("delete", () => jsm.consumers.delete("C", "NAMED"));
  await t.attempt("delete again", () => jsm.consumers.delete("C", "NAMED"));
  await nc.flush();
  t.say("advisories", seen.map(({ subject, ...rest }) => ({ subject: subject.replace(/\.[A-Za-z0-9]{8}$/, ".EPHEMERAL"), ...rest, consumer: rest.consumer.replace(/^[A-Za-z0-9]{8}$/, "EPHEMERAL") })));
  events.unsubscribe();
  await jsm.streams.delete("C");
}

const delivered = (m) => ({ ...message(m), info: m.info });

async function pulls(t, nc, jsm, js) {
  t.section("pull");
  await jsm.streams.add({ name: "P", subjects: ["p.>"] });
  await jsm.consumers.add("P", { durable_name: "C", ack_policy: "explicit", max_ack_pending: 12, max_waiting: 3, max_batch: 150, max_expires: 20 * SECOND, max_bytes: 5000 });
  const consumer = await js.consumers.get("P", "C");
  t.say("nothing", await consumer.next({ expires: 1000 }));
  for (let i = 1; i <= 10; i++) await js.publish(`p.${i % 2}`, `message ${i}`);
  const first = await consumer.next({ expires: 1000 });
  t.say("next", delivered(first));
  first.ack();
  const fetched = await consumer.fetch({ max_messages: 4, expires: 1000 });
  t.say("fetch", await collected(fetched, Infinity, 5000, (m) => (m.ack(), delivered(m))));
  t.say("fetch of bytes", await collected(await consumer.fetch({ max_bytes: 300, expires: 1000 }), Infinity, 5000, (m) => (m.ack(), m.string())));
  t.say("fetch more than there is", await collected(await consumer.fetch({ max_messages: 40, expires: 1000, idle_heartbeat: 500 }), Infinity, 5000, (m) => (m.ack(), m.string())));
  for (const [label, options] of Object.entries({ "too many": { max_messages: 160 }, "too long": { max_messages: 1, expires: 25_000 }, "too many bytes": { max_bytes: 6000, expires: 1000 } })) {
    await t.attempt(label, async () => {
      const messages = await consumer.fetch({ expires: 1000, ...options });
      const notes = noted(messages.status(), (note) => note.type !== "next");
      const got = await collected(messages, Infinity, 3000, (m) => m.string()).catch((error) => failure(error));
      return [got, notes];
    });
  }
  for (const body of ["", "3", '{"batch":2,"no_wait":true}', '{"batch":1,"expires":200000000}', '{"batch":1,"expires":300000000,"idle_heartbeat":100000000}', '{"batch":1,"expires":100000000,"idle_heartbeat":90000000}', '{"batch":-1}', '{"batch":"x"}', '{"batch":5,"max_bytes":10,"no_wait":true}', '{"batch":1,"no_wait":true,"group":"x"}', '{"batch":1,"no_wait":true,"min_pending":5}']) {
    await js.publish("p.1", "raw");
    await t.attempt(`raw ${body}`, async () => {
      if (body.includes("expires")) await (await consumer.fetch({ max_messages: 40, expires: 1000 }).then((it) => collected(it, 1, 1000, (m) => m.ack())));
      const inbox = nc.subscribe(createInbox());
      nc.publish("$JS.API.CONSUMER.MSG.NEXT.P.C", body, { reply: inbox.getSubject() });
      return collected(inbox, body.includes("expires") ? 5 : 2, 500, (m) => ({ headers: m.headers && String(m.headers.code) + " " + m.headers.description, more: m.headers ? Object.fromEntries(m.headers) : {}, data: m.string() }));
    });
  }
  await t.attempt("max waiting", async () => {
    await (await consumer.fetch({ max_messages: 50, expires: 1000 }).then((it) => collected(it, Infinity, 2000, (m) => m.ack())));
    const inbox = nc.subscribe(createInbox());
    for (let i = 0; i < 4; i++) nc.publish("$JS.API.CONSUMER.MSG.NEXT.P.C", '{"batch":1,"expires":1000000000}', { reply: inbox.getSubject() });
    return collected(inbox, 4, 2000, (m) => `${m.headers.code} ${m.headers.description}`);
  });
  await t.attempt("consume", async () => {
    const messages = await consumer.consume({ max_messages: 5, expires: 2000, idle_heartbeat: 500 });
    for (let i = 0; i < 20; i++) await js.publish("p.1", `consumed ${i}`);
    return collected(messages, 20, 5000, (m) => (m.ack(), m.string()));
  });
  await t.attempt("consume by bytes", async () => {
    const messages = await consumer.consume({ max_bytes: 1000, expires: 2000 });
    for (let i = 0; i < 20; i++) await js.publish("p.1", `consumed ${i}`);
    return (await collected(messages, 20, 5000, (m) => (m.ack(), m.string()))).length;
  });
  await t.attempt("deleted while consumed", async () => {
    const messages = await consumer.consume({ max_messages: 5, expires: 2000, idle_heartbeat: 500, abort_on_missing_resource: true });
    const notes = noted(messages.status(), (note) => note.type !== "next" && note.type !== "heartbeat");
    await sleep(50);
    await jsm.consumers.delete("P", "C");
    const got = await collected(messages, 1, 6000).catch((error) => failure(error));
    return [got, notes];
  });
  await t.attempt("next of a deleted one", () => consumer.next({ expires: 1000 }));
  await t.attempt("get of a deleted one", () => js.consumers.get("P", "C"));
  await jsm.streams.delete("P");
}

async function acknowledgements(t, nc, jsm, js) {
  t.section("acknowledgements");
  await jsm.streams.add({ name: "A", subjects: ["a.>"] });
  for (let i = 1; i <= 12; i++) await js.publish("a.x", `message ${i}`);
  await jsm.consumers.add("A", { durable_name: "C", ack_policy: "explicit", ack_wait: SECOND, max_deliver: 3, sample_freq: "100" });
  const events = [];
  const watched = nc.subscribe("$JS.EVENT.*.CONSUMER.>", { callback: (_e, m) => events.push({ subject: m.subject, ...m.json() }) });
  const consumer = await js.consumers.get("A", "C");
  const next = () => consumer.next({ expires: 3000 });
  const settled = async () => { // nats-server takes acks a little later than what follows them
    await nc.flush();
    await sleep(50);
  };
  const state = async () => (({ delivered, ack_floor, num_ack_pending, num_redelivered, num_pending }) => ({ delivered, ack_floor, num_ack_pending, num_redelivered, num_pending }))(await consumer.info());
  await t.attempt("ack confirmed", async () => (await next()).ackAck());
  await t.attempt("ack twice", async () => {
    const m = await next();
    return [await m.ackAck(), await m.ackAck()];
  });
  await t.attempt("nak", async () => {
    (await next()).nak();
    await settled();
    const again = await next();
    again.ack();
    return delivered(again);
  });
  await t.attempt("nak with a delay", async () => {
    const began = Date.now();
    (await next()).nak(300);
    await settled();
    const again = await consumer.next({ expires: 3000 });
    again.ack();
    return [delivered(again), Date.now() - began >= 290 ? "after the delay" : "another, at once"];
  });
  await settled();
  t.say("state", await state());
  await t.attempt("term", async () => {
    (await next()).term("not wanted");
    (await next()).term();
    await settled();
  });
  await t.attempt("working", async () => {
    const m = await next();
    for (let i = 0; i < 3; i++) {
      await sleep(500);
      m.working();
    }
    return [m.string(), await m.ackAck()];
  });
  await t.attempt("redelivered", async () => {
    const out = [];
    for (let m; (m = await consumer.next({ expires: 1500 })); ) out.push([m.string(), m.info.deliveryCount, m.info.pending]);
    return out;
  });
  await until(() => events.some(({ type }) => type.includes("max_deliver")), "the advisory");
  t.say("state", await state());
  t.say("events", [...new Set(events.map(({ type, reason, deliveries }) => JSON.stringify({ type, reason, deliveries })))].map((line) => JSON.parse(line)).sort((a, b) => (a.type < b.type ? -1 : 1)));
  t.say("ack sample", events.find(({ type }) => type.includes("ack")) && Object.keys(events.find(({ type }) => type.includes("ack"))));
  watched.unsubscribe();
  await jsm.consumers.add("A", { durable_name: "ALL", ack_policy: "all" });
  await t.attempt("ack all", async () => {
    const all = await js.consumers.get("A", "ALL");
    const got = await collected(await all.fetch({ max_messages: 6, expires: 1000 }));
    await got[3].ackAck();
    return (({ ack_floor, num_ack_pending }) => ({ ack_floor, num_ack_pending }))(await all.info());
  });
  await t.attempt("+NXT", async () => {
    const all = await js.consumers.get("A", "ALL");
    const m = await all.next({ expires: 1000 });
    m.next(createInbox(), { batch: 1 });
    await nc.flush();
    return m.string();
  });
  await jsm.streams.delete("A");
}

async function pushes(t, nc, jsm, js) {
  t.section("push");
  await jsm.streams.add({ name: "P", subjects: ["p.>"] });
  for (let i = 1; i <= 30; i++) await js.publish("p.x", "x".repeat(1000) + i);
  await jsm.consumers.add("P", { durable_name: "PUSH", deliver_subject: "push.here", ack_policy: "explicit", flow_control: true, idle_heartbeat: SECOND / 2 });
  await t.attempt("consume", async () => {
    const consumer = await js.consumers.getPushConsumer("P", "PUSH");
    const messages = await consumer.consume();
    const notes = noted(messages.status());
    const got = [];
    (async () => {
      for await (const m of messages) {
        got.push(m.string().length);
        m.ack();
      }
    })();
    await until(() => got.length === 30 && notes.some(({ type }) => type === "heartbeat"), "30 messages and a heartbeat");
    await messages.close();
    return [got.length, [...new Set(notes.map(({ type }) => type))].sort()];
  });
  await until(async () => !(await jsm.consumers.info("P", "PUSH")).push_bound, "nobody bound");
  await t.attempt("pull from it", async () => (await js.consumers.get("P", "PUSH")).next({ expires: 1000 }));
  await t.attempt("raw pull from it", async () => {
    const m = await nc.request("$JS.API.CONSUMER.MSG.NEXT.P.PUSH", "1", { timeout: 1000 });
    return `${m.headers.code} ${m.headers.description}`;
  });
  await jsm.consumers.add("P", { durable_name: "GROUP", deliver_subject: "push.group", deliver_group: "g", ack_policy: "none" });
  await t.attempt("group", async () => {
    const subs = [1, 2].map(() => nc.subscribe("push.group", { queue: "g" }));
    await until(() => subs[0].getReceived() + subs[1].getReceived() === 30, "30 messages in the group");
    return (await jsm.consumers.info("P", "GROUP")).push_bound;
  });
  await jsm.consumers.add("P", { durable_name: "HEADERS", deliver_subject: "push.headers", ack_policy: "none", headers_only: true, deliver_policy: "last" });
  await t.attempt("headers only", async () => collected(nc.subscribe("push.headers"), 1, 2000, message));
  await t.attempt("deleted", async () => {
    const messages = await (await js.consumers.getPushConsumer("P", "PUSH")).consume();
    const notes = noted(messages.status());
    await sleep(50);
    await jsm.consumers.delete("P", "PUSH");
    await until(() => notes.some(({ type }) => type !== "heartbeat"), "a note", 5000).catch(() => {});
    messages.stop();
    return notes.filter(({ type }) => type !== "heartbeat");
  });
  await jsm.streams.delete("P");
}

async function ordered(t, nc, jsm, js) {
  t.section("ordered");
  await jsm.streams.add({ name: "O", subjects: ["o.>"] });
  for (let i = 1; i <= 20; i++) await js.publish(`o.${i % 4}`, String(i));
  const read = async (options, most) => {
    const consumer = await js.consumers.get("O", options);
    return collected(await consumer.consume(), most, 3000, (m) => [m.seq, m.string()].join(" "));
  };
  await t.attempt("all", () => read({}, 20));
  await t.attempt("filtered", () => read({ filter_subjects: ["o.1", "o.2"] }, 10));
  await t.attempt("last per subject", () => read({ deliver_policy: "last_per_subject", filter_subjects: "o.*" }, 4));
  await t.attempt("from a sequence", () => read({ deliver_policy: "by_start_sequence", opt_start_seq: 15 }, 6));
  await t.attempt("recreated", async () => {
    const consumer = await js.consumers.get("O", { name_prefix: "mine" });
    const messages = await consumer.consume({ max_messages: 5, idle_heartbeat: 500, expires: 2000 });
    const got = [];
    (async () => {
      for await (const m of messages) got.push(m.seq);
    })();
    await until(() => got.length === 20, "20 messages");
    for await (const { name } of jsm.consumers.list("O")) if (name.startsWith("mine")) await jsm.consumers.delete("O", name);
    for (let i = 21; i <= 25; i++) await js.publish("o.x", String(i));
    await until(() => got.length === 25, "5 more", 15_000);
    await messages.close();
    return got;
  });
  await t.attempt("push", async () => {
    const consumer = await js.consumers.getPushConsumer("O", { filter_subjects: ["o.1"] });
    return collected(await consumer.consume(), 5, 3000, (m) => m.string());
  });
  await t.attempt("config", async () => {
    const { name, ...config } = (await (await js.consumers.get("O", { name_prefix: "p" })).info(true)).config;
    return config;
  });
  await jsm.streams.delete("O");
}

async function priorities(t, nc, jsm, js) {
  t.section("priority groups");
  await jsm.streams.add({ name: "G", subjects: ["g.>"] });
  for (let i = 1; i <= 20; i++) await js.publish("g.x", String(i));
  const events = [];
  nc.subscribe("$JS.EVENT.ADVISORY.CONSUMER.*.>", { callback: (_e, m) => events.push({ subject: m.subject, ...m.json() }) });
  const numbers = (iterator, most = Infinity) => collected(iterator, most, 4000, (m) => (m.ack(), Number(m.string())));
  await jsm.consumers.add("G", { durable_name: "OVER", ack_policy: "explicit", priority_policy: "overflow", priority_groups: ["g"] });
  const over = await js.consumers.get("G", "OVER");
  await t.attempt("no group", () => over.fetch({ max_messages: 1, expires: 1000 }).then((m) => numbers(m)));
  await t.attempt("wrong group", () => over.fetch({ max_messages: 1, expires: 1000, group: "h" }).then((m) => numbers(m)));
  await t.attempt("enough pending", () => over.fetch({ max_messages: 2, expires: 1000, group: "g", min_pending: 10 }).then((m) => numbers(m)));
  await t.attempt("not enough pending", () => over.fetch({ max_messages: 2, expires: 1000, group: "g", min_pending: 100 }).then((m) => numbers(m)));
  await t.attempt("not enough unacked", () => over.fetch({ max_messages: 2, expires: 1000, group: "g", min_ack_pending: 100 }).then((m) => numbers(m)));
  await t.attempt("no condition", () => over.fetch({ max_messages: 2, expires: 1000, group: "g" }).then((m) => numbers(m)));

  await jsm.consumers.add("G", { durable_name: "PIN", ack_policy: "explicit", priority_policy: "pinned_client", priority_groups: ["g"], priority_timeout: 2 * SECOND });
  const [one, two] = await Promise.all([js.consumers.get("G", "PIN"), js.consumers.get("G", "PIN")]);
  await t.attempt("pinned", async () => {
    const first = await one.consume({ max_messages: 2, expires: 2000, group: "g" });
    const notes = noted(first.status(), (note) => note.type.startsWith("consumer_"));
    const got = [], other = [];
    (async () => {
      for await (const m of first) {
        got.push(Number(m.string()));
        m.ack();
      }
    })();
    await until(() => got.length === 20, "20 messages");
    const second = await two.consume({ max_messages: 2, expires: 2000, group: "g" });
    (async () => {
      for await (const m of second) {
        other.push(Number(m.string()));
        m.ack();
      }
    })();
    for (let i = 21; i <= 25; i++) await js.publish("g.x", String(i));
    await until(() => got.length === 25, "25 messages");
    const info = (await one.info()).priority_groups;
    await jsm.consumers.unpin("G", "PIN", "g");
    for (let i = 26; i <= 30; i++) await js.publish("g.x", String(i));
    await until(() => got.length + other.length === 30, "30 messages");
    await first.close();
    await second.close();
    return [got.length + other.length, info.map(({ pinned_ts, ...rest }) => ({ ...rest, pinned_ts: typeof pinned_ts })), notes.map(({ type }) => type).filter((type, i, all) => all.indexOf(type) === i)];
  });
  await t.attempt("wrong unpin", () => jsm.consumers.unpin("G", "PIN", "other"));

  await jsm.consumers.add("G", { durable_name: "PRIO", ack_policy: "explicit", priority_policy: "prioritized", priority_groups: ["g"] });
  const low = nc.subscribe(createInbox());
  const high = nc.subscribe(createInbox());
  await t.attempt("prioritized", async () => {
    await jsm.streams.purge("G");
    for (const [sub, priority] of [[low, 5], [high, 1]]) nc.publish("$JS.API.CONSUMER.MSG.NEXT.G.PRIO", JSON.stringify({ batch: 5, expires: 2 * SECOND, group: "g", priority }), { reply: sub.getSubject() });
    await nc.flush();
    for (let i = 0; i < 7; i++) await js.publish("g.x", String(i));
    await until(() => low.getReceived() + high.getReceived() === 7, "7 messages");
    return { high: high.getReceived(), low: low.getReceived() };
  });
  await t.attempt("priority too low", async () => {
    const m = await nc.request("$JS.API.CONSUMER.MSG.NEXT.G.PRIO", JSON.stringify({ batch: 1, no_wait: true, group: "g", priority: 10 }), { timeout: 1000 });
    return `${m.headers.code} ${m.headers.description}`;
  });
  t.say("events", events.filter(({ type }) => /pin/.test(type)).map(({ type, reason, group }) => ({ type, reason, group })).slice(0, 2));
}
