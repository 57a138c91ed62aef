// What the Node clients see of a server: node check.mjs PROGRAM CERTIFICATES [RECORDED] [SCENARIO...]
//
// Runs the scenarios, each against a PROGRAM of its own started under the name nats-server, and prints what the client
// saw. With the folder RECORDED, what was printed for another server, the two are compared and every difference is an error.
// `recorded/` beside this file is what nats-server 2.15.1 gives; to record anew:
//
//     node check.mjs PATH_TO_NATS_SERVER CERTIFICATES --record recorded
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Transcript, failure } from "./transcript.mjs";

// The first runs alone: the client has one kind of transport in a process at a time.
const SCENARIOS = ["websocket", "consumers", "core", "login", "tls", "reconnect", "streams", "publish", "keys", "objects", "services", "legacy"];

const arguments_ = process.argv.slice(2);
const record = arguments_.includes("--record");
const [program, certificates, recorded, ...only] = arguments_.filter((argument) => argument !== "--record");

async function scenario(name) {
  const { run } = await import(`./scenarios/${name}.mjs`);
  const transcript = new Transcript();
  try {
    await run(transcript, { program, certificates });
  } catch (error) {
    transcript.say("ended", failure(error) + "\n" + error.stack);
  }
  return transcript.text;
}

// The first lines in which two texts differ, with what precedes them.
function difference(want, got) {
  const [wanted, gotten] = [want.split("\n"), got.split("\n")];
  const at = wanted.findIndex((line, index) => line !== gotten[index]);
  const lines = (from) => from.slice(Math.max(at, 0), at + 12).join("\n  ");
  const context = wanted.slice(Math.max(at - 6, 0), at).join("\n  ");
  return `  ${context}\nrecorded:\n  ${lines(wanted)}\nhere:\n  ${lines(gotten)}`;
}

// Runs one scenario; answers whether all is as recorded.
async function check(name) {
  const began = Date.now();
  const text = await scenario(name);
  if (!recorded) {
    process.stdout.write(text);
    return true;
  }
  const file = join(recorded, `${name}.txt`);
  console.log(`${name}: ${text.split("\n").length} lines, ${Date.now() - began} ms`);
  if (/^ended: /m.test(text)) { // nothing to record or to compare
    console.error(`${name} does not come to its end:\n${text.slice(text.search(/^ended: /m))}`);
    return false;
  }
  if (record) {
    await mkdir(recorded, { recursive: true });
    await writeFile(file, text);
    return true;
  }
  const want = await readFile(file, "utf8");
  if (want !== text) console.error(`${name} is not as ${file}:\n${difference(want, text)}\n`);
  return want === text;
}

const waiting = only.length ? only : SCENARIOS;
const results = [await check(waiting.shift())];
const worker = async () => {
  for (let name; (name = waiting.shift()); ) results.push(await check(name));
};
await Promise.all(Array.from({ length: 4 }, worker)); // they mostly wait
process.exit(results.every(Boolean) ? 0 : 1);
