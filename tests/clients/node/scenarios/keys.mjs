// Key-value buckets.
import { connect } from "@nats-io/transport-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Server } from "../server.mjs";
import { collected, message, sleep, until } from "../transcript.mjs";

const CONFIG = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }
`;

const entry = (e) => e && { key: e.key, value: e.string(), revision: e.revision, operation: e.operation, delta: e.delta, length: e.length, isUpdate: e.isUpdate };

export async function run(t, { program }) {
  const server = await Server.start(program, CONFIG);
  const nc = await connect({ servers: server.address });
  try {
    const kvm = new Kvm(nc);
    const jsm = await jetstreamManager(nc);
    await bucket(t, nc, kvm);
    await watching(t, kvm);
    await expiry(t, kvm, jsm);
    await mirrors(t, nc, kvm, jsm);
    t.section("buckets");
    t.say("list", (await collected(kvm.list(), Infinity, 3000, ({ bucket, values, size }) => ({ bucket, values, size }))).sort((a, b) => (a.bucket < b.bucket ? -1 : 1)));
    await t.attempt("open none", async () => (await kvm.open("NONE")).status());
  } finally {
    await nc.close();
    await server.stop();
  }
}

async function bucket(t, nc, kvm) {
  t.section("values");
  const kv = await kvm.create("B", {
    history: 5, description: "keys", max_bytes: 1_000_000, maxValueSize: 100, storage: "file", compression: true, metadata: { a: "b" }, republish: { src: "$KV.B.>", dest: "changed.>" },
  });
  t.say("status", await kv.status());
  const changes = nc.subscribe("changed.>");
  await t.attempt("none", () => kv.get("none"));
  await t.attempt("put", () => kv.put("a", "1"));
  await t.attempt("put again", () => kv.put("a", "2"));
  await t.attempt("put if", () => kv.put("a", "3", { previousSeq: 2 }));
  await t.attempt("put if, too late", () => kv.put("a", "x", { previousSeq: 2 }));
  await t.attempt("create", () => kv.create("b.c", "1"));
  await t.attempt("create again", () => kv.create("b.c", "2"));
  await t.attempt("update", () => kv.update("b.c", "2", 4));
  await t.attempt("update, too late", () => kv.update("b.c", "3", 4));
  await t.attempt("get", async () => entry(await kv.get("a")));
  await t.attempt("get a revision", async () => entry(await kv.get("a", { revision: 1 })));
  await t.attempt("get a revision of another", async () => entry(await kv.get("a", { revision: 4 })));
  await t.attempt("too large", () => kv.put("large", "x".repeat(200)));
  await t.attempt("bad key", () => kv.put("a b", "x"));
  await t.attempt("empty", () => kv.put("empty", ""));
  await t.attempt("get the empty one", async () => entry(await kv.get("empty")));
  await t.attempt("delete", () => kv.delete("a"));
  await t.attempt("get the deleted one", async () => entry(await kv.get("a")));
  await t.attempt("delete if, too late", () => kv.delete("b.c", { previousSeq: 1 }));
  await t.attempt("create after a delete", () => kv.create("a", "new"));
  await t.attempt("history", async () => collected(await kv.history({ key: "a" }), Infinity, 3000, entry));
  await t.attempt("all history", async () => (await collected(await kv.history(), Infinity, 3000, entry)).length);
  await t.attempt("keys", async () => (await collected(await kv.keys())).sort());
  await t.attempt("some keys", async () => collected(await kv.keys(["b.>", "empty"])));
  await t.attempt("purge", () => kv.purge("a"));
  await t.attempt("history of the purged", async () => collected(await kv.history({ key: "a" }), Infinity, 3000, entry));
  await t.attempt("purge if, too late", () => kv.purge("b.c", { previousSeq: 1 }));
  for (let i = 0; i < 8; i++) await kv.put("many", String(i));
  await t.attempt("history of many", async () => (await collected(await kv.history({ key: "many" }), Infinity, 3000, entry)).map(({ value, revision }) => [value, revision]));
  await nc.flush();
  t.say("republished", await collected(changes, 3, 1000, message));
  t.say("status", await kv.status());
  await t.attempt("purge deletes", () => kv.purgeDeletes(0));
  await t.attempt("keys", async () => (await collected(await kv.keys())).sort());
}

async function watching(t, kvm) {
  t.section("watch");
  const kv = await kvm.create("W", { history: 3 });
  for (const [key, value] of [["a", "1"], ["a", "2"], ["b", "1"], ["c.d", "1"]]) await kv.put(key, value);
  await kv.delete("b");
  const watch = async (label, options, most, change = async () => {}) => {
    const watcher = await kv.watch(options);
    const entries = collected(watcher, most, 2000, entry);
    await change();
    t.say(label, await entries);
  };
  await watch("all", {}, 3);
  await watch("history", { include: "history" }, 5);
  await watch("updates", { include: "updates" }, 1, async () => {
    await sleep(50);
    await kv.put("a", "3");
  });
  await watch("some", { key: "c.*" }, 1);
  await watch("several", { key: ["a", "c.>"] }, 2);
  await watch("without deletes", { ignoreDeletes: true }, 2);
  await watch("only headers", { headers_only: true, key: "a" }, 1);
  await watch("from a revision", { resumeFromRevision: 3 }, 4);
  await watch("goes on", { key: "a" }, 4, async () => {
    await sleep(50);
    await kv.put("a", "4");
    await kv.delete("a");
    await kv.purge("a");
  });
}

async function expiry(t, kvm, jsm) {
  t.section("expiry");
  const aged = await kvm.create("AGED", { ttl: 1000 });
  await aged.put("a", "1");
  await until(async () => (await aged.get("a")) === null, "the end of the value");
  const kv = await kvm.create("MARKED", { ttl: 3_600_000, markerTTL: 2000, history: 3 });
  t.say("status", (await kv.status()).streamInfo.config);
  const seen = [];
  const watcher = await kv.watch({ include: "updates" });
  (async () => {
    for await (const e of watcher) seen.push(entry(e));
  })();
  await sleep(50);
  await t.attempt("create with a time to live", () => kv.create("short", "1", "2s"));
  await t.attempt("purge with a time to live", async () => {
    await kv.put("purged", "x");
    await kv.purge("purged", { ttl: "2s" });
  });
  await until(() => seen.some(({ key, operation }) => key === "short" && operation !== "PUT"), "the marker");
  await until(async () => (await jsm.streams.info("KV_MARKED")).state.messages === 0, "an empty bucket", 15_000).catch(() => {});
  watcher.stop();
  t.say("seen", seen);
  t.say("left", (await jsm.streams.info("KV_MARKED")).state.messages);
}

async function mirrors(t, nc, kvm, jsm) {
  t.section("mirrors and sources");
  const origin = await kvm.create("ORIGIN");
  await origin.put("a", "1");
  await origin.put("b", "1");
  const mirror = await kvm.create("MIRROR", { mirror: { name: "ORIGIN" } });
  await (await kvm.create("OTHER")).put("x", "1");
  const both = await kvm.create("BOTH", { sources: [{ name: "ORIGIN" }, { name: "OTHER" }] });
  await until(async () => (await jsm.streams.info("KV_MIRROR")).state.messages === 2, "the mirror");
  await until(async () => (await jsm.streams.info("KV_BOTH")).state.messages === 3, "both sources");
  t.say("mirror", (await mirror.status()).streamInfo.config);
  await t.attempt("get from the mirror", async () => entry(await mirror.get("a")));
  await t.attempt("keys of the mirror", async () => (await collected(await mirror.keys())).sort());
  await t.attempt("put through the mirror", () => mirror.put("c", "1"));
  await t.attempt("get", async () => entry(await origin.get("c")));
  await t.attempt("keys of both", async () => (await collected(await both.keys())).sort());
  await t.attempt("sources", async () => (await both.status()).streamInfo.config.sources);
  await t.attempt("destroy", () => both.destroy());
}
