// Services that are discovered, asked and counted (`micro`).
import { connect } from "@nats-io/transport-node";
import { ServiceError, Svcm } from "@nats-io/services";
import { Server } from "../server.mjs";
import { collected, message } from "../transcript.mjs";

const CONFIG = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
`;

export async function run(t, { program }) {
  const server = await Server.start(program, CONFIG);
  const [nc, client] = await Promise.all([connect({ servers: server.address }), connect({ servers: server.address })]);
  try {
    t.section("services");
    const svcm = new Svcm(nc);
    const services = [];
    for (let i = 0; i < 3; i++) {
      const service = await svcm.add({ name: "echo", version: "1.0.0", description: "says it again", metadata: { a: "b" } });
      service.addEndpoint("say", { handler: (_e, m) => m.respond(m.data), metadata: { c: "d" } });
      const group = service.addGroup("group");
      group.addEndpoint("fail", (_e, m) => m.respondError(400, "not today", "no"));
      group.addGroup("inner", "own").addEndpoint("deep", { handler: (_e, m) => m.respond("deep"), queue: "other" });
      services.push(service);
    }
    await nc.flush();
    for (let i = 0; i < 12; i++) await client.request("say", String(i), { timeout: 1000 });
    t.say("answer", message(await client.request("say", "hello")));
    t.say("deep", message(await client.request("group.inner.deep", "")));
    const refused = await client.request("group.fail", "x");
    t.say("refused", [message(refused), ServiceError.toServiceError(refused)]);
    await t.attempt("no such endpoint", () => client.request("group.none", "x"));
    const discovery = new Svcm(client).client({ strategy: "stall", maxWait: 1000, stall: 100 });
    t.say("ping", await collected(await discovery.ping()));
    t.say("ping one", (await collected(await discovery.ping("echo", services[0].info().id))).length);
    t.say("ping another", (await collected(await discovery.ping("other")).catch((error) => error.message)));
    t.say("info", (await collected(await discovery.info("echo"))).slice(0, 1));
    const stats = await collected(await discovery.stats("echo"));
    t.say("stats", [stats.length, stats[0].type, Object.keys(stats[0])]);
    t.say("requests", stats.reduce((sum, { endpoints }) => sum + endpoints[0].num_requests, 0));
    t.say("errors", stats.reduce((sum, { endpoints }) => sum + endpoints[1].num_errors, 0));
    await services[0].stop();
    t.say("ping", (await collected(await discovery.ping("echo"))).length);
    await Promise.all(services.map((service) => service.stop()));
    await t.attempt("all stopped", () => client.request("say", "x"));
  } finally {
    await Promise.all([nc.close(), client.close()]);
    await server.stop();
  }
}
