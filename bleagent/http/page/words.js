// What outcomes mean for a person, and what to do next. Pure; no claim beyond what was answered.

const DONE = { unlock: "opened", lock: "locked" };
const BY = { lock: "the lock", cloud: "the cloud" };

// Problems with a status of 5xx after which certainly nothing was sent to a lock. Of any other
// one nobody can be sure from here.
const NOTHING_SENT = new Set(["too-late", "date-unknown", "store-full"]);

// How an operation ended: {kind, title, text}; `kind` is one of the four outcomes.
export function sayOperation(operation) {
  const done = DONE[operation.action] ?? operation.action;
  const code = operation.code && operation.code !== "ok" ? ` (${operation.code})` : "";
  switch (operation.outcome) {
    case "confirmed":
      return {
        kind: "confirmed",
        title: `Confirmed: ${done}`,
        text: "The lock reported carrying it out. Whether the leaf was moved, it cannot tell." +
          (operation.offline ? " The cloud could not be asked." : ""),
      };
    case "refused":
      return {
        kind: "refused",
        title: `Refused: not ${done}`,
        text: `${capital(BY[operation.by] ?? "somebody")} said no${code}. ` +
          (operation.moved === "possible"
            ? "The motor may have run: look at the door."
            : "Nothing moved. Asking again will not help before the reason is mended."),
      };
    case "unreached":
      return {
        kind: "unreached",
        title: `Not reached: not ${done}`,
        text: `The command was certainly not delivered${code}. ` +
          (operation.retryable ? "You may try again." : ""),
      };
    case "unconfirmed":
      return {
        kind: "unconfirmed",
        title: "Unconfirmed: look at the door",
        text: `The command left, and nobody answered${code}. The door may ` +
          (operation.action === "lock" ? "be locked or not." : "be open.") +
          " Look at it before you do anything else.",
      };
    default:
      return unknown(operation.action);
  }
}

// A problem that came instead of an outcome.
export function sayProblem(problem, action) {
  if (problem.status >= 500 && !NOTHING_SENT.has(problem.code)) {
    return unknown(action, sentence(problem.detail));
  }
  const later = problem.status === 503 || problem.status === 429 || problem.code === "lock-busy";
  return {
    kind: "refused",
    title: later ? "Not now" : "Not accepted",
    text: `Nothing was sent to the lock: ${sentence(problem.detail)} ${problem.advice}`.trim(),
  };
}

// Nobody knows: the answer was lost on its way here.
export function unknown(action, why = "No answer came back from the gateway.") {
  const may = action === "lock" ? "It may be locked or not." : "It may be open.";
  return {
    kind: "unconfirmed",
    title: "Unknown: look at the door",
    text: `${why} ${may} This page does not ask again by itself.`,
  };
}

// What GET /readyz says; `parts` are told only to who may read.
export function healthWords(ready, parts) {
  const wrong = Object.entries(parts).flatMap(([name, part]) => part.wrong.map((one) => {
    const whose = one.of ? `${name}, ${one.of}` : name;
    return `${capital(whose)}: ${sentence(one.detail)} ${one.advice}`.trim();
  }));
  const first = ready ? "The gateway is ready." : "Doors stay shut at the moment.";
  const kind = !ready ? "ill" : wrong.length ? "unwell" : "well";
  return { kind, text: [first, ...wrong].join(" ") };
}

// The time of day, with the date where it is not today's.
export function clock(iso, now = new Date()) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return "no date";
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  if (at.toDateString() === now.toDateString()) return time;
  return `${at.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" })}, ${time}`;
}

export function ago(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function signalWords(rssi) {
  if (rssi >= -65) return "strong";
  return rssi >= -80 ? "fair" : "weak";
}

export function recordWords(record) {
  return record.who ? `${record.title} (${record.who})` : record.title;
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
