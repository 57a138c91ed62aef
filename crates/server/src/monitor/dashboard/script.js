// The dashboard: asks `/dashboard/...` and shows the answers. Whatever comes from the server is set as text, never as HTML.
"use strict";

const SECOND = 1000;
const WINDOW = 120; // samples of the charts at most, one a second
const SHORTEST = 30; // and at least, or there is room for them
const PAGE = 50; // rows of a table

// --- showing

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  const element = tag === "svg" || tag === "path" || tag === "line" ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const count = (number) => (number === undefined || number === null ? "–" : whole.format(number));

function short(number) {
  if (!Number.isFinite(number)) return "–";
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (number >= size) {
      const scaled = number / (unit === "k" ? 1e3 : size);
      return `${scaled.toFixed(scaled < 100 ? 1 : 0)}${unit}`;
    }
  }
  return number >= 100 || Number.isInteger(number) ? whole.format(number) : number.toFixed(1);
}

function bytes(number) {
  if (!Number.isFinite(number)) return "–";
  let unit = 0;
  while (number >= 1024 && unit < 5) { number /= 1024; unit += 1; }
  const text = unit === 0 || number >= 100 ? number.toFixed(0) : number.toFixed(1);
  return `${text} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]}`;
}

function time(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 1e-3) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < 0.1 ? 1 : 0)} ms`;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(0)} h` : `${(seconds / 86400).toFixed(0)} d`;
}

const limited = (number) => (number >= 2 ** 53 ? Infinity : number);

/** The path through these values, from left to right; a gap where one is missing. */
function trace(values, width, height, top) {
  let path = "";
  let open = false;
  const step = width / Math.max(1, values.length - 1);
  values.forEach((value, at) => {
    if (!Number.isFinite(value)) { open = false; return; }
    const y = height - (Math.min(value, top) / top) * height;
    path += `${open ? "L" : "M"}${(at * step).toFixed(2)} ${y.toFixed(2)}`;
    open = true;
  });
  return path;
}

/** The next round number that nothing goes beyond; of bytes one that is round as they are written. */
function ceiling(value, format) {
  if (!(value > 0)) return 1;
  if (format === bytes && value > 1024) {
    const unit = 1024 ** Math.floor(Math.log2(value) / 10);
    return Math.min(ceiling(value / unit), 1024) * unit;
  }
  const scale = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * scale).find((step) => step >= value);
}

/** A chart of several series over the last two minutes at most. */
class Chart {
  constructor(title, series, format, lowest = 0) {
    this.format = format;
    this.lowest = lowest; // of a logarithmic scale
    this.series = series.map((name, at) => {
      const shown = make("b", {}, "–");
      return {
        shown,
        key: make("span", { class: `key c${at + 1}` }, `${name} `, shown),
        line: make("path", { class: `trace c${at + 1}` }),
        fill: make("path", { class: `fill c${at + 1}` }),
      };
    });
    this.svg = make("svg", { viewBox: "0 0 480 150", preserveAspectRatio: "none", role: "img", "aria-label": title });
    for (const y of [0, 75, 150]) this.svg.append(make("line", { class: "grid", x1: 0, x2: 480, y1: y, y2: y }));
    for (const one of this.series) this.svg.append(one.fill, one.line);
    this.marks = [make("span", { class: "m0" }), make("span", { class: "m1" })];
    this.marks[0].style.top = "10px";
    this.marks[1].style.top = "calc(50% + 5px)";
    this.since = make("span");
    this.element = make("section", { class: "panel chart" },
      make("div", { class: "head" }, make("h2", {}, title), ...this.series.map((one) => one.key)),
      make("div", { class: "plot" }, this.svg, ...this.marks),
      make("div", { class: "times" }, this.since, make("span", {}, "now")));
  }

  show(all) {
    const top = ceiling(Math.max(0, ...all.flat().filter(Number.isFinite)), this.format);
    say(this.since, `${all[0].length} s ago`);
    const { lowest } = this;
    const height = (value) => (lowest ? Math.max(0, Math.log(value / lowest)) : value);
    const most = Math.max(height(top), lowest ? height(lowest * 100) : 0);
    say(this.marks[0], this.format(lowest ? lowest * Math.exp(most) : top));
    say(this.marks[1], this.format(lowest ? lowest * Math.exp(most / 2) : top / 2));
    all.forEach((values, at) => {
      const one = this.series[at];
      const path = trace(values.map(height), 480, 150, most);
      one.line.setAttribute("d", path);
      const first = values.findIndex(Number.isFinite);
      const filled = all.length < 3 && first >= 0 && values.slice(first).every(Number.isFinite);
      one.fill.setAttribute("d", filled ? `${path}L480 150L${((first * 480) / Math.max(1, values.length - 1)).toFixed(2)} 150Z` : "");
      say(one.shown, this.format(values.at(-1)));
    });
  }
}

// --- asking

let paused = false;
const overview = { last: null, samples: [] };

async function ask(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== undefined));
  const answer = await fetch(`dashboard/${path}?${query}`, { cache: "no-store", credentials: "same-origin" });
  if (!answer.ok) throw Object.assign(new Error(await answer.text()), { status: answer.status });
  return answer.json();
}

/** The value below which this part of the observations between two looks lies; buckets are taken as filled evenly. */
function quantile(limits, now, before, part) {
  const total = now.count - before.count;
  if (total <= 0) return NaN;
  const wanted = part * total;
  let under = 0;
  let low = 0;
  for (const [at, limit] of limits.entries()) {
    const below = now.below[at] - before.below[at];
    if (below >= wanted) return low + ((limit - low) * (wanted - under)) / Math.max(1, below - under);
    under = below;
    low = limit;
  }
  return low;
}

function sample(now, before) {
  const elapsed = (now.at - before.at) / SECOND;
  const rate = (name) => Math.max(0, now.varz[name] - before.varz[name]) / elapsed;
  const taken = { at: now.at, elapsed };
  for (const name of ["in_msgs", "out_msgs", "in_bytes", "out_bytes"]) taken[name] = rate(name);
  if (now.jetstream && before.jetstream) {
    for (const name of ["commit", "ack", "delivery"]) {
      const of = (part) => quantile(now.jetstream.limits, now.jetstream[name], before.jetstream[name], part);
      taken[name] = of(0.5);
      taken[`${name}99`] = of(0.99);
    }
    taken.acks = Math.max(0, now.jetstream.ack.count - before.jetstream.ack.count) / elapsed;
  }
  return taken;
}

async function look() {
  if (paused || document.hidden) return;
  const health = document.getElementById("health");
  try {
    const now = await ask("overview");
    now.at = performance.now();
    const same = overview.last && overview.last.varz.server_id === now.varz.server_id;
    if (same) overview.samples.push(sample(now, overview.last));
    else overview.samples = [];
    overview.samples = overview.samples.slice(-WINDOW);
    overview.last = now;
    health.className = now.health === "ok" ? "health ok" : "health bad";
    say(health.lastChild, now.health === "ok" ? "healthy" : now.health);
    say(document.getElementById("server"), now.varz.server_name);
    say(document.getElementById("uptime"), `jetsled ${now.jetsled} · up ${now.varz.uptime}`);
    const counts = { connections: now.varz.connections, accounts: now.accounts, streams: now.jetstream?.streams, consumers: now.jetstream?.consumers };
    for (const place of document.querySelectorAll("[data-count]")) {
      const value = counts[place.dataset.count];
      say(place, value === undefined ? "" : short(value));
    }
    view.overview?.(now);
  } catch (error) {
    health.className = "health bad";
    say(health.lastChild, error.status ? `refused (${error.status})` : "no answer");
  }
}

// --- views

let view = {};

const recent = (name) => {
  const values = overview.samples.map((one) => one[name]);
  return [...Array(Math.max(0, SHORTEST - values.length)).fill(NaN), ...values];
};

function stat(label) {
  const value = make("div", { class: "value" }, "–");
  const note = make("div", { class: "note" });
  return { value, note, element: make("div", { class: "stat" }, make("div", { class: "label" }, label), value, note) };
}

function showOverview(main) {
  const stats = {};
  const row = make("div", { class: "panel stats" });
  for (const [name, label] of [["in", "Messages in"], ["out", "Messages out"], ["connections", "Connections"], ["stored", "Stored"], ["ack", "Ack, p99"], ["machine", "Processor"]]) {
    stats[name] = stat(label);
    row.append(stats[name].element);
  }
  const charts = [
    [new Chart("Messages a second", ["in", "out"], short), ["in_msgs", "out_msgs"]],
    [new Chart("Bytes a second", ["in", "out"], bytes), ["in_bytes", "out_bytes"]],
    [new Chart("Latency, p99", ["commit", "ack", "delivery"], time, 1e-5), ["commit99", "ack99", "delivery99"]],
    [new Chart("Durable acks a second", ["acks"], short), ["acks"]],
  ];
  const damage = make("div", { class: "panel damage" });
  main.append(row, make("div", { class: "charts" }, ...charts.map(([chart]) => chart.element)), damage);
  const set = (name, value, unit, note) => {
    const { value: place, note: line } = stats[name];
    if (place.dataset.shown !== `${value} ${unit}`) {
      place.dataset.shown = `${value} ${unit}`;
      place.replaceChildren(value, make("small", {}, unit));
    }
    say(line, note);
  };
  view.overview = (now) => {
    const last = overview.samples.at(-1) ?? {};
    const { varz, jetstream } = now;
    set("in", short(last.in_msgs), "/s", `${bytes(last.in_bytes)}/s`);
    set("out", short(last.out_msgs), "/s", `${bytes(last.out_bytes)}/s`);
    set("connections", short(varz.connections), "", `${short(varz.subscriptions)} subscriptions`);
    set("machine", varz.cpu.toFixed(varz.cpu < 10 ? 1 : 0), "%", `${bytes(varz.mem)} memory, ${varz.cores} cores`);
    if (jetstream) {
      const most = limited(jetstream.max_storage);
      set("stored", short(jetstream.messages), "msgs", `${bytes(jetstream.storage + jetstream.memory)}${Number.isFinite(most) ? ` of ${bytes(most)}` : ""}`);
      const latest = [...overview.samples].reverse().find((one) => Number.isFinite(one.ack99)) ?? {};
      const [number, unit] = time(latest.ack99).split(" ");
      set("ack", number, unit ?? "", `p50 ${time(latest.ack)}`);
    } else {
      set("stored", "off", "", "JetStream is not enabled");
      set("ack", "–", "", "");
    }
    for (const [chart, names] of charts) chart.show(names.map(recent));
    showDamage(damage, varz, jetstream);
  };
  if (overview.last) view.overview(overview.last);
}

function showDamage(place, varz, jetstream) {
  const facts = [["slow consumers", varz.slow_consumers]];
  if (jetstream) {
    facts.push(["messages lost to damage", jetstream.lost_messages], ["damaged regions", jetstream.damaged_regions],
      ["quarantined files", jetstream.quarantined_files], ["failed commits", jetstream.failed_commits], ["fenced shards", jetstream.fenced_shards]);
  }
  const shown = facts.map(([what, number]) => `${number} ${what}`).join();
  if (place.dataset.shown === shown) return;
  place.dataset.shown = shown;
  place.className = facts.some(([, number]) => number > 0) ? "panel damage bad" : "panel damage";
  place.replaceChildren(...facts.map(([what, number]) => make("span", {}, make("b", { class: number > 0 ? "hit" : "" }, count(number)), ` ${what}`)));
}

/** Values of a row over time, for its rate and its small chart. */
class History {
  constructor() { this.rows = new Map(); }

  take(key, value) {
    const now = performance.now();
    const row = this.rows.get(key) ?? { value, at: now, rates: [] };
    if (now - row.at > SECOND / 2) {
      row.rates = [...row.rates, Math.max(0, value - row.value) / ((now - row.at) / SECOND)].slice(-30);
      row.value = value;
      row.at = now;
    }
    this.rows.delete(key);
    this.rows.set(key, row);
    if (this.rows.size > 4 * PAGE) this.rows.delete(this.rows.keys().next().value);
    return row.rates;
  }
}

/** A table whose rows are written anew in place. Columns: label, sort, width, class, and what a cell shows. */
class Table {
  constructor(columns, sort) {
    this.columns = columns;
    this.body = make("tbody");
    this.heads = columns.map((column) => {
      const label = column.sort ? make("button", { type: "button", onclick: () => sort?.(column.sort) }, column.label) : column.label;
      return make("th", { class: column.class, scope: "col" }, label);
    });
    const group = make("colgroup", {}, ...columns.map((column) => {
      const col = make("col", { class: column.class?.replace("num", "") });
      if (column.width) col.style.width = column.width;
      return col;
    }));
    this.element = make("table", {}, group, make("thead", {}, make("tr", {}, ...this.heads)), this.body);
    this.empty = make("div", { class: "empty", hidden: true }, "Nothing here");
  }

  sorted(by, descending) {
    this.columns.forEach((column, at) => {
      if (column.sort === by && by) this.heads[at].setAttribute("aria-sort", descending ? "descending" : "ascending");
      else this.heads[at].removeAttribute("aria-sort");
    });
  }

  show(rows) {
    while (this.body.rows.length > rows.length) this.body.lastChild.remove();
    rows.forEach((row, at) => {
      const line = this.body.rows[at] ?? this.body.appendChild(make("tr", {}, ...this.columns.map((column) => make("td", { class: column.class }))));
      this.columns.forEach((column, cell) => column.show(line.cells[cell], row));
    });
    this.empty.hidden = rows.length > 0;
  }
}

const text = (of) => (cell, row) => {
  const shown = of(row);
  say(cell, shown);
  if (cell.title !== shown) cell.title = shown;
};

const link = (of, where) => (cell, row) => {
  const anchor = cell.firstElementChild ?? cell.appendChild(make("a"));
  say(anchor, of(row));
  cell.title = of(row);
  anchor.href = where(row);
};

const spark = (of) => (cell, row) => {
  const rates = of(row);
  if (!cell.firstChild) {
    cell.append(make("svg", { viewBox: "0 0 100 18", preserveAspectRatio: "none", "aria-hidden": "true", class: "c1" }, make("path", { class: "trace" })));
  }
  const values = [...Array(30 - rates.length).fill(NaN), ...rates];
  cell.firstChild.firstChild.setAttribute("d", trace(values, 100, 16, ceiling(Math.max(...rates, 0))));
};

const pick = (name, format = count) => text((row) => format(row[name]));

function lag(of) {
  return (cell, row) => {
    say(cell, count(of(row)));
    cell.classList.toggle("lag", true);
    cell.classList.toggle("high", of(row) >= 1000);
  };
}

function rated(history, key, value) {
  return {
    rate: text((row) => { row.rates ??= history.take(key(row), value(row)); return row.rates.length ? short(row.rates.at(-1)) : "–"; }),
    line: spark((row) => (row.rates ??= history.take(key(row), value(row)))),
  };
}

const streamAt = (account, stream) => `#/stream/${encodeURIComponent(account)}/${encodeURIComponent(stream)}`;

const LISTS = {
  connections() {
    const rates = rated(new History(), (row) => row.cid, (row) => row.in_msgs + row.out_msgs);
    return { sort: "cid", search: "Search name, address, user, account", columns: [
      { label: "Name", sort: "name", show: text((row) => row.name || "–") },
      { label: "Id", sort: "cid", width: "76px", class: "num middle", show: text((row) => String(row.cid)) },
      { label: "Address", width: "170px", class: "dim wide", show: text((row) => `${row.ip}:${row.port}`) },
      { label: "Account", sort: "account", width: "130px", class: "middle", show: pick("of_account", String) },
      { label: "Client", width: "130px", class: "dim wide", show: text((row) => [row.lang, row.version].filter(Boolean).join(" ") || "–") },
      { label: "Subs", sort: "subscriptions", width: "72px", class: "num middle", show: pick("subscriptions") },
      { label: "In", sort: "in_msgs", width: "90px", class: "num", show: pick("in_msgs", short) },
      { label: "Out", sort: "out_msgs", width: "90px", class: "num", show: pick("out_msgs", short) },
      { label: "Pending", sort: "pending_bytes", width: "96px", class: "num wide", show: pick("pending_bytes", bytes) },
      { label: "Msgs/s", width: "84px", class: "num", show: rates.rate },
      { label: "Last minute", width: "110px", class: "wide", show: rates.line },
    ] };
  },
  accounts() {
    const rates = rated(new History(), (row) => row.acc, (row) => row.received.msgs + row.sent.msgs);
    return { sort: "name", search: "Search accounts", columns: [
      { label: "Account", sort: "name", show: pick("name", String) },
      { label: "Connections", sort: "conns", width: "112px", class: "num", show: pick("conns") },
      { label: "Subs", sort: "subscriptions", width: "80px", class: "num wide", show: pick("num_subscriptions") },
      { label: "Received", sort: "received", width: "100px", class: "num middle", show: text((row) => short(row.received.msgs)) },
      { label: "Sent", sort: "sent", width: "100px", class: "num middle", show: text((row) => short(row.sent.msgs)) },
      { label: "Streams", sort: "streams", width: "86px", class: "num middle", show: pick("streams") },
      { label: "Consumers", sort: "consumers", width: "106px", class: "num wide", show: pick("consumers") },
      { label: "Stored", sort: "stored", width: "100px", class: "num", show: pick("stored", bytes) },
      { label: "Msgs/s", width: "84px", class: "num", show: rates.rate },
      { label: "Last minute", width: "110px", class: "wide", show: rates.line },
    ] };
  },
  streams() {
    const rates = rated(new History(), (row) => `${row.account} ${row.config.name}`, (row) => row.last_seq);
    return { sort: "name", search: "Search name, subject, account", columns: [
      { label: "Stream", sort: "name", show: link((row) => row.config.name, (row) => streamAt(row.account, row.config.name)) },
      { label: "Account", sort: "account", width: "110px", class: "dim wide", show: pick("account", String) },
      { label: "Subjects", width: "20%", class: "dim wide", show: text((row) => row.config.subjects.join(", ") || "–") },
      { label: "Messages", sort: "messages", width: "104px", class: "num", show: pick("messages", short) },
      { label: "Bytes", sort: "bytes", width: "100px", class: "num middle", show: pick("bytes", bytes) },
      { label: "Last seq", sort: "last_seq", width: "120px", class: "num wide", show: pick("last_seq") },
      { label: "Consumers", sort: "consumers", width: "106px", class: "num middle", show: pick("consumers") },
      { label: "Msgs/s", width: "84px", class: "num", show: rates.rate },
      { label: "Last minute", width: "110px", class: "wide", show: rates.line },
    ] };
  },
  consumers() {
    return { sort: "pending", descending: true, search: "Search consumer, stream, account", columns: consumerColumns(true) };
  },
};

function consumerColumns(everywhere) {
  const rates = rated(new History(), (row) => `${row.account} ${row.stream_name} ${row.name}`, (row) => row.delivered.consumer_seq);
  const sort = (name) => (everywhere ? name : undefined);
  const place = everywhere ? [
    { label: "Stream", sort: sort("stream"), width: "20%", class: "middle", show: link((row) => row.stream_name, (row) => streamAt(row.account, row.stream_name)) },
    { label: "Account", sort: sort("account"), width: "100px", class: "dim wide", show: pick("account", String) },
  ] : [];
  return [
    { label: "Consumer", sort: sort("name"), show: pick("name", String) },
    ...place,
    { label: "Lag", sort: sort("pending"), width: "92px", class: "num", show: lag((row) => row.num_pending) },
    { label: "Unacked", sort: sort("ack_pending"), width: "92px", class: "num middle", show: pick("num_ack_pending") },
    { label: "Redelivered", sort: sort("redelivered"), width: "112px", class: "num wide", show: pick("num_redelivered") },
    { label: "Waiting", sort: sort("waiting"), width: "84px", class: "num wide", show: pick("num_waiting") },
    { label: "Delivered", sort: sort("delivered"), width: "104px", class: "num middle", show: text((row) => short(row.delivered.consumer_seq)) },
    { label: "Msgs/s", width: "80px", class: "num", show: rates.rate },
    { label: "Last minute", width: "110px", class: "wide", show: rates.line },
  ];
}

function showList(main, name) {
  const list = LISTS[name]();
  let { sort, descending = false } = list;
  let offset = 0;
  const search = make("input", { type: "search", placeholder: list.search, "aria-label": list.search, spellcheck: "false", id: "search", oninput: () => { offset = 0; refresh(); } });
  const found = make("span", { class: "count", role: "status" });
  const back = make("button", { type: "button", onclick: () => { offset = Math.max(0, offset - PAGE); refresh(); } }, "Previous");
  const forth = make("button", { type: "button", onclick: () => { offset += PAGE; refresh(); } }, "Next");
  const table = new Table(list.columns, (by) => {
    descending = sort === by ? !descending : !["name", "account", "stream", "cid"].includes(by);
    sort = by;
    offset = 0;
    refresh();
  });
  main.append(make("div", { class: "tools" }, search, found, make("div", { class: "pages" }, back, forth)),
    make("section", { class: "panel scroll full" }, table.element, table.empty));
  let asked = 0;
  async function refresh() {
    const turn = ++asked;
    try {
      const page = await ask(name, { search: search.value, sort, order: descending ? "desc" : "", offset, limit: PAGE });
      if (turn !== asked) return;
      table.sorted(sort, descending);
      table.show(page.rows);
      const last = offset + page.rows.length;
      say(found, page.matching === 0 ? "none" : `${count(offset + 1)}–${count(last)} of ${count(page.matching)}${page.matching < page.total ? ` (${count(page.total)} in all)` : ""}`);
      back.disabled = offset === 0;
      forth.disabled = last >= page.matching;
    } catch { /* The header says so. */ }
  }
  view.refresh = refresh;
  refresh();
}

function showStream(main, account, name) {
  const stats = {};
  const row = make("div", { class: "panel stats" });
  for (const [key, label] of [["messages", "Messages"], ["bytes", "Size"], ["rate", "New messages"], ["first", "First sequence"], ["last", "Last sequence"], ["subjects", "Subjects"]]) {
    stats[key] = stat(label);
    row.append(stats[key].element);
  }
  const pairs = make("dl", { class: "pairs" });
  const table = new Table(consumerColumns(false));
  say(table.empty, "No consumers");
  const browser = new Browser(account, name);
  main.append(
    make("div", { class: "title" }, make("span", { class: "crumb" }, make("a", { href: "#/streams" }, "Streams"), ` / ${account} /`), make("h1", {}, name)),
    row,
    make("div", { class: "halves" },
      make("section", { class: "panel box" }, make("h2", {}, "Configuration"), pairs),
      make("div", {}, make("section", { class: "panel box" }, make("h2", {}, "Consumers"), make("div", { class: "scroll" }, table.element, table.empty)), browser.element)));
  const history = new History();
  let shownConfig = "";
  view.refresh = async () => {
    try {
      const stream = await ask("stream", { account, stream: name });
      const { state, config } = stream;
      say(stats.messages.value, short(state.messages));
      say(stats.messages.note, `${count(state.messages)}${state.num_deleted ? `, ${count(state.num_deleted)} deleted` : ""}`);
      say(stats.bytes.value, bytes(state.bytes));
      say(stats.bytes.note, config.max_bytes > 0 ? `of ${bytes(config.max_bytes)}` : "no limit");
      const rates = history.take(name, state.last_seq);
      say(stats.rate.value, rates.length ? short(rates.at(-1)) : "–");
      say(stats.rate.note, "a second");
      say(stats.first.value, short(state.first_seq));
      say(stats.first.note, state.messages ? new Date(state.first_ts).toLocaleString() : "");
      say(stats.last.value, short(state.last_seq));
      say(stats.last.note, state.last_seq ? new Date(state.last_ts).toLocaleString() : "");
      say(stats.subjects.value, short(state.num_subjects ?? 0));
      say(stats.subjects.note, state.lost ? `${state.lost.msgs.length} messages lost to damage` : "");
      const written = JSON.stringify([config, stream.mirror, stream.sources]);
      if (written !== shownConfig) {
        shownConfig = written;
        pairs.replaceChildren(...configuration(stream).flatMap(([what, value]) => [make("dt", {}, what), make("dd", {}, value)]));
      }
      table.show(stream.consumers.slice(0, 200).map((consumer) => ({ ...consumer, account })));
      browser.update(state);
    } catch (error) {
      if (error.status === 404) say(stats.messages.note, "there is no such stream");
    }
  };
  view.overview = (now) => browser.allow(now.peek);
  if (overview.last) browser.allow(overview.last.peek);
  view.refresh();
}

function configuration({ config, mirror, sources }) {
  const seconds = (nanos) => (nanos > 0 ? time(nanos / 1e9) : "none");
  const most = (number) => (number > 0 ? count(number) : "none");
  const origin = (one) => `${one.name}, ${count(one.lag)} behind${one.error ? `, ${one.error.description}` : ""}`;
  return [
    ["Subjects", (config.subjects ?? []).join(", ") || "–"],
    ...(config.description ? [["Description", config.description]] : []),
    ["Storage", config.storage], ["Retention", config.retention], ["When full", `discard ${config.discard}`],
    ["Messages, at most", most(config.max_msgs)], ["A subject, at most", most(config.max_msgs_per_subject)],
    ["Bytes, at most", config.max_bytes > 0 ? bytes(config.max_bytes) : "none"], ["Age, at most", seconds(config.max_age)],
    ["Duplicate window", seconds(config.duplicate_window)],
    ...(mirror ? [["Mirror of", origin(mirror)]] : []),
    ...(sources.length ? [["Sources", sources.map(origin).join("; ")]] : []),
  ];
}

/** A look at the stream's messages, one at a time. */
class Browser {
  constructor(account, stream) {
    Object.assign(this, { account, stream, state: null, shown: null, allowed: undefined });
    const step = (label, go) => make("button", { type: "button", onclick: go }, label);
    this.filter = make("input", { name: "filter", placeholder: "Subject filter, as orders.>", "aria-label": "Subject filter", spellcheck: "false", onchange: () => this.go(1, false) });
    this.seq = make("input", { name: "seq", inputmode: "numeric", placeholder: "Sequence", "aria-label": "Sequence", onchange: () => this.go(Number(this.seq.value) || 1, false) });
    this.facts = make("dl", { class: "pairs" });
    this.body = make("pre", { tabindex: "0", "aria-label": "Payload" });
    this.tools = make("div", { class: "tools" }, this.filter, this.seq,
      make("div", { class: "pages" },
        step("First", () => this.go(1, false)),
        step("‹", () => this.shown && this.go(this.shown.seq - 1, true)),
        step("›", () => this.shown && this.go(this.shown.seq + 1, false)),
        step("Last", () => this.go(Number.MAX_SAFE_INTEGER, true))));
    this.tools.querySelectorAll("button")[1].setAttribute("aria-label", "Previous message");
    this.tools.querySelectorAll("button")[2].setAttribute("aria-label", "Next message");
    this.element = make("section", { class: "panel box message", "aria-label": "Messages" }, make("h2", {}, "Messages"));
  }

  allow(peek) {
    if (this.allowed === peek) return;
    this.allowed = peek;
    while (this.element.childNodes.length > 1) this.element.lastChild.remove();
    if (peek) {
      this.element.append(this.tools, this.facts, this.body);
      this.go(Number.MAX_SAFE_INTEGER, true);
    } else {
      this.element.append(make("div", { class: "note-line" },
        "Messages are not shown here. monitoring { message_peek: true } shows them to who has logged in or, without a login, on the server's own machine."));
    }
  }

  update(state) { this.state = state; }

  async go(seq, back) {
    if (seq < 1) return;
    try {
      const message = await ask("message", { account: this.account, stream: this.stream, seq, back: back || undefined, filter: this.filter.value });
      this.shown = message;
      this.seq.value = message.seq;
      const headers = message.headers.split("\r\n").slice(1).filter(Boolean).map((line) => {
        const at = line.indexOf(":");
        return [line.slice(0, at), line.slice(at + 1).trim()];
      });
      const facts = [["Subject", message.subject], ["Sequence", count(message.seq)], ["Stored", new Date(message.time).toLocaleString()],
        ["Size", `${bytes(message.size)}${message.cut ? ", the beginning is shown" : ""}`], ...headers];
      this.facts.replaceChildren(...facts.flatMap(([what, value]) => [make("dt", {}, what), make("dd", {}, value)]));
      say(this.body, payload(message));
    } catch (error) {
      if (error.status === 404) {
        this.facts.replaceChildren(make("dt", {}, this.shown ? "End" : "Empty"), make("dd", {}, back && this.filter.value ? "No match among the 1,000 before" : "No message there"));
        if (!this.shown || this.filter.value) say(this.body, "");
      } else {
        this.facts.replaceChildren(make("dt", {}, "Refused"), make("dd", {}, error.message));
      }
    }
  }
}

function payload(message) {
  if (message.text !== undefined) {
    try {
      return message.cut ? message.text : JSON.stringify(JSON.parse(message.text), null, 2);
    } catch {
      return message.text;
    }
  }
  const raw = Uint8Array.from(atob(message.binary), (character) => character.charCodeAt(0));
  const lines = [];
  for (let at = 0; at < Math.min(raw.length, 4096); at += 16) {
    const row = [...raw.slice(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const letters = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${letters}`);
  }
  return lines.join("\n");
}

// --- which view

function route() {
  const [, name = "", ...rest] = location.hash.split("/");
  const main = document.getElementById("main");
  main.replaceChildren();
  view = {};
  if (name === "stream" && rest.length === 2) showStream(main, ...rest.map(decodeURIComponent));
  else if (Object.hasOwn(LISTS, name)) showList(main, name);
  else showOverview(main);
  const current = name === "stream" ? "streams" : name;
  for (const anchor of document.querySelectorAll("#views a")) {
    if (anchor.getAttribute("href") === `#/${current}`) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
}

document.getElementById("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.currentTarget.setAttribute("aria-pressed", String(paused));
  say(event.currentTarget, paused ? "Paused" : "Pause");
});

document.addEventListener("keydown", (event) => {
  const search = document.getElementById("search");
  if (event.key === "/" && search && !(event.target instanceof HTMLInputElement)) {
    event.preventDefault();
    search.focus();
  }
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});

window.addEventListener("hashchange", route);
route();
look();
setInterval(look, SECOND);
setInterval(() => { if (!paused && !document.hidden) view.refresh?.(); }, 2 * SECOND);
