/* A session from consent to completion code. Where votes go is the transport's business. */
"use strict";

const KEYS = { f: "same", j: "different" };
const AGREE = ["I agree", "I do not agree"];

async function runSession() {
  const transport = window.studyTransport;
  const display = document.getElementById("study");
  const say = (html) => {
    display.innerHTML = `<div class="jspsych-content-wrapper"><div class="text">${html}</div></div>`;
  };
  transport.onStatus = (text) => {
    document.getElementById("status").textContent = text;
  };
  let session;
  try {
    session = await transport.start();
  } catch (error) {
    const text = element("p", "");
    text.textContent = `The study cannot be started: ${error.message}`;
    say(text.outerHTML);
    return;
  }
  const { config } = session;
  document.title = config.title;
  if (session.finished) {
    thank(say, config, session.code);
    return;
  }

  const jsPsych = initJsPsych({
    display_element: display,
    show_progress_bar: true,
    auto_update_progress_bar: false,
    message_progress_bar: "",
    on_trial_start: () => done(),
  });
  const answered = new Set(session.answered);
  const left = session.trials.filter((trial) => !answered.has(trial.trial));
  const done = () => {
    jsPsych.progressBar.progress = answered.size / session.trials.length;
  };
  const button = (html, choices, more = {}) => ({
    type: jsPsychHtmlButtonResponse,
    stimulus: `<div class="text">${html}</div>`,
    choices,
    ...more,
  });

  let browser = {};
  const timeline = [
    browserCheck(config, (data) => {
      browser = data;
      config.refresh_rate = data.refresh_rate;
    }),
  ];
  if (answered.size === 0) {
    timeline.push(
      button(config.texts.consent, AGREE, {
        on_finish: ({ response }) => {
          if (response === 1) jsPsych.abortExperiment("");
        },
      }),
      button(config.texts.instructions, ["Start"]),
    );
  } else {
    timeline.push(button("<p>Welcome back. You go on where you were.</p>", ["Continue"]));
  }
  let refused = true;
  const step = config.break_after || left.length;
  const practice = left.filter((trial) => "feedback" in trial);
  const judged = left.filter((trial) => !("feedback" in trial));
  const blocks = practice.length ? [practice] : [];
  for (let first = 0; first < judged.length; first += step) {
    blocks.push(judged.slice(first, first + step));
  }
  blocks.forEach((block, index) => {
    timeline.push({
      type: jsPsychPreload,
      images: block.flatMap((trial) => trial.images.map(imageUrl)),
      message: "<p>Loading pictures …</p>",
      error_message: "<p>The pictures cannot be loaded. Reload this page to try again.</p>",
      max_load_time: null,
      on_finish: () => (refused = false),
    });
    for (const trial of block) {
      timeline.push(
        oneTrial(jsPsych, config, trial, (vote) => {
          answered.add(trial.trial);
          transport.vote({ trial: trial.trial, ...vote });
        }),
      );
      if ("feedback" in trial) timeline.push(feedback(jsPsych, config, trial));
    }
    if (index + 1 < blocks.length) {
      const text = block === practice
        ? "<p>That was the practice. From now on you are not told what is right.</p>"
        : "<p>Time for a break, if you like.</p>";
      timeline.push(button(text, ["Continue"]));
    }
  });
  await jsPsych.run(timeline);
  if (answered.size < session.trials.length) {
    if (refused && !display.textContent.trim()) {
      say("<p>You did not agree, so nothing is asked of you. You may close this page.</p>");
    }
    return;
  }
  say("<p>Saving your answers …</p>");
  try {
    thank(say, config, await transport.finish(browser));
  } catch (error) {
    const text = element("p", "");
    text.textContent = `Your answers are kept, but the session cannot be ended: ${error.message}`;
    say(text.outerHTML);
  }
}

function imageUrl(name) {
  const { images } = window.studyTransport;
  return `${images === undefined ? "images/" : images}${name}.png`;
}

/** Measures the browser and the screen, and refuses phones where the study does not take them. */
function browserCheck(config, keep) {
  const isPhone =
    /Mobi/i.test(navigator.userAgent) && Math.min(screen.width, screen.height) < 600;
  return {
    type: jsPsychBrowserCheck,
    // Not those that need the browser's name: the plugin fails where it does not know it.
    features: ["width", "height", "mobile", "vsync_rate"],
    minimum_width: isPhone ? 0 : config.min_width,
    minimum_height: 0,
    inclusion_function: () => config.phones || !isPhone,
    exclusion_message: () =>
      '<div class="text"><p>This study needs a larger screen: please open it on a computer or a ' +
      "tablet.</p></div>",
    on_finish: (data) =>
      keep({
        width: data.width,
        height: data.height,
        ratio: window.devicePixelRatio,
        browser: navigator.userAgent.slice(0, 300),
        mobile: data.mobile,
        refresh_rate: data.vsync_rate,
      }),
  };
}

/** A triplet or a pair; `store` takes the vote. */
function oneTrial(jsPsych, config, trial, store) {
  const images = trial.images.map(imageUrl);
  if (config.task === "2afc") {
    return {
      type: Triplet,
      images,
      question: config.question,
      zoom: config.zoom,
      on_finish: ({ answer, rt }) => {
        trial.answer = answer;
        store({ answer, rt_ms: rt });
      },
    };
  }
  const display = document.getElementById("study");
  // Patches change with the frame after a time has passed: half a frame less is right on average.
  const early = (ms) => ms - 500 / (config.refresh_rate || 60);
  const press = (event) => {
    const choice = event.target.closest("button.choice");
    if (choice) jsPsych.pluginAPI.pressKey(choice.dataset.key);
  };
  let meter = null;
  return {
    type: jsPsychSameDifferentImage,
    stimuli: images,
    answer: "same", // not looked at: what is right is known elsewhere
    same_key: "f",
    different_key: "j",
    first_stim_duration: () => early(config.reference_ms),
    gap_duration: () => early(config.gap_ms),
    second_stim_duration: () => early(config.distorted_ms),
    post_trial_gap: 500,
    prompt:
      '<div class="choices"><button type="button" class="choice" data-key="f">Same (F)</button>' +
      '<button type="button" class="choice" data-key="j">Different (J)</button></div>',
    css_classes: ["pair"],
    on_load: () => {
      document.body.classList.add("pair");
      const image = display.querySelector("img");
      const size = () => sizePatches(image.naturalWidth, 1, config.zoom);
      if (image.complete) size();
      else image.addEventListener("load", size);
      display.addEventListener("click", press);
      meter = new FrameMeter(display);
    },
    on_finish: ({ response, rt }) => {
      document.body.classList.remove("pair");
      display.removeEventListener("click", press);
      const times = meter.stop([config.reference_ms, config.gap_ms, config.distorted_ms]);
      trial.answer = KEYS[response.toLowerCase()];
      store({ answer: trial.answer, rt_ms: rt, ...times });
    },
  };
}

/** Says after a trial of practice whether the answer was right. */
function feedback(jsPsych, config, trial) {
  const names = {
    same: "the two were the same",
    different: "the two were different",
    left: "the left one is more similar",
    right: "the right one is more similar",
  };
  return {
    type: jsPsychHtmlButtonResponse,
    stimulus: () =>
      trial.answer === trial.feedback ? "<p>Right.</p>" : `<p>No: ${names[trial.feedback]}.</p>`,
    choices: [],
    trial_duration: config.feedback_ms,
  };
}

function thank(say, config, code) {
  say(config.texts.thanks + (code ? '<p>Your completion code: <span class="code"></span></p>' : ""));
  const place = document.querySelector(".code");
  if (place) place.textContent = code;
  if (config.completion_url && code) {
    const link = element("a", "");
    link.href = config.completion_url.replace("{code}", encodeURIComponent(code));
    link.textContent = "Go back to where you came from";
    place.parentElement.after(link);
  }
  if (window.studyTransport.after) window.studyTransport.after(document.querySelector(".text"));
  if (config.more && window.studyTransport.another) {
    const more = element("button", "choice");
    more.textContent = "Take another session";
    more.addEventListener("click", () => {
      window.studyTransport.another();
      location.reload();
    });
    document.querySelector(".text").append(more);
  }
}

window.addEventListener("dragstart", (event) => event.preventDefault());
window.addEventListener("contextmenu", (event) => event.preventDefault());
runSession();
