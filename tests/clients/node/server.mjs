// The program under test, on the same ports over all its lives.
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const WITHIN = 20_000;

export class Server {
  // Started under the name nats-server, since that is whose place it takes. `ports` are for `config(ports, files)`.
  static async start(program, config, names = ["client"]) {
    const server = new Server();
    server.files = await mkdtemp(join(tmpdir(), "jetsled-node-"));
    server.config = config;
    server.ports = Object.fromEntries(names.map((name) => [name, -1]));
    server.program = join(server.files, "bin", "nats-server");
    await mkdir(join(server.files, "bin"));
    await symlink(resolve(program), server.program);
    await server.start();
    return server;
  }

  async start() {
    const file = join(this.files, "server.conf");
    await writeFile(file, this.config(this.ports, this.files));
    this.process = spawn(this.program, ["-c", file], { cwd: this.files, stdio: ["ignore", "ignore", "pipe"] });
    this.ended = new Promise((done) => this.process.once("exit", done));
    const log = [];
    await new Promise((ready, failed) => {
      const late = setTimeout(() => failed(new Error(`not ready in time:\n${log.join("\n")}`)), WITHIN);
      this.ended.then(() => failed(new Error(`ended:\n${log.join("\n")}`)));
      createInterface(this.process.stderr).on("line", (line) => {
        if (process.env.LOG) console.error(line);
        log.push(line);
        const found = /Listening for (client|websocket) (?:connections|clients) on \S+:(\d+)/.exec(line);
        if (found) this.ports[found[1]] = Number(found[2]);
        if (line.includes("Server is ready")) {
          clearTimeout(late);
          ready();
        }
      });
    });
  }

  get address() {
    return `127.0.0.1:${this.ports.client}`;
  }

  signal(name) {
    this.process.kill(name);
  }

  async restart() {
    this.process.kill("SIGTERM");
    await this.ended;
    await this.start();
  }

  async stop() {
    this.process.kill("SIGKILL");
    await this.ended;
    await rm(this.files, { recursive: true, force: true });
  }
}
