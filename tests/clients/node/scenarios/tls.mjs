// Encrypted connections: upgraded after INFO, from the first byte, with a client's certificate.
import { connect } from "@nats-io/transport-node";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Server } from "../server.mjs";

export async function run(t, { program, certificates }) {
  const [caFile, certFile, keyFile] = ["ca.pem", "server.pem", "server-key.pem"].map((name) => join(resolve(certificates), name));
  const block = (more) => `tls { cert_file: "${certFile}", key_file: "${keyFile}", ${more} }`;
  const config = (more) => (ports) => `
server_name: SERVER
host: 127.0.0.1
port: ${ports.client}
${more}
`;
  const tried = (label, options) =>
    t.attempt(label, async () => {
      const nc = await connect({ reconnect: false, timeout: 3000, ...options });
      const { auth_required, tls_required, tls_available, tls_verify } = nc.info;
      const answer = { auth_required, tls_required, tls_available, tls_verify, encrypted: nc.protocol.transport.isEncrypted(), ...(await nc.context()).data };
      await nc.close();
      return answer;
    });
  const on = async (title, more, scenario) => {
    t.section(title);
    const server = await Server.start(program, config(more));
    try {
      await scenario(server.address);
    } finally {
      await server.stop();
    }
  };

  await on("TLS", block(""), async (servers) => {
    await tried("authority", { servers, tls: { caFile } });
    await tried("authority as text", { servers: `tls://${servers}`, tls: { ca: await readFile(caFile, "utf8") } });
    await tried("unknown authority", { servers, tls: {} });
    await tried("unverified", { servers, tls: { rejectUnauthorized: false } });
    await tried("a name that is not in the certificate", { servers: servers.replace("127.0.0.1", "127.0.0.2"), tls: { caFile } });
    await tried("a certificate that nobody asks for", { servers, tls: { caFile, certFile, keyFile } });
    await tried("handshake first, not here", { servers, timeout: 1000, tls: { caFile, handshakeFirst: true } });
  });
  await on("handshake first", block("handshake_first: true"), async (servers) => {
    await tried("first", { servers, tls: { caFile, handshakeFirst: true } });
  });
  await on("handshake first or not", block("handshake_first: auto"), async (servers) => {
    await tried("first", { servers, tls: { caFile, handshakeFirst: true } });
    await tried("after INFO", { servers, tls: { caFile } });
  });
  await on("both ways", block(`verify: true, ca_file: "${caFile}"`), async (servers) => {
    await tried("with a certificate", { servers, tls: { caFile, certFile, keyFile } });
    await tried("as text", { servers, tls: { caFile, cert: await readFile(certFile, "utf8"), key: await readFile(keyFile, "utf8") } });
    const without = connect({ servers, reconnect: false, timeout: 3000, tls: { caFile } });
    t.say("without is refused", await without.then(() => false, () => true)); // in what words is OpenSSL's matter
  });
  const users = `authorization { users: [ { user: "CN=rcgen self signed cert" }, { user: "localhost" } ] }`;
  await on("the certificate is the login", `${block(`verify_and_map: true, ca_file: "${caFile}"`)}\n${users}`, async (servers) => {
    await tried("known", { servers, tls: { caFile, certFile, keyFile } });
  });
  await on("TLS or not", `${block("")}\nallow_non_tls: true`, async (servers) => {
    await tried("encrypted", { servers, tls: { caFile } });
    await tried("plain", { servers, tls: null });
  });
  await on("no TLS", "", async (servers) => {
    await tried("asked for", { servers, tls: { caFile } });
  });
}
