// The gateway's API. The token lives in this object and nowhere else.

const READ_WITHIN = 10_000; // milliseconds
// Longer than any operation: its deadline, the lock's word after it, and the disk.
const OPERATE_WITHIN = 60_000;

// An answer that is no success, in the words of problem+json.
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || `HTTP ${status}`);
    this.status = status;
    this.code = body.code || "";
    this.detail = body.detail || `the gateway answered ${status}`;
    this.advice = body.advice || "";
  }
}

// No answer, or half of one. `location`: where an operation that was asked for can be looked at.
export class NoAnswer extends Error {
  constructor(location = null) {
    super("no answer from the gateway");
    this.location = location;
  }
}

export class Api {
  #token;
  #gone = new AbortController();

  constructor(token, onRejected) {
    this.#token = token;
    this.onRejected = onRejected;
  }

  // Forget the token and end what is being read. An operation that is on its way is not awaited
  // any more, and stops if it has not been written (the gateway sees the caller hang up).
  close() {
    this.#token = "";
    this.#gone.abort();
  }

  get closed() {
    return this.#gone.signal.aborted;
  }

  async get(path) {
    const answer = await this.#fetch(path, {}, READ_WITHIN);
    const body = await json(answer);
    if (!answer.ok) throw new Problem(answer.status, body);
    return body;
  }

  // 503 has the same body: what is wrong is no failure to answer.
  async readiness() {
    const answer = await this.#fetch("/readyz", {}, READ_WITHIN);
    const body = await json(answer);
    if (typeof body.ready !== "boolean") throw new Problem(answer.status, body);
    return body;
  }

  // Operate a door: at most once for a call, whatever becomes of it, and never again by itself.
  // Gives the operation; throws Problem if it was not accepted, NoAnswer if nobody can tell.
  async operate(lock, action, after = null) {
    const key = newKey();
    const location = `/v1/operations?key=${key}`;
    let answer, body;
    try {
      answer = await this.#fetch(
        `/v1/locks/${encodeURIComponent(lock)}/${action}`,
        {
          method: "POST",
          headers: { "Idempotency-Key": key, "Content-Type": "application/json" },
          body: JSON.stringify(after === null ? {} : { after }),
        },
        OPERATE_WITHIN,
      );
      body = await json(answer);
    } catch {
      throw new NoAnswer(location);
    }
    if (!("outcome" in body)) {
      if (answer.ok) throw new NoAnswer(location);
      throw new Problem(answer.status, body);
    }
    if (body.outcome === null) throw new NoAnswer(location);
    return body;
  }

  // A stream of server-sent events; 404 where there is none.
  async stream(lastId, signal) {
    const headers = { Accept: "text/event-stream" };
    if (lastId) headers["Last-Event-ID"] = lastId;
    const answer = await this.#fetch("/v1/events", { headers, signal }, null);
    if (!answer.ok) throw new Problem(answer.status, await json(answer));
    return answer.body;
  }

  async #fetch(path, options, within) {
    const signals = [this.#gone.signal];
    if (options.signal) signals.push(options.signal);
    if (within !== null) signals.push(AbortSignal.timeout(within));
    let answer;
    try {
      answer = await fetch(path, {
        ...options,
        headers: { ...options.headers, Authorization: `Bearer ${this.#token}` },
        signal: AbortSignal.any(signals),
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        referrerPolicy: "no-referrer",
      });
    } catch {
      throw new NoAnswer();
    }
    if (answer.status === 401) this.onRejected();
    return answer;
  }
}

async function json(answer) {
  try {
    const body = await answer.json();
    if (body !== null && typeof body === "object") return body;
  } catch {
    // told below
  }
  if (!answer.ok) return {};
  throw new NoAnswer();
}

// A new random key for each press: it is what makes an answer that is asked for twice open once.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
}
