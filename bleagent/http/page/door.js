// One lock: what is known of it, and its buttons.

import { NoAnswer, Problem } from "./api.js";
import { Plot } from "./plot.js";
import { ago, capital, clock, recordWords, sayOperation, sayProblem, signalWords, unknown }
  from "./words.js";

const ARMED_FOR = 8_000; // milliseconds in which a second press counts
const NO_DOUBLE_CLICK = 400; // within which it does not
const FOLLOW_FOR = 45_000; // longer than any operation goes on
const FOLLOW_EACH = 1_000;

const WORKING = { unlock: "Opening …", lock: "Locking …" };
const FACTS = ["Signal", "Last", "Last alarm"]; // in this order
const DO = { unlock: "Open", lock: "Lock" };

export class Door {
  #api;
  #open;
  #lock;
  #asking = null; // the action on its way
  #unresolved = null; // the operation after which somebody has to look
  #unknown = false;
  #lost = null; // where the operation can be looked at whose answer did not come
  #meanwhile = null; // an operation of this door that ended while ours was on its way
  #lastAt = -Infinity;
  #alarmAt = -Infinity;
  #timed = new Set();

  constructor(name, api) {
    this.name = name;
    this.#api = api;
    this.element = document.createElement("li");
    const id = `lock-${name}`;
    const title = element("h3", name, { id });
    this.state = element("p", "", { class: "state" });
    this.facts = element("dl", "");
    this.outcome = element("div", "", { class: "outcome", role: "status", "aria-live": "assertive" });
    const actions = element("div", "", { class: "actions" });
    this.#open = new Press("open", id, () => this.#ask("unlock"));
    this.#lock = new Press("quiet", id, () => this.#ask("lock"));
    actions.append(this.#open.element, this.#lock.element);
    this.signal = new Plot("Signal", {
      most: 240, least: 12, line: true, unit: "dBm", digits: 0,
    });
    this.latency = new Plot("Answered in", {
      most: 40, least: 0.05, line: false, unit: "s", digits: 2,
    });
    this.element.append(
      title, this.state, actions, this.outcome, this.facts, this.signal.element,
      this.latency.element,
    );
    this.#label();
  }

  // Whether an operation is on its way.
  get asking() {
    return this.#asking !== null;
  }

  // What GET /v1/locks says of it.
  show(lock) {
    this.state.textContent = stateWords(lock);
    const rssi = lock.radio?.rssi ?? null;
    if (lock.radio) {
      const heard = lock.radio.heard_s_ago;
      this.#fact("Signal", rssi === null
        ? "not heard yet"
        : `${signalWords(rssi)}, ${rssi} dBm` + (heard === null ? "" : `, heard ${ago(heard)} ago`));
    }
    if (rssi !== null) this.signal.add(Date.now(), rssi);
  }

  // A record of it; those of old come in any order.
  record(record) {
    const at = Date.parse(record.at ?? "");
    if (record.category === "alarm" && at >= this.#alarmAt) {
      this.#alarmAt = at;
      this.#fact("Last alarm", `${clock(record.at)}: ${record.title.replace(/^alarm: /, "")}`);
    }
    this.#last(at, record.at, recordWords(record));
  }

  // An operation of it, whoever asked.
  operation(operation) {
    if (!operation.outcome) return;
    const said = sayOperation(operation);
    const ended = operation.finished_at ?? operation.requested_at;
    this.#last(Date.parse(ended), ended, said.title);
    this.#unresolved = operation.outcome === "unconfirmed" ? operation.id : null;
    this.#label();
    this.timed(operation);
    this.#meanwhile = operation;
    if (this.#unknown && !this.asking) this.#tellMeanwhile();
  }

  // Which operation ours was is not known, so it is no more than a hint.
  #tellMeanwhile() {
    const { finished_at: ended, requested_at: asked } = this.#meanwhile;
    this.outcome.append(element(
      "p",
      `At ${clock(ended ?? asked)} the gateway ended an operation of this door, yours or ` +
        `another's. It says: ${sayOperation(this.#meanwhile).title}.`,
    ));
  }

  // How long the lock took, once for each operation.
  timed(operation) {
    const took = Object.values(operation.steps ?? {}).at(-1);
    if (operation.outcome !== "confirmed" || took === undefined) return;
    if (this.#timed.has(operation.id)) return;
    this.#timed.add(operation.id);
    this.latency.add(Date.parse(operation.requested_at), took);
  }

  async #ask(action) {
    if (this.#asking !== null) return;
    this.#asking = action;
    this.#unknown = false;
    this.#lost = null;
    this.#meanwhile = null;
    this.#label();
    this.#say({
      kind: "working",
      title: WORKING[action],
      text: "Keep this page open: leaving it stops what has not been sent.",
    });
    let said;
    try {
      const operation = await this.#operated(action);
      if (operation === null) {
        this.#unknown = true;
        said = unknown(action);
      } else {
        this.operation(operation);
        said = sayOperation(operation);
      }
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      said = sayProblem(error, action);
      this.#unknown = said.kind === "unconfirmed";
    } finally {
      this.#asking = null;
      this.#label();
    }
    this.#say(said);
    if (this.#unknown && this.#meanwhile !== null) this.#tellMeanwhile();
  }

  // The operation as it ended; null if nobody can tell now. Asked for once, then only looked at.
  async #operated(action) {
    try {
      return await this.#api.operate(this.name, action, this.#unresolved);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.#lost = error.location;
      this.#follow(error.location);
      return null;
    }
  }

  // Look where it stands, until it is known or something else is asked of the door.
  async #follow(location) {
    for (const until = Date.now() + FOLLOW_FOR; Date.now() < until && !this.#api.closed;) {
      await new Promise((resolve) => setTimeout(resolve, FOLLOW_EACH));
      let operation;
      try {
        operation = await this.#api.get(location);
      } catch {
        continue; // it may answer again
      }
      if (this.#lost !== location) return;
      if (operation.outcome) {
        this.#unknown = false;
        this.operation(operation);
        this.#say(sayOperation(operation));
        return;
      }
    }
  }

  #say({ kind, title, text }) {
    this.outcome.className = `outcome ${kind}`;
    this.outcome.replaceChildren(element("strong", title), element("p", text));
  }

  #label() {
    const looked = this.#unresolved === null ? "" : "I have looked at the door: ";
    for (const [press, action] of [[this.#open, "unlock"], [this.#lock, "lock"]]) {
      const words = capital(looked + DO[action].toLowerCase());
      press.label(
        this.#asking === action ? WORKING[action] : words,
        `Press again to ${DO[action].toLowerCase()}`,
        this.#asking !== null,
      );
    }
  }

  #last(at, iso, words) {
    if (at < this.#lastAt) return;
    this.#lastAt = Number.isNaN(at) ? this.#lastAt : at;
    this.#fact("Last", `${clock(iso)}: ${words}`);
  }

  #fact(name, value) {
    const found = [...this.facts.querySelectorAll("dt")].find((one) => one.textContent === name);
    if (found) {
      if (found.nextSibling.textContent !== value) found.nextSibling.textContent = value;
    } else {
      const after = FACTS.slice(FACTS.indexOf(name) + 1);
      const terms = [...this.facts.querySelectorAll("dt")];
      const next = terms.find((one) => after.includes(one.textContent)) ?? null;
      this.facts.insertBefore(element("dt", name), next);
      this.facts.insertBefore(element("dd", value), next);
    }
  }
}

// A button that is pressed twice: by a finger, a mouse or a key, and not by accident.
class Press {
  #act;
  #armedAt = null;
  #timer;
  #words = "";
  #armedWords = "";
  #busy = false;

  constructor(kind, describedBy, act) {
    this.#act = act;
    this.element = element("button", "", {
      type: "button", class: kind, "aria-describedby": describedBy,
    });
    this.element.addEventListener("click", (event) => this.#pressed(event.timeStamp));
    this.element.addEventListener("blur", () => this.#disarm());
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#disarm();
      if (event.repeat) event.preventDefault(); // a key that is held down presses once
    });
  }

  label(words, armedWords, busy) {
    [this.#words, this.#armedWords, this.#busy] = [words, armedWords, busy];
    // Not `disabled`, which would take the focus away from whoever waits for the outcome.
    this.element.setAttribute("aria-disabled", String(busy));
    if (busy) this.#disarm();
    this.#show();
  }

  #pressed(at) {
    if (this.#busy) return;
    if (this.#armedAt === null) {
      this.#armedAt = at;
      this.#timer = setTimeout(() => this.#disarm(), ARMED_FOR);
      this.#show();
    } else if (at - this.#armedAt >= NO_DOUBLE_CLICK) {
      this.#disarm();
      this.#act();
    }
  }

  #disarm() {
    clearTimeout(this.#timer);
    this.#armedAt = null;
    this.#show();
  }

  #show() {
    const armed = this.#armedAt !== null;
    this.element.classList.toggle("armed", armed);
    const words = armed ? this.#armedWords : this.#words;
    if (this.element.textContent !== words) this.element.textContent = words;
  }
}

function stateWords(lock) {
  if (lock.busy) return "Busy with an operation";
  if (lock.connected) return "Connected";
  if (lock.connection === "on_demand") return "Idle: connected to when it is asked";
  return "Not connected at the moment";
}

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
