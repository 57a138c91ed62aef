// Who may connect, and what they may do then.
import { connect, credsAuthenticator, nkeyAuthenticator, tokenAuthenticator, usernamePasswordAuthenticator, jwtAuthenticator } from "@nats-io/transport-node";
import { createAccount, createOperator, createUser } from "@nats-io/nkeys";
import { encodeAccount, encodeOperator, encodeUser, fmtCreds } from "@nats-io/jwt";
import { Server } from "../server.mjs";
import { collected, failure, message, noted, sleep } from "../transcript.mjs";

export async function run(t, { program }) {
  await users(t, program);
  await token(t, program);
  await operator(t, program);
}

async function tried(t, label, options) {
  return t.attempt(label, async () => {
    const nc = await connect({ reconnect: false, timeout: 3000, ...options });
    try {
      return (await nc.context()).data;
    } finally {
      await nc.close();
    }
  });
}

async function users(t, program) {
  t.section("users");
  const key = createUser();
  const config = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
accounts {
  A {
    users: [
      { user: a, password: p }
      { nkey: ${key.getPublicKey()} }
      { user: limited, password: p, permissions: {
        publish: { allow: ["a.>", "_INBOX.>", "$SYS.REQ.USER.INFO"], deny: "a.secret" }, subscribe: { allow: ["a.>", "_INBOX.>", "q.* workers"], deny: "a.secret" }, allow_responses: { max: 2, expires: "1m" }
      } }
      { user: inbox, password: p, permissions: { publish: ["a.>"], subscribe: ["_INBOX_mine.>"] } }
      { user: bcrypt, password: "$2a$04$5yqsf5E47WGVl1d/RQk5juCMTXTYYzMrKVOo4dsxsd1QTLYz/9ODq" }
    ]
  }
  B { users: [ { user: b, password: p, connection_types: [WEBSOCKET] } ] }
}
`;
  const server = await Server.start(program, config);
  const servers = server.address;
  try {
    await tried(t, "user and password", { servers, user: "a", pass: "p" });
    await tried(t, "authenticator", { servers, authenticator: usernamePasswordAuthenticator("a", "p") });
    await tried(t, "in the URL", { servers: `nats://a:p@${servers}` });
    await tried(t, "wrong password", { servers, user: "a", pass: "q" });
    await tried(t, "nobody", { servers });
    await tried(t, "token", { servers, token: "t" });
    await tried(t, "nkey", { servers, authenticator: nkeyAuthenticator(key.getSeed()) });
    await tried(t, "unknown nkey", { servers, authenticator: nkeyAuthenticator(createUser().getSeed()) });
    await tried(t, "bcrypt, wrong", { servers, user: "bcrypt", pass: "q" });
    await tried(t, "wrong kind of connection", { servers, user: "b", pass: "p" });
    await tried(t, "permissions", { servers, user: "limited", pass: "p" });
    await tried(t, "two authenticators", { servers, authenticator: [usernamePasswordAuthenticator("a", "p"), nkeyAuthenticator(key.getSeed())] });

    const nc = await connect({ servers, user: "a", pass: "p" });
    t.say("info", nc.info);
    const limited = await connect({ servers, user: "limited", pass: "p" });
    const seen = noted(limited.status());
    const violation = async (label, action) => {
      await t.attempt(label, async () => {
        const before = seen.length;
        const value = await action();
        await limited.flush();
        await sleep(20);
        return [value, ...seen.slice(before)];
      });
    };
    await violation("publish denied", () => limited.publish("a.secret", "x"));
    await violation("publish not allowed", () => limited.publish("b", "x"));
    await violation("request not allowed", () => limited.request("b", "x", { timeout: 500 }).catch(failure));
    await violation("request with own inbox, not allowed", () => limited.request("b", "x", { timeout: 500, noMux: true }).catch(failure));
    await violation("subscribe not allowed", async () => (await collected(limited.subscribe("b"), 1, 500).catch(failure)));
    await violation("subscribe denied", async () => (await collected(limited.subscribe("a.secret"), 1, 500).catch(failure)));
    await violation("queue allowed", () => void limited.subscribe("q.x", { queue: "workers" }));
    await violation("queue not allowed", async () => (await collected(limited.subscribe("q.x", { queue: "others" }), 1, 500).catch(failure)));
    await violation("queue needed", async () => (await collected(limited.subscribe("q.x"), 1, 500).catch(failure)));
    const filtered = limited.subscribe("a.*");
    await limited.flush();
    nc.publish("a.secret", "hidden");
    nc.publish("a.open", "shown");
    await nc.flush();
    await t.attempt("filtered", () => collected(filtered, 1, 2000, (m) => message(m)));

    limited.subscribe("a.service", {
      callback: (_e, m) => {
        for (let i = 0; i < 3; i++) m.respond(String(i));
      },
    });
    await limited.flush();
    await violation("two answers allowed", async () => {
      const answers = nc.subscribe("else.where");
      nc.publish("a.service", "x", { reply: "else.where" });
      return collected(answers, Infinity, 200, (m) => m.string());
    });
    const inbox = await connect({ servers, user: "inbox", pass: "p", inboxPrefix: "_INBOX_mine" });
    nc.subscribe("a.question", { callback: (_e, m) => m.respond("answer") });
    await nc.flush();
    await t.attempt("own prefix of inboxes", async () => (await inbox.request("a.question")).string());
    await Promise.all([nc, limited, inbox].map((connection) => connection.close()));
  } finally {
    await server.stop();
  }
}

async function token(t, program) {
  t.section("token");
  const config = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
authorization { token: "s3cr3t", timeout: 0.5 }
`;
  const server = await Server.start(program, config);
  const servers = server.address;
  try {
    await tried(t, "token", { servers, token: "s3cr3t" });
    await tried(t, "authenticator", { servers, authenticator: tokenAuthenticator("s3cr3t") });
    await tried(t, "in the URL", { servers: `s3cr3t@${servers}` });
    await tried(t, "wrong", { servers, token: "other" });
    await tried(t, "none", { servers });
  } finally {
    await server.stop();
  }
}

async function operator(t, program) {
  t.section("claims");
  const [operator, system, app] = [createOperator(), createAccount(), createAccount()];
  const claims = {
    operator: await encodeOperator("O", operator, { system_account: system.getPublicKey() }),
    system: await encodeAccount("SYS", system, {}, { signer: operator }),
    app: await encodeAccount("APP", app, {
      limits: { subs: 20, conn: 4, leaf: -1, imports: -1, exports: -1, data: -1, payload: 1000, wildcards: true, mem_storage: 1e6, disk_storage: 1e7, streams: 2, consumer: 3 },
    }, { signer: operator }),
  };
  const config = (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
operator: ${claims.operator}
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload { ${system.getPublicKey()}: ${claims.system}, ${app.getPublicKey()}: ${claims.app} }
jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }
`;
  const server = await Server.start(program, config);
  const servers = server.address;
  const creds = async (name, options = {}, more = {}, signer = app) => {
    const user = createUser();
    return new TextEncoder().encode(new TextDecoder().decode(fmtCreds(await encodeUser(name, user, signer, options, more), user)));
  };
  try {
    const plain = await creds("user");
    const nc = await connect({ servers, authenticator: credsAuthenticator(plain) });
    t.say("info", nc.info);
    t.say("context", (await nc.context()).data);
    await nc.close();
    const bearer = createUser();
    const bearerClaims = await encodeUser("bearer", bearer, app, { bearer_token: true });
    await tried(t, "bearer", { servers, authenticator: jwtAuthenticator(bearerClaims) });
    const needs = createUser();
    await tried(t, "no signature", { servers, authenticator: jwtAuthenticator(await encodeUser("x", needs, app, {})) });
    await tried(t, "wrong signature", { servers, authenticator: jwtAuthenticator(await encodeUser("x", needs, app, {}), createUser().getSeed()) });
    await tried(t, "unknown account", { servers, authenticator: credsAuthenticator(await creds("x", {}, {}, createAccount())) });
    await tried(t, "no credentials", { servers });
    await tried(t, "user and password", { servers, user: "a", pass: "b" });
    await tried(t, "expired", { servers, authenticator: credsAuthenticator(await creds("old", {}, { exp: Math.floor(Date.now() / 1000) - 10 })) });
    await tried(t, "not yet", { servers, authenticator: credsAuthenticator(await creds("soon", {}, { nbf: Math.floor(Date.now() / 1000) + 1000 })) });
    await tried(t, "only over WebSocket", { servers, authenticator: credsAuthenticator(await creds("ws", { allowed_connection_types: ["WEBSOCKET"] })) });
    await tried(t, "from elsewhere", { servers, authenticator: credsAuthenticator(await creds("far", { src: ["10.0.0.0/8"] })) });
    await tried(t, "permissions", {
      servers,
      authenticator: credsAuthenticator(await creds("limited", { pub: { allow: ["a.>", "$SYS.REQ.USER.INFO"], deny: ["a.x"] }, sub: { allow: ["_INBOX.>"] }, resp: { max: 3, ttl: 1e9 }, subs: 5, data: 1e6, payload: 100 })),
    });

    const ending = await connect({
      servers, reconnect: false, authenticator: credsAuthenticator(await creds("ending", {}, { exp: Math.floor(Date.now() / 1000) + 2 })),
    });
    const seen = noted(ending.status());
    await t.attempt("the credentials end", async () => {
      await ending.closed();
      return seen.map(({ type, error }) => ({ type, error }));
    });

    const held = [];
    for (let i = 0; i < 4; i++) held.push(await connect({ servers, authenticator: credsAuthenticator(plain) }));
    const fifth = connect({ servers, reconnect: false, timeout: 3000, authenticator: credsAuthenticator(plain) });
    t.say("one connection too many is refused", await fifth.then(() => false, () => true)); // with a reason, unless a write fails first
    await Promise.all(held.map((connection) => connection.close()));
  } finally {
    await server.stop();
  }
}
