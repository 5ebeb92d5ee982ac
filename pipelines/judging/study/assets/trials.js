/* How single trials are shown: three patches side by side, or two after each other. */
"use strict";

/** Sizes patches by a whole number of the screen's own pixels for each of theirs. */
function sizePatches(pixels, across, zoom) {
  const ratio = window.devicePixelRatio || 1;
  const room = Math.min(
    (window.innerWidth * ratio - 80 * ratio) / across,
    window.innerHeight * ratio * 0.55,
    across > 1 ? 256 * ratio : 320 * ratio,
  );
  const times = zoom || Math.max(1, Math.floor(room / pixels));
  document.documentElement.style.setProperty("--patch", `${(pixels * times) / ratio}px`);
  return times;
}

/** A triplet: the reference in the middle, a patch to choose on each side. */
class Triplet {
  static info = {
    name: "triplet",
    version: "1",
    parameters: {
      images: { type: jsPsychModule.ParameterType.COMPLEX },
      question: { type: jsPsychModule.ParameterType.STRING },
      zoom: { type: jsPsychModule.ParameterType.INT, default: 0 },
    },
    data: {
      answer: { type: jsPsychModule.ParameterType.STRING },
      rt: { type: jsPsychModule.ParameterType.FLOAT },
    },
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  trial(display, trial) {
    const question = element("p", "question");
    question.textContent = trial.question;
    const row = element("div", "triplet");
    const [reference, left, right] = trial.images.map((source) => {
      const image = element("img", "patch");
      image.src = source;
      image.alt = "";
      return image;
    });
    const sides = [["left", left], ["right", right]].map(([name, image]) => {
      const button = element("button", "side");
      button.type = "button";
      button.dataset.answer = name;
      button.setAttribute("aria-label", `the ${name} one`);
      button.append(image);
      return button;
    });
    row.append(sides[0], reference, sides[1]);
    const keys = element("p", "keys");
    keys.textContent = "Click or tap it, or press ← or →";

    let shown = null;
    let ended = false;
    const end = (answer) => {
      if (shown === null || ended) return;
      ended = true;
      this.jsPsych.pluginAPI.cancelAllKeyboardResponses();
      this.jsPsych.finishTrial({ answer, rt: performance.now() - shown });
    };
    // All three appear in one frame: nobody sees one side before the other.
    Promise.all([reference, left, right].map((image) => image.decode())).then(() => {
      sizePatches(reference.naturalWidth, 3, trial.zoom);
      requestAnimationFrame((now) => {
        display.replaceChildren(question, row, keys);
        shown = now;
      });
    });
    for (const button of sides) {
      button.addEventListener("click", () => end(button.dataset.answer));
    }
    this.jsPsych.pluginAPI.getKeyboardResponse({
      callback_function: ({ key }) => end(key.toLowerCase() === "arrowleft" ? "left" : "right"),
      valid_responses: ["arrowleft", "arrowright"],
      persist: true,
      allow_held_key: false,
    });
  }
}

/**
 * Measures for how long the patches of a pair are seen, by the times of the frames that show them.
 * `stop` gives the durations in ms, and the time between frames.
 */
class FrameMeter {
  constructor(display) {
    this.changes = [];
    this.frames = [];
    const look = (now) => {
      if (this.frames.length < 1000) this.frames.push(now);
      const image = display.querySelector(".jspsych-same-different-stimulus");
      const visible = image !== null && image.style.visibility !== "hidden";
      const last = this.changes[this.changes.length - 1];
      if (last === undefined ? visible : last.visible !== visible) {
        this.changes.push({ visible, now });
      }
      this.request = requestAnimationFrame(look);
    };
    this.request = requestAnimationFrame(look);
  }

  stop(wanted) {
    cancelAnimationFrame(this.request);
    const first = this.changes.length ? this.changes[0].now : null;
    const frames = this.frames
      .slice(1)
      .map((now, index) => [this.frames[index], now - this.frames[index]])
      .filter(([start]) => first !== null && start >= first)
      .map(([, length]) => Math.round(length * 10) / 10);
    const lengths = [0, 1, 2].map((index) => {
      const [start, end] = [this.changes[index], this.changes[index + 1]];
      return start && end ? end.now - start.now : null;
    });
    const sorted = [...frames].sort((one, other) => one - other);
    const frame = sorted.length ? sorted[Math.floor(sorted.length / 2)] : 17;
    const near = (index) =>
      lengths[index] !== null && Math.abs(lengths[index] - wanted[index]) <= 1.5 * frame;
    return {
      reference_ms: lengths[0],
      gap_ms: lengths[1],
      distorted_ms: lengths[2],
      // An answer may come while the second patch is still seen.
      timing_ok: near(0) && near(1) && (lengths[2] === null || near(2)),
      frames,
    };
  }
}

function element(tag, name) {
  const made = document.createElement(tag);
  made.className = name;
  return made;
}
