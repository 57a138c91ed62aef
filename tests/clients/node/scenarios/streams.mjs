// Streams through the API of the client: every member of a configuration, purge, delete, listing, mirrors and sources, direct reads.
import { connect } from "@nats-io/transport-node";
import { headers } from "@nats-io/nats-core";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Server } from "../server.mjs";
import { collected, message, until } from "../transcript.mjs";

const CONFIG = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
system_account: SYS
accounts {
  SYS { users: [ { user: sys, password: p } ] }
  A { jetstream { max_mem: 10MB, max_file: 40MB, max_streams: 40, max_consumers: 20, max_bytes_required: false }, users: [ { user: a, password: p } ] }
  NONE { users: [ { user: none, password: p } ] }
}
jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }
`;
const SECOND = 1_000_000_000;

export async function run(t, { program }) {
  const server = await Server.start(program, CONFIG);
  const nc = await connect({ servers: server.address, user: "a", pass: "p" });
  try {
    const none = await connect({ servers: server.address, user: "none", pass: "p" });
    t.section("an account without JetStream");
    await t.attempt("manager", () => jetstreamManager(none));
    await t.attempt("publish", () => jetstream(none).publish("s", "x"));
    await none.close();

    const jsm = await jetstreamManager(nc);
    await configurations(t, nc, jsm);
    await contents(t, nc, jsm);
    await direct(t, nc, jsm);
    t.section("account");
    t.say("account", await jsm.getAccountInfo());
    await copies(t, nc, jsm);
  } finally {
    await nc.close();
    await server.stop();
  }
}

async function configurations(t, nc, jsm) {
  t.section("configurations");
  const advisories = [];
  const watch = nc.subscribe("$JS.EVENT.ADVISORY.STREAM.>", { callback: (_e, m) => advisories.push({ subject: m.subject, ...m.json() }) });
  const plain = await t.attempt("add PLAIN", () => jsm.streams.add({ name: "PLAIN", subjects: ["plain.>"] }));
  // What is not as in a plain stream, and how it differs from what was asked for.
  const notable = (config) => Object.fromEntries(Object.entries(config).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(plain.config[name])));
  const add = (config) => t.attempt(`add ${config.name}`, async () => notable((await jsm.streams.add(config)).config));
  await add({ name: "PLAIN", subjects: ["plain.>"] });
  await add({ name: "PLAIN", subjects: ["other"] });
  await add({ name: "OVERLAP", subjects: ["plain.x"] });
  await add({ name: "BAD", subjects: ["a..b"] });
  await add({ name: "TWICE", subjects: ["twice.>", "twice.*"] });
  await add({ name: "API", subjects: ["$JS.API.>"] });
  await add({ name: "EVERYTHING", subjects: [">"] });
  await add({
    name: "FULL", subjects: ["full.>"], description: "all of it", retention: "limits", storage: "file", max_consumers: 10, max_msgs: 100, max_bytes: 100_000,
    max_age: 3600 * SECOND, max_msgs_per_subject: 5, max_msg_size: 1000, discard: "new", discard_new_per_subject: true, duplicate_window: 10 * SECOND,
    allow_rollup_hdrs: true, num_replicas: 1, deny_delete: false, deny_purge: false, allow_direct: true, republish: { src: "full.>", dest: "copy.>", headers_only: true },
    metadata: { a: "b" }, subject_transform: { src: "full.*", dest: "full.changed.{{wildcard(1)}}" }, compression: "s2",
    consumer_limits: { inactive_threshold: 60 * SECOND, max_ack_pending: 10 }, allow_msg_ttl: true, subject_delete_marker_ttl: 2 * SECOND,
    first_seq: 100, allow_atomic: true, allow_batched: true, placement: { cluster: "", tags: [] },
  });
  await add({ name: "SCHEDULES", subjects: ["sched.>"], allow_msg_schedules: true, allow_msg_ttl: true, allow_rollup_hdrs: true });
  await add({ name: "COUNTER", subjects: ["count.>"], allow_msg_counter: true });
  await add({ name: "ASYNC", subjects: ["async.>"], persist_mode: "async" });
  await add({ name: "MEMORY", subjects: ["mem"], storage: "memory", no_ack: true, retention: "interest" });
  await add({ name: "WORK", subjects: ["work.>"], retention: "workqueue", discard: "new", max_msgs: 3 });
  await add({ name: "REPLICAS", subjects: ["r"], num_replicas: 3 });
  await add({ name: "LARGE", subjects: ["large"], max_bytes: 1_000_000_000 });
  await add({ name: "PLACED", subjects: ["placed"], placement: { cluster: "east", tags: ["ssd"] } });
  await add({ name: "NEGATIVE", subjects: ["negative"], max_age: -5 });
  await add({ name: "SHORT", subjects: ["short"], max_age: 5 });
  await add({ name: "WINDOW", subjects: ["window"], max_age: SECOND, duplicate_window: 5 * SECOND });
  await add({ name: "LOOP", subjects: ["loop"], republish: { src: "loop", dest: "loop" } });
  await add({ name: "MARKER", subjects: ["marker"], subject_delete_marker_ttl: SECOND / 10 });
  await add({ name: "a b", subjects: ["x"] });
  await add({ name: "a.b", subjects: ["x"] });
  await add({ name: "N".repeat(300), subjects: ["x"] });
  await add({ name: "MIRRORED", subjects: ["x"], mirror: { name: "PLAIN" } });
  const update = (name, config) => t.attempt(`update ${name} ${JSON.stringify(config)}`, async () => notable((await jsm.streams.update(name, config)).config));
  await update("FULL", { description: "changed", max_msgs: 50, metadata: { c: "d" } });
  await update("FULL", { storage: "memory" });
  await update("FULL", { retention: "interest" });
  await update("FULL", { max_consumers: 3 });
  await update("PLAIN", { subjects: ["plain.>", "plain2"] });
  await update("PLAIN", { subjects: ["full.x"] });
  await update("PLAIN", { allow_msg_ttl: true });
  await update("PLAIN", { deny_delete: true });
  await update("PLAIN", { deny_delete: false });
  await update("PLAIN", { allow_msg_counter: true });
  await update("MISSING", { subjects: ["y"] });
  await t.attempt("info MISSING", () => jsm.streams.info("MISSING"));
  await t.attempt("delete MISSING", () => jsm.streams.delete("MISSING"));
  await t.attempt("delete ASYNC", () => jsm.streams.delete("ASYNC"));
  await t.attempt("find", () => jsm.streams.find("plain.x"));
  await t.attempt("find nothing", () => jsm.streams.find("nothing"));
  for (let i = 0; i < 25; i++) await jsm.streams.add({ name: `N${i}`, subjects: [`n.${i}`], storage: "memory" });
  await t.attempt("too many streams", async () => {
    for (let i = 25; i < 60; i++) await jsm.streams.add({ name: `N${i}`, subjects: [`n.${i}`], storage: "memory" });
  });
  await t.attempt("names", async () => (await collected(jsm.streams.names())).sort());
  await t.attempt("names of a subject", () => collected(jsm.streams.names("plain.>")));
  await t.attempt("list", async () => (await collected(jsm.streams.list())).map((info) => info.config.name).sort());
  await t.attempt("list of a subject", () => collected(jsm.streams.list("mem")));
  for (let i = 0; i < 60; i++) await jsm.streams.delete(`N${i}`).catch(() => {});
  await nc.flush();
  watch.unsubscribe();
  t.say("advisories", advisories.filter(({ stream }) => !/^N\d+$/.test(stream ?? "")).slice(0, 40));
}

async function contents(t, nc, jsm) {
  t.section("contents");
  const js = jetstream(nc);
  await jsm.streams.add({ name: "C", subjects: ["c.>"] });
  for (let i = 1; i <= 12; i++) await js.publish(`c.${i % 3}`, `message ${i}`);
  const h = headers();
  h.append("X", "1");
  h.append("X", "2");
  await js.publish("c.h", "with headers", { headers: h });
  t.say("info", await jsm.streams.info("C"));
  t.say("subjects", (await jsm.streams.info("C", { subjects_filter: ">" })).state);
  t.say("some subjects", (await jsm.streams.info("C", { subjects_filter: "c.1" })).state.subjects);
  const get = (query) => t.attempt(`get ${JSON.stringify(query)}`, async () => stored(await jsm.streams.getMessage("C", query)));
  for (const query of [{ seq: 1 }, { seq: 13 }, { last_by_subj: "c.1" }, { last_by_subj: "c.*" }, { seq: 99 }, { last_by_subj: "none" }, { seq: 4, next_by_subj: "c.2" }, { seq: 0 }, {}]) await get(query);
  await t.attempt("delete", () => jsm.streams.deleteMessage("C", 2));
  await t.attempt("delete without erasing", () => jsm.streams.deleteMessage("C", 5, false));
  await t.attempt("delete again", () => jsm.streams.deleteMessage("C", 5));
  await t.attempt("delete nothing", () => jsm.streams.deleteMessage("C", 500));
  t.say("deleted", (await jsm.streams.info("C", { deleted_details: true })).state);
  await get({ seq: 2 });
  const purge = (options) => t.attempt(`purge ${JSON.stringify(options)}`, async () => [await jsm.streams.purge("C", options), (await jsm.streams.info("C")).state]);
  await purge({ filter: "c.1", keep: 1 });
  await purge({ seq: 4 });
  await purge({ filter: "c.2", seq: 8 });
  await purge({ filter: "c.0" });
  await purge({ filter: "none" });
  await purge({ keep: 1 });
  await purge({ keep: 1, seq: 1 });
  await purge();
  await jsm.streams.update("C", { deny_purge: true, deny_delete: true }).catch(() => {});
  await purge();
  await t.attempt("delete denied", () => jsm.streams.deleteMessage("C", 1));
  await t.attempt("seal", async () => (await jsm.streams.update("C", { sealed: true })).config);
  await t.attempt("publish when sealed", () => js.publish("c.1", "x"));
  await t.attempt("stream object", async () => {
    const stream = await js.streams.get("PLAIN");
    return [stream.name, await stream.alternates(), (await stream.best()).name];
  });
}

async function copies(t, nc, jsm) {
  t.section("mirrors and sources");
  const js = jetstream(nc);
  await jsm.streams.add({ name: "ORIGIN", subjects: ["origin.>"] });
  for (let i = 1; i <= 10; i++) await js.publish(`origin.${i % 2 ? "odd" : "even"}`, String(i));
  await t.attempt("mirror", () => jsm.streams.add({ name: "MIRROR", mirror: { name: "ORIGIN" }, mirror_direct: true, allow_direct: true }));
  await t.attempt("sources", () =>
    jsm.streams.add({
      name: "SOURCED", subjects: ["sourced"],
      sources: [
        { name: "ORIGIN", filter_subject: "origin.odd", opt_start_seq: 3 },
        { name: "PLAIN", subject_transforms: [{ src: "plain.>", dest: "was.plain.>" }] },
      ],
    }));
  await t.attempt("mirror of nothing", () => jsm.streams.add({ name: "GHOST", mirror: { name: "NOWHERE" } }));
  await t.attempt("mirror with a filter", async () => (await jsm.streams.add({ name: "FILTERED", mirror: { name: "ORIGIN", filter_subject: "origin.even" } })).config.mirror);
  await t.attempt("external", () => jsm.streams.add({ name: "FAR", mirror: { name: "ORIGIN", external: { api: "$JS.far.API", deliver: "deliver" } } }));
  await t.attempt("domain", () => jsm.streams.add({ name: "DOMAIN", mirror: { name: "ORIGIN", domain: "hub" } }));
  await js.publish("plain.x", "from plain");
  const filled = (name, messages) => until(async () => (await jsm.streams.info(name)).state.messages === messages, `${messages} messages in ${name}`);
  await filled("MIRROR", 10);
  await filled("SOURCED", 5);
  await filled("FILTERED", 5);
  await until(async () => (await jsm.streams.info("GHOST")).mirror.error, "an error about an origin that does not exist");
  for (const name of ["MIRROR", "SOURCED", "FILTERED", "GHOST"]) {
    t.say(name, await jsm.streams.info(name));
  }
  await t.attempt("a message of the mirror", async () => stored(await jsm.streams.getMessage("MIRROR", { seq: 3 })));
  await t.attempt("messages with a source", async () => {
    const all = [];
    for (let seq = 1; seq <= 5; seq++) all.push(stored(await jsm.streams.getMessage("SOURCED", { seq })));
    return all.sort((a, b) => (a.subject + a.data < b.subject + b.data ? -1 : 1)).map(({ seq, ...rest }) => rest);
  });
  await t.attempt("publish to a mirror", () => js.publish("MIRROR", "x", { timeout: 500 }));
  await t.attempt("account", async () => (({ streams, consumers }) => ({ streams, consumers }))(await jsm.getAccountInfo()));
  await t.attempt("alternates", async () => (await js.streams.get("ORIGIN")).alternates());
  for (const name of ["MIRROR", "SOURCED", "FILTERED", "GHOST", "FAR", "DOMAIN"]) await t.attempt(`delete ${name}`, () => jsm.streams.delete(name));
}

async function direct(t, nc, jsm) {
  t.section("direct");
  const js = jetstream(nc);
  await jsm.streams.add({ name: "D", subjects: ["d.>"], allow_direct: true });
  const h = headers();
  h.set("A", "b");
  for (let i = 1; i <= 12; i++) await js.publish(`d.${i % 3}`, `message ${i}`, i === 7 ? { headers: h } : {});
  await jsm.streams.deleteMessage("D", 4);
  const get = (query) => t.attempt(`get ${JSON.stringify(query)}`, async () => stored(await jsm.direct.getMessage("D", query)));
  for (const query of [{ seq: 1 }, { seq: 7 }, { seq: 4 }, { seq: 99 }, { last_by_subj: "d.2" }, { last_by_subj: "d.>" }, { last_by_subj: "none" }, { seq: 4, next_by_subj: "d.1" }, { next_by_subj: "d.0" }, { seq: 20, next_by_subj: "d.0" }]) await get(query);
  await t.attempt("not direct", () => jsm.direct.getMessage("C", { seq: 1 }));
  const batch = (options) => t.attempt(`batch ${JSON.stringify(options)}`, async () => collected(await jsm.direct.getBatch("D", options), Infinity, 3000, stored));
  for (const options of [{ seq: 1, batch: 3 }, { seq: 3, batch: 3, next_by_subj: "d.1" }, { seq: 50, batch: 3 }, { seq: 1, batch: 20, max_bytes: 150 }, { start_time: new Date(0), batch: 2 }, { batch: 2, seq: 0 }]) await batch(options);
  const last = (options) => t.attempt(`last for ${JSON.stringify(options)}`, async () => collected(await jsm.direct.getLastMessagesFor("D", options), Infinity, 3000, stored));
  for (const options of [{ multi_last: ["d.1", "d.2"] }, { multi_last: ["d.>"] }, { multi_last: ["d.>"], up_to_seq: 5 }, { multi_last: ["none"] }, { multi_last: ["d.>"], batch: 2 }, { multi_last: ["d.>"], up_to_time: new Date(0) }]) await last(options);
}

const stored = (m) => m && { ...message(m), seq: m.seq, time: m.timestamp ?? m.time, lastSequence: m.lastSequence, pending: m.pending };
