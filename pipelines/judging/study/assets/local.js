/* What pages without a server of their own share: which session a person gets, votes that are kept
 * in the browser, and results as JSON. */
"use strict";

window.localStudy = (() => {
  const config = window.studyConfig; // page/config.js
  const memory = {};
  let params = new URLSearchParams();
  let place = "";
  let state = null;

  const random = () =>
    Array.from(crypto.getRandomValues(new Uint8Array(16)), hexadecimal).join("");

  function hexadecimal(byte) {
    return byte.toString(16).padStart(2, "0");
  }

  function get(name) {
    const key = `bapps-gen-study:${config.study}:${name}`;
    let text = memory[key] ?? null;
    try {
      text = localStorage.getItem(key) ?? text;
    } catch {
      // a browser that keeps nothing
    }
    return text === null ? null : JSON.parse(text);
  }

  function set(name, value) {
    const key = `bapps-gen-study:${config.study}:${name}`;
    memory[key] = JSON.stringify(value);
    try {
      localStorage.setItem(key, memory[key]);
    } catch {
      // kept in this page alone
    }
  }

  /**
   * Starts the session of a place, or goes on with it.
   *
   * `name` tells sessions of one browser apart, `choose` gives the number of a planned one, `given`
   * has the parameters of the link.
   */
  async function start(name, choose, given) {
    params = given;
    const who = await person();
    place = `session:${name}:${who}`;
    state = get(place);
    if (!state) {
      state = { session: random(), plan: await choose(), person: who, votes: [], sent: 0 };
      set(place, state);
    }
    await load(`sessions/${state.plan}.js`);
    return {
      session: state.session,
      config: config.page,
      trials: window.studySession,
      answered: state.votes.map((vote) => vote.trial),
      finished: Boolean(state.finished),
      code: code(),
    };
  }

  /** The number of a planned session: that of the link, or one at random that was not taken here. */
  function chosen() {
    const asked = params.get("session");
    if (asked !== null) {
      if (/^[1-9][0-9]{0,8}$/.test(asked) && Number(asked) <= config.sessions) return Number(asked);
      throw new Error(`session must be a number from 1 to ${config.sessions}`);
    }
    const taken = new Set(get("taken") || []);
    const free = [];
    for (let plan = 1; plan <= config.sessions; plan++) if (!taken.has(plan)) free.push(plan);
    if (!free.length) throw new Error("no session is left for you; thank you for your interest");
    return free[Math.floor(Math.random() * free.length)];
  }

  /** A hash of who takes part; their id itself goes nowhere. */
  async function person() {
    const name = ["PROLIFIC_PID", "workerId", "participant"].find((one) => params.get(one));
    if (name && crypto.subtle) {
      const text = `${config.salt}\0${name}\0${params.get(name)}`;
      const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
      return Array.from(new Uint8Array(hash).slice(0, 16), hexadecimal).join("");
    }
    // Without HTTPS browsers make no hashes: an id is a number of its own in each browser then.
    const kept = `person:${name ? params.get(name) : ""}`;
    if (!get(kept)) set(kept, random());
    return get(kept);
  }

  function load(source) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = source;
      script.addEventListener("load", resolve);
      script.addEventListener("error", () => reject(new Error(`${source} is missing`)));
      document.head.append(script);
    });
  }

  function vote(values) {
    const { frames, ...kept } = values;
    for (const [name, value] of Object.entries(kept)) {
      if (typeof value === "number") kept[name] = Math.round(10 * value) / 10;
    }
    state.votes.push({ ...kept, time: Date.now() });
    set(place, state);
  }

  /** Votes that `sent` has not said to be elsewhere. */
  function waiting() {
    return state.votes.slice(state.sent);
  }

  function sent(number) {
    state.sent += number;
    set(place, state);
  }

  function finish(browser) {
    state.browser = browser;
    state.finished = true;
    set(place, state);
    set("taken", [...(get("taken") || []), state.plan]);
  }

  /** A result as it is read by `bapps-gen study votes --results`. */
  function record(votes) {
    return {
      format: "bapps-gen votes",
      format_version: 1,
      study: config.study,
      session: state.session,
      person: state.person,
      votes,
      browser: state.browser || {},
    };
  }

  function code() {
    return config.code || state.session.slice(0, 10).toUpperCase();
  }

  /** Forgets the session, so that the next start is of another. */
  function another() {
    set(place, null);
  }

  const votes = () => state.votes;
  const id = () => state.session;
  return {
    ...{ start, chosen, vote, votes, waiting, sent, finish, record, code, another, id },
    sessions: config.sessions,
  };
})();
