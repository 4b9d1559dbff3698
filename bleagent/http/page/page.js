// The page: signing in, what is asked for how often, and where each answer goes.

import { Api, Problem } from "./api.js";
import { Door, element } from "./door.js";
import { Stream } from "./events.js";
import { Happened } from "./records.js";
import { ago, capital, healthWords } from "./words.js";

const LOCKS_EACH = 5_000; // milliseconds, while somebody looks at the page
const REST_EACH = 15_000;
const OPERATIONS_OF_OLD = 20; // looked up for how long they took

const byId = (id) => document.getElementById(id);
let session = null;

class Session {
  #api;
  #doors = new Map();
  #happened = new Happened(byId("records"));
  #stream;
  #live = false;
  #last = null; // number of the record that was taken last
  #loading = null;
  #timers = [];
  #narrow = false; // its token is for single doors

  constructor(token) {
    this.#api = new Api(token, () => signOut("The gateway does not accept this token (any more)."));
    this.#stream = new Stream(this.#api, {
      event: (name, value) => this.#event(name, value),
      state: (state) => this.#state(state),
    });
  }

  // Whether an operation is on its way.
  get asking() {
    return [...this.#doors.values()].some((door) => door.asking);
  }

  // Throws Problem or NoAnswer; 403: it is a token for single doors.
  async begin() {
    await this.#locks();
    this.#resume();
  }

  close() {
    this.pause();
    this.#api.close();
  }

  // Nothing is asked for while nobody looks; an operation on its way is still awaited.
  pause() {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
    this.#stream.stop();
    this.#live = false;
  }

  resume() {
    if (this.#timers.length || this.#api.closed) return;
    if (!this.#narrow) this.#locks().catch(() => {});
    this.#resume();
  }

  // A door that was named, of a token that may not see the list.
  only(name) {
    this.#narrow = true;
    this.#door(name);
    byId("locks-said").textContent = "";
    for (const said of ["records-said", "queues-said"]) {
      byId(said).textContent = "This token opens doors, and may not see this.";
    }
    this.#resume();
  }

  #resume() {
    this.#stream.start();
    this.#health();
    this.#timers = [setInterval(() => this.#health(), REST_EACH)];
    if (this.#narrow) return;
    this.#timers.push(
      setInterval(() => this.#locks().catch(() => {}), LOCKS_EACH),
      setInterval(() => this.#live || this.#records(), LOCKS_EACH),
      setInterval(() => this.#queues(), REST_EACH),
    );
    this.#queues();
    this.#records();
  }

  async #locks() {
    const said = byId("locks-said");
    try {
      const { locks } = await this.#api.get("/v1/locks");
      for (const lock of locks) this.#door(lock.name).show(lock);
      for (const [name, door] of this.#doors) {
        if (locks.some((lock) => lock.name === name)) continue;
        door.element.remove();
        this.#doors.delete(name);
      }
      say(said, locks.length ? "" : "No lock is configured.");
    } catch (error) {
      say(said, `What you see may be old: ${error.message}.`);
      throw error;
    }
  }

  #door(name) {
    let door = this.#doors.get(name);
    if (!door) {
      door = new Door(name, this.#api);
      this.#doors.set(name, door);
      byId("locks").append(door.element);
    }
    return door;
  }

  // One at a time, so that no page of records is asked for twice.
  #records() {
    if (this.#narrow) return null;
    this.#loading ??= this.#load().finally(() => { this.#loading = null; });
    return this.#loading;
  }

  async #load() {
    const first = this.#last === null;
    try {
      const path = first ? "/v1/records?limit=50" : `/v1/records?after=${this.#last}`;
      const { records, last } = await this.#api.get(path);
      this.#last = last;
      for (const record of records) this.#record(record);
      say(byId("records-said"), byId("records").childElementCount ? "" : "Nothing was recorded yet.");
      if (first) {
        // From here on what comes is read out, and not all that was there.
        byId("records").setAttribute("aria-live", "polite");
        await this.#timesOf(records);
      }
    } catch (error) {
      say(byId("records-said"), trouble(error));
    }
  }

  #record(record) {
    if (!this.#happened.record(record)) return;
    this.#doors.get(record.lock)?.record(record);
  }

  // How long openings of old took; their records know their operations.
  async #timesOf(records) {
    const ours = records.filter((one) => one.operation).slice(0, OPERATIONS_OF_OLD);
    for (const { operation, lock } of ours) {
      try {
        this.#doors.get(lock)?.timed(await this.#api.get(`/v1/operations/${operation}`));
      } catch {
        return; // a plot has fewer points
      }
    }
  }

  #event(name, value) {
    if (name === "record") {
      this.#record(value);
      say(byId("records-said"), "");
    } else if (name === "operation") {
      this.#doors.get(value.lock)?.operation(value);
      this.#happened.operation(value);
    } else if (name === "lost") {
      this.#records();
    }
  }

  #state(state) {
    this.#live = state === "live";
    if (this.#timers.length) this.#records(); // what came between the last answer and the stream
    say(byId("link"), this.#live ? "live" : "not connected, trying again");
  }

  async #health() {
    const place = byId("health");
    try {
      const { ready, parts = {} } = await this.#api.readiness();
      const said = healthWords(ready, parts);
      place.className = said.kind;
      say(place, said.text);
    } catch (error) {
      place.className = "ill";
      say(place, trouble(error));
    }
  }

  async #queues() {
    const said = byId("queues-said");
    try {
      const { sinks, locks } = await this.#api.get("/v1/outbox");
      const lines = sinks.map(queueLine);
      for (const one of locks.filter((lock) => lock.gaps)) {
        lines.push(element("li", `${one.lock}: ${one.gaps} records were lost on the air`));
      }
      byId("queues").replaceChildren(...lines);
      say(said, sinks.length ? "" : "No sink is configured: records stay on this gateway.");
    } catch (error) {
      say(said, trouble(error));
    }
  }
}

function queueLine(one) {
  const parts = [`${one.waiting} waiting`];
  if (one.held) parts.push(`${one.held} of them for older ones`);
  if (one.oldest_waiting_s !== null) parts.push(`the oldest for ${ago(one.oldest_waiting_s)}`);
  if (one.parked) parts.push(`${one.parked} parked: somebody has to decide`);
  if (one.routes_closed?.length) parts.push(`refuses ${one.routes_closed.join(", ")}`);
  if (!one.configured) parts.push("no longer configured");
  const line = element("li", "");
  line.append(element("b", one.sink), element("span", `${parts.join(", ")}. ${one.done} done.`));
  return line;
}

function trouble(error) {
  if (error instanceof Problem && error.code === "scope-missing") {
    return "This token may not see this.";
  }
  return `${capital(error.message)}. ${error.advice ?? ""}`.trim();
}

// Only what has changed is written, for what is written is read out.
function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function show(part) {
  byId("sign-in").hidden = part !== "sign-in";
  byId("by-name").hidden = part !== "by-name";
  byId("signed-in").hidden = part !== "signed-in";
  byId("sign-out").hidden = part === "sign-in";
}

function signOut(why = "") {
  if (session?.asking) why += " An operation was on its way: look at the door.";
  session?.close();
  session = null;
  for (const list of ["locks", "records", "queues"]) byId(list).replaceChildren();
  byId("records").removeAttribute("aria-live");
  for (const place of ["link", "locks-said", "records-said", "queues-said", "health"]) {
    byId(place).textContent = "";
  }
  show("sign-in");
  byId("sign-in-said").textContent = why.trim();
  byId("token").focus();
}

async function signIn(event) {
  event.preventDefault();
  const token = byId("token").value.trim();
  byId("token").value = "";
  byId("sign-in-said").textContent = "";
  if (!/^[\x21-\x7e]+$/.test(token)) return signOut("That is no token: it has other signs in it.");
  session?.close();
  const mine = (session = new Session(token));
  try {
    await mine.begin();
  } catch (error) {
    if (session !== mine) return; // it was rejected, which has been said
    if (error instanceof Problem && error.code === "scope-missing") {
      show("by-name");
      byId("lock-name").focus();
      return;
    }
    signOut(`Could not sign in. ${trouble(error)}`);
    return;
  }
  show("signed-in");
  byId("locks-title").focus();
}

byId("sign-in").addEventListener("submit", signIn);
// Before this nobody would hear it, and the browser would submit the form itself.
byId("sign-in").querySelector("button").disabled = false;
byId("sign-out").addEventListener("click", () => signOut());
byId("by-name").addEventListener("submit", (event) => {
  event.preventDefault();
  session?.only(byId("lock-name").value);
  show("signed-in");
  byId("locks-title").focus();
});
window.addEventListener("beforeunload", (event) => {
  if (session?.asking) event.preventDefault(); // leaving stops what has not been sent
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) session?.pause();
  else if (!byId("signed-in").hidden) session?.resume();
});
byId("token").focus();
