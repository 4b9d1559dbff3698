// The list of what happened: records of the locks, and what was asked for and not done.

import { element } from "./door.js";
import { clock, recordWords, sayOperation } from "./words.js";

const SHOWN = 60;

export class Happened {
  #list;
  #shown = new Map(); // id -> its place, newest first in time

  constructor(list) {
    this.#list = list;
  }

  // Whether it is new here.
  record(record) {
    const words = recordWords(record) + (record.operation ? ", asked for over HTTP" : "");
    const loud = record.severity === "critical" || record.severity === "warning";
    return this.#put(record.id, record.at, record.lock, words, {
      kind: loud ? record.severity : record.category,
      note: deliveryWords(record),
    });
  }

  operation(operation) {
    // What was confirmed has a record of the lock's own.
    if (!operation.outcome || operation.outcome === "confirmed") return;
    const said = sayOperation(operation);
    const code = operation.code ? `, ${operation.code}` : "";
    this.#put(operation.id, operation.finished_at ?? operation.requested_at, operation.lock,
      `asked for over HTTP. ${said.title}`, { kind: "warning", note: code.slice(2) });
  }

  #put(id, iso, lock, words, { kind, note }) {
    if (this.#shown.has(id)) return false;
    const time = element("time", clock(iso), iso ? { datetime: iso } : {});
    const line = element("li", "", { class: kind });
    line.append(time, element("b", lock), element("span", words), element("small", note));
    const at = Date.parse(iso ?? "") || 0;
    const before = [...this.#shown].find(([, one]) => one.at < at);
    this.#list.insertBefore(line, before ? before[1].line : null);
    this.#shown.set(id, { at, line });
    this.#shown = new Map([...this.#shown].sort(([, a], [, b]) => b.at - a.at));
    for (const [old, one] of [...this.#shown].slice(SHOWN)) {
      one.line.remove();
      this.#shown.delete(old);
    }
    return true;
  }
}

function deliveryWords(record) {
  if (!record.released) return "held until older ones have come";
  const open = record.deliveries.filter((one) => one.state !== "done");
  return open.map((one) => `${one.sink} ${one.state}${one.code ? ` ${one.code}` : ""}`).join(", ");
}
