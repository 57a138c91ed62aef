// What a client saw, as text that is the same each time: times, random names and ports are masked.
const ADDRESS = /127\.0\.0\.\d:\d+|localhost:\d+/g;
const OPENSSL = /\b[0-9A-F]{16}:error:.*\n?/g;
const KEY = /\b[ACNOUX][A-Z2-7]{55}\b/g;
const TOKEN = /\beyJ[\w-]+\.[\w-]+\.[\w-]+/g;
const NUID = /\b[A-Za-z0-9]{22}\b/g;
const SOURCE = /\b(\S+ \d+ \S+ \S+ \S+) [A-Za-z0-9]{8}"/g; // of a Nats-Stream-Source
const TIME = /\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?/g;
// Members whose value is a time or a span, or the server's own.
const VOLATILE = new Set([
  "active", "last_active", "pause_remaining", "processing_time", "average_processing_time", "rtt", "start", "client_id",
  "port", "timestampNanos", "cid", "nonce", "uptime",
]);
// A Go program's.
const LEFT_OUT = new Set(["git_commit", "go"]);

const WIDTH = 240;

export class Transcript {
  lines = [];

  section(title) {
    this.lines.push("", `# ${title}`);
  }

  say(label, value) {
    const text = value === undefined ? label : `${label}: ${shown(value)}`;
    this.lines.push(text);
    if (process.env.VERBOSE) console.error(new Date().toISOString(), text);
  }

  // Says what `action` gives, or how it fails; returns what it gives.
  async attempt(label, action) {
    try {
      const value = await action();
      this.say(label, value === undefined ? "done" : value);
      return value;
    } catch (error) {
      this.say(label, failure(error));
    }
  }

  get text() {
    return this.lines.join("\n").trim() + "\n";
  }
}

export function failure(error) {
  const code = error.code !== undefined && error.status !== undefined ? ` (${error.status}, ${error.code})` : "";
  const cause = error.cause instanceof Error ? `, caused by ${failure(error.cause)}` : "";
  return `! ${error.name}: ${error.message}${code}${cause}`;
}

function shown(value) {
  if (value instanceof Uint8Array) value = new TextDecoder().decode(value);
  if (typeof value === "string") return masked(value);
  return masked(laid(JSON.parse(JSON.stringify(value, plain) ?? "null"), ""));
}

// JSON with a line for each member, but for what is short.
function laid(value, indent) {
  const line = JSON.stringify(value);
  if (line.length < WIDTH || typeof value !== "object") return line;
  const inner = `${indent} `;
  const members = Array.isArray(value)
    ? value.map((item) => laid(item, inner))
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${laid(item, inner)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return `${open}\n${members.map((member) => inner + member).join(",\n")}\n${indent}${close}`;
}

function masked(text) {
  return text.replace(TIME, "TIME").replace(TOKEN, "CLAIMS").replace(KEY, "KEY").replace(ADDRESS, "ADDRESS").replace(NUID, "NUID").replace(OPENSSL, "of OpenSSL").replace(SOURCE, '$1 ID"');
}

function plain(name, value) { // `this` is the object that has the member
  if (LEFT_OUT.has(name)) return undefined;
  if (name === "seq" && this.ver && this.host) return "SEQ"; // how many events the server has sent
  if ((name === "allow" || name === "deny") && Array.isArray(value)) return [...value].sort(); // nats-server's order is random
  if (name === "sources" && this.state) return [...value].sort((a, b) => (a.name < b.name ? -1 : 1)); // the same
  if (name === "name" && /^[A-Za-z0-9]{8}$/.test(value) && !/^([A-Z]+|[a-z]+)$/.test(value)) return "RANDOM"; // of a consumer
  if (VOLATILE.has(name) && value !== null && value !== undefined) return name.toUpperCase();
  if (value instanceof Error) return failure(value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (typeof value === "bigint") return String(value);
  return value;
}

// A message's parts that are the server's doing.
export function message(m) {
  const headers = m.headers ?? m.header;
  return {
    subject: m.subject.replace(/^(_INBOX\.\w+)\.\w+$/, "$1.TOKEN"),
    ...(headers && [...headers].length ? { headers: Object.fromEntries(headers) } : {}),
    ...(headers?.code ? { status: `${headers.code} ${headers.description}` } : {}),
    data: m.data.length > 200 ? `${m.data.length} bytes` : m.string(),
  };
}

export const sleep = (time) => new Promise((done) => setTimeout(done, time));

// What an iterator gives until it ends or has given `most`, within `time`; closes it.
export async function collected(iterator, most = Infinity, time = 3000, map = (item) => item) {
  const items = [];
  const late = setTimeout(() => iterator.stop?.() ?? iterator.unsubscribe?.(), time);
  try {
    if (most > 0) {
      for await (const item of iterator) {
        items.push(map(item));
        if (items.length >= most) break;
      }
    }
  } finally {
    clearTimeout(late);
  }
  return items;
}

// Waits until `condition` holds.
export async function until(condition, what = String(condition), time = 10_000) {
  for (const end = Date.now() + time; !(await condition()); await sleep(5)) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
  }
}

// Keeps what `iterator` tells, until it ends.
export function noted(iterator, wanted = () => true) {
  const notes = [];
  (async () => {
    try {
      for await (const note of iterator) if (wanted(note)) notes.push(note);
    } catch {
      // Told elsewhere: an iterator of messages ends with the same error.
    }
  })();
  return notes;
}
