/* Votes go to a JATOS server as results, a line of JSON each time some are sent. A counter in the
 * batch session says which planned session comes next. */
"use strict";

window.studyTransport = (() => {
  const COUNTER = "bapps-gen sessions given out";
  const TRIES = 20;
  const local = window.localStudy;
  const loaded = new Promise((resolve) => jatos.onLoad(resolve));
  const transport = { start, vote, finish, onStatus: () => {} };
  let sending = Promise.resolve();

  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  async function start() {
    await loaded;
    const params = new URLSearchParams(jatos.urlQueryParameters || {});
    // Who has no id of a platform has that of JATOS.
    if (!["PROLIFIC_PID", "workerId", "participant"].some((name) => params.get(name))) {
      params.set("participant", `jatos ${jatos.workerId}`);
    }
    const choose = () => (params.has("session") ? local.chosen() : next());
    const session = await local.start(`jatos:${jatos.studyResultId}`, choose, params);
    send();
    return session;
  }

  /** The next planned session; over again once all have been given out. */
  async function next() {
    for (let tries = 0; tries < TRIES; tries++) {
      const given = jatos.batchSession.get(COUNTER) || 0;
      try {
        // Refused when somebody else changed the batch session since it was read.
        await jatos.batchSession.set(COUNTER, given + 1);
        return (given % local.sessions) + 1;
      } catch {
        await pause(100 + 400 * Math.random());
      }
    }
    return local.chosen();
  }

  function vote(values) {
    local.vote(values);
    send();
  }

  function send() {
    sending = sending.then(async () => {
      for (let wait = 500; local.waiting().length; ) {
        const part = local.waiting();
        try {
          await jatos.appendResultData(`${JSON.stringify(local.record(part))}\n`);
          local.sent(part.length);
          transport.onStatus("");
          wait = 500;
        } catch {
          transport.onStatus(`no connection: ${part.length} answers are kept and sent later`);
          await pause(wait);
          wait = Math.min(2 * wait, 30000);
        }
      }
    });
    return sending;
  }

  async function finish(browser) {
    await send();
    local.finish(browser);
    await jatos.appendResultData(`${JSON.stringify(local.record([]))}\n`);
    await jatos.endStudyAjax(true, local.code());
    return local.code();
  }

  return transport;
})();
