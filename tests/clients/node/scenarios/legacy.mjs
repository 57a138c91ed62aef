// The older package `nats` (version 2), which many programs still have: everything in one package.
import { AckPolicy, connect, consumerOpts, createInbox, headers, ErrorCode, JSONCodec, StringCodec } from "nats";
import { Server } from "../server.mjs";
import { collected, failure, message } from "../transcript.mjs";

const CONFIG = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
authorization { users: [ { user: a, password: p } ] }
jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }
`;

export async function run(t, { program }) {
  const server = await Server.start(program, CONFIG);
  const options = { servers: server.address, user: "a", pass: "p" };
  const nc = await connect(options);
  try {
    t.section("core");
    t.say("info", nc.info);
    await t.attempt("wrong password", () => connect({ ...options, pass: "q" }));
    const sub = nc.subscribe("s.*", { max: 2 });
    nc.publish("s.1", StringCodec().encode("one"));
    nc.publish("s.2", JSONCodec().encode({ two: 2 }), { headers: headers(), reply: "r" });
    t.say("received", await collected(sub, 2, 2000, message));
    await t.attempt("nobody", () => nc.request("nobody"));
    await t.attempt("silence", async () => {
      nc.subscribe("silent");
      return nc.request("silent", "", { timeout: 100 });
    });

    t.section("JetStream");
    const jsm = await nc.jetstreamManager();
    const js = nc.jetstream();
    t.say("stream", await jsm.streams.add({ name: "S", subjects: ["js.>"] }));
    for (let i = 1; i <= 10; i++) await js.publish(`js.${i % 2}`, StringCodec().encode(`message ${i}`), { msgID: String(i) });
    await t.attempt("duplicate", () => js.publish("js.1", undefined, { msgID: "1" }));
    await t.attempt("too late", () => js.publish("js.1", undefined, { expect: { lastSequence: 3 } }));
    t.say("consumer", await jsm.consumers.add("S", { durable_name: "C", ack_policy: AckPolicy.Explicit, filter_subject: "js.1" }));
    t.say("pull", [(await js.pull("S", "C")).string?.() ?? "one"]);
    t.say("fetch", await collected(js.fetch("S", "C", { batch: 10, expires: 500 }), Infinity, 2000, (m) => (m.ack(), new TextDecoder().decode(m.data))));
    const pushed = consumerOpts().deliverTo(createInbox()).ackNone().deliverAll().orderedConsumer();
    t.say("ordered", await collected(await js.subscribe("js.>", consumerOpts().orderedConsumer()), 10, 3000, (m) => m.seq).catch(failure));
    t.say("bound", pushed.config?.ack_policy ?? "none");
    const push = await js.subscribe("js.>", consumerOpts().durable("P").deliverTo("here").ackExplicit().manualAck().maxAckPending(3));
    t.say("push", await collected(push, 10, 3000, (m) => (m.ack(), m.info.deliverySequence)));
    await t.attempt("pull subscription", async () => {
      const pulled = await js.pullSubscribe("js.0", { config: { durable_name: "PULLED", ack_policy: AckPolicy.Explicit } });
      pulled.pull({ batch: 5, expires: 500 });
      return collected(pulled, 5, 3000, (m) => (m.ack(), m.seq));
    });
    await t.attempt("account", async () => (({ streams, consumers, limits }) => ({ streams, consumers, limits }))(await jsm.getAccountInfo()));

    t.section("views");
    const kv = await js.views.kv("K", { history: 3 });
    await kv.put("a", StringCodec().encode("1"));
    await kv.create("b", StringCodec().encode("1"));
    await t.attempt("create again", () => kv.create("b", StringCodec().encode("2")));
    await kv.delete("a");
    t.say("keys", await collected(await kv.keys()));
    t.say("watch", await collected(await kv.watch(), 2, 2000, ({ key, operation, revision }) => ({ key, operation, revision })));
    const os = await js.views.os("O");
    await os.putBlob({ name: "x" }, new Uint8Array(300_000));
    t.say("object", [(await os.getBlob("x")).length, (await os.info("x")).chunks]);
    await t.attempt("status", async () => (await os.status()).size > 300_000);

    t.section("services");
    const service = await nc.services.add({ name: "echo", version: "0.0.1" });
    service.addEndpoint("say", (_e, m) => m.respond(m.data));
    t.say("answer", message(await nc.request("say", "hello")));
    t.say("ping", await collected(await nc.services.client().ping("echo")));
    await service.stop();
    await nc.drain();
    t.say("closed", (await nc.closed()) ?? "without an error");
    t.say("code", ErrorCode.NoResponders);
  } finally {
    await nc.close();
    await server.stop();
  }
}
