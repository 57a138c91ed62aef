// Publishing into a stream: what is acknowledged, what refused, batches, counters, schedules, times to live.
import { connect } from "@nats-io/transport-node";
import { headers } from "@nats-io/nats-core";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { startFastIngest } from "@nats-io/jetstream/internal";
import { Server } from "../server.mjs";
import { collected, failure, message, until } from "../transcript.mjs";

const CONFIG = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store, domain: hub }
`;

export async function run(t, { program }) {
  const server = await Server.start(program, CONFIG);
  const nc = await connect({ servers: server.address });
  try {
    const jsm = await jetstreamManager(nc, { domain: "hub" });
    const js = jetstream(nc);
    t.say("info", nc.info);
    await expectations(t, nc, jsm, js);
    await batches(t, nc, jsm, js);
    await counters(t, jsm, js);
    await schedules(t, nc, jsm, js);
    await lives(t, nc, jsm, js);
  } finally {
    await nc.close();
    await server.stop();
  }
}

const header = (pairs) => {
  const h = headers();
  for (const [name, value] of Object.entries(pairs)) h.append(name, value);
  return h;
};

async function expectations(t, nc, jsm, js) {
  t.section("expectations");
  await jsm.streams.add({ name: "P", subjects: ["p.>"], max_msg_size: 100, allow_rollup_hdrs: true, republish: { src: "p.copied", dest: "copied.{{wildcard(1)}}" } }).catch(failure);
  await jsm.streams.add({ name: "P", subjects: ["p.>"], max_msg_size: 100, allow_rollup_hdrs: true, republish: { src: "p.>", dest: "copied.>" } });
  const publish = (subject, data, options = {}) => t.attempt(`${subject} ${JSON.stringify({ ...options, headers: undefined })}`, () => js.publish(subject, data, { timeout: 1000, ...options }));
  const copies = nc.subscribe("copied.>");
  await publish("p.1", "first", { msgID: "a" });
  await publish("p.1", "first", { msgID: "a" });
  await publish("p.1", "second", { msgID: "b", expect: { lastMsgID: "a" } });
  await publish("p.1", "x", { expect: { lastMsgID: "a" } });
  await publish("p.1", "x", { expect: { streamName: "Q" } });
  await publish("p.1", "third", { expect: { streamName: "P", lastSequence: 2 } });
  await publish("p.1", "x", { expect: { lastSequence: 2 } });
  await publish("p.2", "fourth", { expect: { lastSubjectSequence: 0 } });
  await publish("p.2", "x", { expect: { lastSubjectSequence: 0 } });
  await publish("p.3", "fifth", { expect: { lastSubjectSequence: 4, lastSubjectSequenceSubject: "p.2" } });
  await publish("p.3", "x", { expect: { lastSubjectSequence: 3, lastSubjectSequenceSubject: "p.*" } });
  await publish("p.3", "x", { expect: { lastSubjectSequence: 3, lastSubjectSequenceSubject: "q..x" } });
  await publish("p.large", "x".repeat(200));
  await publish("p.ttl", "x", { ttl: "1m" });
  await publish("p.schedule", "x", { schedule: { specification: { every: "1h" }, target: "p.target" } });
  await publish("nowhere", "x");
  await publish("nowhere", "x", { retries: 2 });
  await publish("p.rollup", "x", { headers: header({ "Nats-Rollup": "sub" }) });
  await publish("p.rollup", "x", { headers: header({ "Nats-Rollup": "other" }) });
  await publish("p.incr", "", { headers: header({ "Nats-Incr": "+1" }) });
  await publish("p.level", "", { headers: header({ "Nats-Required-Api-Level": "99" }) });
  t.say("republished", await collected(copies, copies.getReceived(), 1000, message));
  await publish("p.all", "all", { headers: header({ "Nats-Rollup": "all" }) });
  t.say("state", (await jsm.streams.info("P")).state);
  await jsm.streams.add({ name: "FULLED", subjects: ["f.>"], max_msgs: 2, max_msgs_per_subject: 1, discard: "new", discard_new_per_subject: true });
  await publish("f.1", "x");
  await publish("f.1", "x");
  await publish("f.2", "x");
  await publish("f.3", "x");
  await jsm.streams.add({ name: "BYTES", subjects: ["b"], max_bytes: 100, discard: "new" });
  await publish("b", "x".repeat(40));
  await publish("b", "x".repeat(40));
  await jsm.streams.add({ name: "SILENT", subjects: ["silent"], no_ack: true });
  await publish("silent", "x");
  await jsm.streams.add({ name: "CHANGED", subjects: ["changed.*"], subject_transform: { src: "changed.*", dest: "other.{{wildcard(1)}}" } });
  await publish("changed.a", "x");
  t.say("changed", message(await jsm.streams.getMessage("CHANGED", { seq: 1 })));
}

async function batches(t, nc, jsm, js) {
  t.section("atomic batches");
  await jsm.streams.add({ name: "B", subjects: ["batch.>"], allow_atomic: true, allow_batched: true });
  await t.attempt("batch", async () => {
    const batch = await js.startBatch("batch.1", "1");
    batch.add("batch.2", "2");
    await batch.add("batch.3", "3", { ack: true });
    const { batch: id, ...ack } = await batch.commit("batch.4", "4");
    return { ...ack, same: id === batch.id };
  });
  t.say("stored", message(await jsm.streams.getMessage("B", { seq: 2 })).headers?.["Nats-Batch-Sequence"] ?? "without a sequence");
  await t.attempt("refused", async () => {
    const batch = await js.startBatch("batch.1", "1");
    batch.add("batch.1", "x", { headers: header({ "Nats-Expected-Last-Sequence": "77" }) });
    return batch.commit("batch.1", "2");
  });
  await t.attempt("a gap", async () => {
    const batch = await js.startBatch("batch.1", "1");
    batch.count++;
    return batch.commit("batch.1", "2");
  });
  await t.attempt("not allowed", async () => (await js.startBatch("p.1", "1")).commit("p.1", "2"));
  await t.attempt("elsewhere", async () => (await js.startBatch("batch.1", "1")).commit("p.1", "2", { timeout: 500 }));
  await t.attempt("last subject sequence", async () => {
    const batch = await js.startBatch("batch.new", "1", { headers: header({ "Nats-Expected-Last-Subject-Sequence": "0" }) });
    const { batch: _id, ...ack } = await batch.commit("batch.new2", "4", { headers: header({ "Nats-Expected-Last-Subject-Sequence": "0" }) });
    return ack;
  });
  await t.attempt("duplicate", async () => {
    await js.publish("batch.1", "x", { msgID: "same" });
    return (await js.startBatch("batch.1", "1", { msgID: "same" })).commit("batch.1", "2");
  });
  t.say("state", (await jsm.streams.info("B")).state);

  t.section("fast ingest");
  await t.attempt("ingest", async () => {
    const ingest = await startFastIngest(nc, "batch.fast", "0", { ackInterval: 10 });
    for (let i = 1; i < 50; i++) await ingest.add("batch.fast", String(i));
    await ingest.ping();
    const { batch, ...ack } = await ingest.last("batch.fast", "last");
    return { ...ack, same: batch === ingest.batch };
  });
  await t.attempt("end", async () => {
    const ingest = await startFastIngest(nc, "batch.fast", "0", {});
    await ingest.add("batch.fast", "1");
    const { batch, ...ack } = await ingest.end();
    return ack;
  });
  await t.attempt("not allowed", () => startFastIngest(nc, "p.1", "0", {}));
  t.say("state", (await jsm.streams.info("B")).state);
}

async function counters(t, jsm, js) {
  t.section("counters");
  await jsm.streams.add({ name: "COUNT", subjects: ["count.>"], allow_msg_counter: true, allow_direct: true });
  const add = (by) => t.attempt(`add ${by}`, () => js.publish("count.a", "", { headers: header({ "Nats-Incr": by }) }));
  for (const by of ["+1", "5", "-3", "+99999999999999999999", "x", ""]) await add(by);
  await t.attempt("no increment", () => js.publish("count.a", "x"));
  await t.attempt("value", async () => message(await jsm.direct.getMessage("COUNT", { last_by_subj: "count.a" })));
}

async function schedules(t, nc, jsm, js) {
  t.section("schedules");
  await jsm.streams.add({ name: "S", subjects: ["s.>"], allow_msg_schedules: true, allow_msg_ttl: true, allow_rollup_hdrs: true });
  const publish = (subject, schedule) => t.attempt(subject, () => js.publish(subject, "planned", { schedule }));
  const at = new Date(Date.now() + 1000);
  await publish("s.once", { specification: at, target: "s.target.once", ttl: "1m" });
  await publish("s.every", { specification: { every: "1s" }, target: "s.target.every" });
  await publish("s.cron", { specification: { cron: "0 0 5 * * *" }, target: "s.target.cron", timezone: "Europe/Berlin" });
  await publish("s.daily", { specification: { predefined: "@daily" }, target: "s.target.daily" });
  await publish("s.bad", { specification: { cron: "nonsense" }, target: "s.target.bad" });
  await publish("s.zone", { specification: { cron: "0 0 5 * * *" }, target: "s.target.bad", timezone: "Nowhere/At_all" });
  await publish("s.out", { specification: { every: "1h" }, target: "elsewhere" });
  await publish("s.same", { specification: { every: "1h" }, target: "s.same" });
  await publish("s.sourced", { specification: { every: "1h" }, target: "s.target.sourced", source: "s.*" });
  const found = async (subject) => {
    let got;
    await until(async () => (got = await jsm.streams.getMessage("S", { last_by_subj: subject }).catch(() => null)), `a message on ${subject}`);
    return message(got);
  };
  t.say("once", await found("s.target.once"));
  t.say("every", await found("s.target.every"));
  await t.attempt("cancel", () => js.publish("s.target.every", "last", { cancelSchedule: { scheduleSubject: "s.every" } }));
  t.say("subjects", Object.keys((await jsm.streams.info("S", { subjects_filter: "s.*" })).state.subjects ?? {}).sort());
}

async function lives(t, nc, jsm, js) {
  t.section("times to live");
  await jsm.streams.add({ name: "T", subjects: ["t.>"], allow_msg_ttl: true, subject_delete_marker_ttl: 60_000_000_000, allow_rollup_hdrs: true });
  for (const ttl of ["1s", "never", "10", "0", "500ms", "x", "-1s"]) await t.attempt(`ttl ${ttl}`, () => js.publish(`t.${ttl.length}${ttl.replace(/\W/g, "")}`, "x", { ttl }));
  await jsm.streams.add({ name: "AGED", subjects: ["aged"], allow_msg_ttl: true, subject_delete_marker_ttl: 60_000_000_000, max_age: 1_000_000_000, duplicate_window: 500_000_000, allow_rollup_hdrs: true });
  await js.publish("aged", "x");
  let marker;
  await until(async () => (marker = await jsm.streams.getMessage("AGED", { last_by_subj: "aged" }).catch(() => null))?.seq === 2, "the marker");
  t.say("marker", message(marker));
  await t.attempt("purge by subject", () => jsm.streams.purge("T", { filter: "t.5never" }));
  t.say("state", (await jsm.streams.info("T", { subjects_filter: ">" })).state);
}
