/* Votes go to the server that the page came from. Each is kept in the browser until the server says
 * that it has it, so that a lost connection or a reload loses none. */
"use strict";

window.studyTransport = (() => {
  const STORE = "bapps-gen-study";
  const LONGEST_WAIT = 30000;
  const memory = {};
  const kept = {
    get: (name) => {
      try {
        return localStorage.getItem(`${STORE}:${name}`);
      } catch {
        return memory[name] ?? null; // a browser that keeps nothing
      }
    },
    set: (name, value) => {
      memory[name] = value;
      try {
        localStorage.setItem(`${STORE}:${name}`, value);
      } catch {
        // the answers are still sent from this page
      }
    },
  };
  const transport = { start, vote, finish, another, onStatus: () => {} };
  const base = document.baseURI.replace(/[^/]*([?#].*)?$/, "");
  let session = null;
  let keyName = null;
  let waiting = [];
  let sending = Promise.resolve();

  async function post(path, body) {
    const response = await fetch(`${base}api/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      keepalive: JSON.stringify(body).length < 60000,
    });
    const values = await response.json().catch(() => ({}));
    if (!response.ok) {
      const error = new Error(values.error || `the server answers ${response.status}`);
      // Too slow (408), too many (429) and failures of the server (500 and above) pass.
      error.isFinal = response.status < 500 && ![408, 429].includes(response.status);
      throw error;
    }
    return values;
  }

  async function retried(path, body, note) {
    for (let wait = 500; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
      try {
        return await post(path, body);
      } catch (error) {
        if (error.isFinal) throw error;
        transport.onStatus(note());
        await new Promise((resolve) => {
          const timer = setTimeout(resolve, wait);
          window.addEventListener("online", () => resolve(clearTimeout(timer)), { once: true });
        });
      }
    }
  }

  async function start() {
    const params = Object.fromEntries(new URLSearchParams(location.search));
    const given = params.PROLIFIC_PID || params.workerId || params.participant;
    if (!given) params.participant = random(`person:${base}`);
    // A person with an id of their own has a session of their own, on a shared browser too.
    const assignment = params.assignmentId || params.SESSION_ID || "";
    keyName = `key:${base}:${given || ""}:${assignment}`;
    const key = random(keyName);
    const values = await retried("session", { key, params }, () => "waiting for the connection …");
    session = values.session;
    waiting = JSON.parse(kept.get(`votes:${session}`) || "[]");
    const known = new Set(values.answered);
    waiting = waiting.filter((one) => !known.has(one.trial));
    transport.onStatus("");
    send();
    return { ...values, answered: [...known, ...waiting.map((one) => one.trial)] };
  }

  /** A random text that this browser keeps under a name. */
  function random(name) {
    let text = kept.get(name);
    if (!text) {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      kept.set(name, text);
    }
    return text;
  }

  function keep() {
    kept.set(`votes:${session}`, JSON.stringify(waiting));
  }

  function vote(values) {
    waiting.push({ session, ...values });
    keep();
    send();
  }

  /** Sends what waits, one after another; gives a promise that ends when nothing waits. */
  function send() {
    sending = sending.then(async () => {
      while (waiting.length) {
        const note = () => `no connection: ${waiting.length} answers are kept and sent later`;
        try {
          await retried("vote", waiting[0], note);
        } catch (error) {
          transport.onStatus(`an answer was refused: ${error.message}`);
        }
        waiting.shift();
        keep();
        if (!waiting.length) transport.onStatus("");
      }
    });
    return sending;
  }

  async function finish(browser) {
    await send();
    const note = () => "waiting for the connection …";
    return (await retried("finish", { session, browser }, note)).code;
  }

  /** Forgets the session, so that the next start is of another. */
  function another() {
    kept.set(keyName, "");
  }

  window.addEventListener("beforeunload", (event) => {
    if (waiting.length) event.preventDefault();
  });
  return transport;
})();
