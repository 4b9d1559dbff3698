// Follow what happens, by server-sent events.

const BACK_AFTER = 3_000; // milliseconds, unless the stream says otherwise
const MOST_BACK_AFTER = 60_000;
const SILENT_FOR = 45_000; // a stream says something every 15 s, be it a comment

// Texts in, events {id, event, data} out, however they are cut.
export class EventParser {
  #left = "";
  #event = "";
  #data = [];
  lastId = null;
  retry = null;

  push(text) {
    const events = [];
    const lines = (this.#left + text).split(/\r\n|\n|\r(?!$)/);
    this.#left = lines.pop();
    for (const line of lines) this.#line(line, events);
    return events;
  }

  #line(line, events) {
    if (line === "") {
      if (this.#data.length) {
        events.push({ id: this.lastId, event: this.#event || "message", data: this.#data.join("\n") });
      }
      this.#event = "";
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.lastId = value;
    else if (name === "retry" && /^\d{1,6}$/.test(value)) this.retry = Number(value);
  }
}

// One following of the stream, which comes back by itself until it is stopped.
// `on` has `event(name, value)` and `state(text)`: "live" or "lost".
export class Stream {
  #api;
  #on;
  #lastId = null;
  #abort = null;

  constructor(api, on) {
    this.#api = api;
    this.#on = on;
  }

  // Goes on where it stopped.
  start() {
    if (this.#abort !== null) return;
    this.#abort = new AbortController();
    this.#run(this.#abort.signal);
  }

  stop() {
    this.#abort?.abort();
    this.#abort = null;
  }

  async #run(signal) {
    let failures = 0;
    while (!signal.aborted && !this.#api.closed) {
      let wait = BACK_AFTER;
      try {
        const body = await this.#api.stream(this.#lastId, signal);
        failures = 0;
        this.#on.state("live");
        wait = (await this.#read(body, signal)) ?? BACK_AFTER;
      } catch {
        failures += 1; // refused, or not there
      }
      if (signal.aborted) return;
      this.#on.state("lost");
      await pause(Math.min(wait * 2 ** Math.min(failures, 6), MOST_BACK_AFTER), signal);
    }
  }

  async #read(body, signal) {
    const parser = new EventParser();
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let silence;
    const awake = () => {
      clearTimeout(silence);
      silence = setTimeout(() => reader.cancel().catch(() => {}), SILENT_FOR);
    };
    try {
      for (awake(); ; awake()) {
        const { done, value } = await reader.read();
        if (done || signal.aborted) return parser.retry;
        for (const one of parser.push(value)) this.#tell(one);
        if (parser.lastId !== null) this.#lastId = parser.lastId;
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #tell({ event, data }) {
    let value;
    try {
      value = JSON.parse(data);
    } catch {
      return; // of a kind that came later than this page
    }
    this.#on.event(event, value);
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
