// Object stores.
import { connect } from "@nats-io/transport-node";
import { headers } from "@nats-io/nats-core";
import { Objm } from "@nats-io/obj";
import { Server } from "../server.mjs";
import { collected, sleep } from "../transcript.mjs";

const CONFIG = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }
`;

export async function run(t, { program }) {
  const server = await Server.start(program, CONFIG);
  const nc = await connect({ servers: server.address });
  try {
    t.section("objects");
    const objm = new Objm(nc);
    const os = await objm.create("O", { description: "objects", storage: "file", max_bytes: 50_000_000, metadata: { a: "b" } });
    t.say("status", await os.status());
    const big = new Uint8Array(3_000_000).map((_, i) => (i * 7919) >> 3);
    const h = headers();
    h.set("A", "b");
    const put = (label, meta, data) => t.attempt(label, () => os.putBlob(meta, data));
    await put("small", { name: "small" }, new TextEncoder().encode("hello"));
    await put("empty", { name: "empty" }, new Uint8Array(0));
    await put("large", { name: "large", description: "three megabytes", headers: h, metadata: { m: "x" }, options: { max_chunk_size: 100_000 } }, big);
    await put("odd name", { name: "a name/with ünusual?" }, new TextEncoder().encode("x"));
    await t.attempt("get", async () => new TextDecoder().decode(await os.getBlob("small")));
    await t.attempt("get the large one", async () => Buffer.from(await os.getBlob("large")).equals(Buffer.from(big)));
    await t.attempt("as a stream", async () => {
      const result = await os.get("large");
      let bytes = 0;
      for await (const chunk of result.data) bytes += chunk.length;
      return [bytes, await result.error];
    });
    await t.attempt("none", () => os.getBlob("none"));
    await t.attempt("info", () => os.info("large"));
    await t.attempt("info of none", () => os.info("none"));
    await put("replaced", { name: "small" }, new TextEncoder().encode("hello again"));
    await t.attempt("get", async () => new TextDecoder().decode(await os.getBlob("small")));
    await t.attempt("put if, too late", () => os.putBlob({ name: "small" }, new TextEncoder().encode("x"), { previousRevision: 1 }));
    await t.attempt("update", () => os.update("small", { name: "renamed", description: "new name" }));
    await t.attempt("info", () => os.info("renamed"));
    await t.attempt("link", async () => os.link("pointer", await os.info("renamed")));
    await t.attempt("through a link", async () => new TextDecoder().decode(await os.getBlob("pointer")));
    const other = await objm.create("OTHER");
    await t.attempt("link to a store", () => os.linkStore("elsewhere", other));
    await t.attempt("list", async () => (await os.list()).map(({ name, size, chunks, deleted }) => ({ name, size, chunks, deleted })).sort((a, b) => (a.name < b.name ? -1 : 1)));
    const watched = os.watch({ includeHistory: true }).then((watcher) => collected(watcher, 7, 2000, (info) => info && [info.name, info.isUpdate, info.deleted]));
    await sleep(100);
    await t.attempt("delete", () => os.delete("renamed"));
    t.say("watched", await watched);
    await t.attempt("get the deleted one", () => os.getBlob("renamed"));
    await t.attempt("info of the deleted one", () => os.info("renamed"));
    await t.attempt("broken link", () => os.getBlob("pointer"));
    await t.attempt("status", () => os.status());
    await t.attempt("seal", () => os.seal());
    await put("sealed", { name: "late" }, new Uint8Array(1));
    await t.attempt("delete when sealed", () => os.delete("large"));
    t.say("stores", (await collected(objm.list())).map(({ bucket, sealed }) => ({ bucket, sealed })).sort((a, b) => (a.bucket < b.bucket ? -1 : 1)));
    await t.attempt("destroy", () => other.destroy());
    await t.attempt("open none", () => objm.open("NONE"));
  } finally {
    await nc.close();
    await server.stop();
  }
}
