/* Votes are kept in the browser and saved as a file at the end; works from a disk, too. */
"use strict";

window.studyTransport = (() => {
  const local = window.localStudy;
  const params = new URLSearchParams(location.search);

  function start() {
    return local.start(params.get("session") || "", local.chosen, params);
  }

  async function finish(browser) {
    local.finish(browser);
    save();
    return local.code();
  }

  function save() {
    const text = JSON.stringify(local.record(local.votes()));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = `votes-${local.id()}.json`;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  /** What is added to the thanks. */
  function after(text) {
    const again = document.createElement("button");
    again.className = "choice";
    again.textContent = "Save the file again";
    again.addEventListener("click", save);
    text.append(again);
  }

  return { start, vote: local.vote, finish, another: local.another, after, onStatus: () => {} };
})();
