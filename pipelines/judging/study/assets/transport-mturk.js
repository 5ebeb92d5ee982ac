/* Votes are submitted to the requester on Mechanical Turk: by a form where the page is an external
 * question, and by way of the page around it where it is part of a HIT's own layout. */
"use strict";

window.studyTransport = (() => {
  const NO_ASSIGNMENT = "ASSIGNMENT_ID_NOT_AVAILABLE";
  const local = window.localStudy;
  const params = new URLSearchParams(location.search);
  const assignment = params.get("assignmentId");

  function start() {
    if (!assignment || assignment === NO_ASSIGNMENT) {
      return Promise.reject(new Error("this is a preview; accept the HIT to begin"));
    }
    return local.start(`mturk:${assignment}`, local.chosen, params);
  }

  async function finish(browser) {
    // Not marked as finished: a reload submits again what may not have arrived.
    const votes = JSON.stringify({ ...local.record(local.votes()), browser });
    const target = params.get("turkSubmitTo");
    if (target === null) {
      window.parent.postMessage({ study: "bapps-gen", votes }, "*"); // holds no secret
      return "";
    }
    const { protocol, hostname, origin } = new URL(target);
    if (protocol !== "https:" || !/(^|\.)mturk\.com$/.test(hostname)) {
      throw new Error("turkSubmitTo is not an address of Mechanical Turk");
    }
    const form = document.createElement("form");
    form.method = "post";
    form.action = `${origin}/mturk/externalSubmit`;
    for (const [name, value] of Object.entries({ assignmentId: assignment, votes })) {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = name;
      field.value = value;
      form.append(field);
    }
    document.body.append(form);
    form.submit();
    return "";
  }

  return { start, vote: local.vote, finish, onStatus: () => {} };
})();
