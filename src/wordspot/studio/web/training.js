/* The second step: how long to train, and what happens while it does. */

import { get, send } from "./api.js";
import { act, button, el, percent, say, text } from "./dom.js";

const LOOK_MS = 1000;
/** What a maker chooses; the numbers are those of `wordspot new`. */
const PLANS = {
  quick: { title: "Quick", about: "1 minute of training: to see whether it works", minutes: 1, n_voices: 60, n_near_misses: 8, stream_minutes: 5 },
  good: { title: "Good", about: "up to 4 minutes of training: to use it", minutes: 4, n_voices: 120, n_near_misses: 20, stream_minutes: 20 },
  thorough: { title: "Thorough", about: "up to 20 minutes of training: to use it every day", minutes: 20, n_voices: 300, n_near_misses: 60, stream_minutes: 20 },
};
const PRESETS = { default: "computers, phones and browsers", microcontroller: "ESPHome devices, such as Home Assistant Voice PE" };
const LANGUAGES = { en: "English", de: "German", fr: "French", es: "Spanish", it: "Italian", nl: "Dutch", pl: "Polish", pt: "Portuguese", ru: "Russian", zh: "Chinese", ja: "Japanese" };

export async function showTraining(view, project, route) {
  const screen = new TrainingView(view, project, route);
  screen.watch();
  return () => screen.leave();
}

class TrainingView {
  constructor(view, project, route) {
    this.project = project;
    this.route = route;
    this.plan = el("div", { className: "stack" });
    this.progress = el("div", { className: "stack" });
    view.append(text("h1", "", "Train"), this.plan, this.progress);
    this.state = undefined;
  }

  leave() {
    this.left = true;
    clearTimeout(this.timer);
  }

  async watch() {
    const state = await get("projects", this.project.name, "training").catch(() => this.last ?? null);
    if (this.left) return;
    this.last = state;
    const now = state?.state ?? "none";
    if (now !== this.state) this.enter(now, state);
    if (now === "running") this.update(state);
    this.timer = setTimeout(() => this.watch(), LOOK_MS);
  }

  /** The training is in another state than before. */
  enter(now, state) {
    const before = this.state;
    this.state = now;
    this.plan.replaceChildren(...(now === "running" ? [] : [this.choice(now)]));
    this.progress.replaceChildren(...(now === "none" ? [] : [this.panel(now, state)]));
    if (before === undefined) return;
    say({ running: "Training has begun", finished: "Training is done", stopped: "Training was stopped", failed: "Training failed" }[now] ?? "");
    if (now === "finished") this.route(); // the steps that need a model are open now
  }

  choice(now) {
    const { settings, words, command } = this.project;
    const chosen = Object.keys(PLANS).find((name) => PLANS[name].minutes === settings.minutes && PLANS[name].n_voices === settings.n_voices) ?? "own";
    const option = (name, { title, about }) => el("label", { className: "plan", for: `plan-${name}` },
      el("input", { type: "radio", name: "plan", id: `plan-${name}`, value: name, checked: name === chosen }),
      el("span", {}, text("strong", "", title), text("span", "note", about)));
    const language = el("select", { id: "language" }, Object.entries(LANGUAGES).map(([code, name]) => el("option", { value: code, textContent: name, selected: code === settings.language })));
    const preset = el("select", { id: "preset", "aria-describedby": "preset-says", onchange: () => sayPreset() },
      Object.entries(PRESETS).map(([name, title]) => el("option", { value: name, textContent: title, selected: name === settings.preset })));
    const presetSays = el("p", { className: "note", id: "preset-says" });
    const sayPreset = () => {
      const isSmall = preset.value === "microcontroller";
      const hint = words.length > 1 ? "ESPHome detects one word: keep one, or begin another project. " : "";
      presetSays.textContent = isSmall ? `${hint}A small network that learns from nothing, so choose “Thorough”; it is less good than the other.` : "";
      presetSays.hidden = !isSmall;
      start.disabled = !words.length || (isSmall && words.length > 1);
    };
    const again = ["stopped", "interrupted", "failed"].includes(now);
    const begin = () => act(async () => {
      const name = form.querySelector("input[name=plan]:checked")?.value;
      const { title, about, ...numbers } = PLANS[name] ?? {};
      await send("PUT", ["projects", this.project.name, "settings"], { ...settings, ...numbers, language: language.value, preset: preset.value });
      await send("POST", ["projects", this.project.name, "training"]);
      this.project = await get("projects", this.project.name);
      clearTimeout(this.timer);
      await this.watch();
    });
    const start = el("button", { type: "submit", className: "button primary", id: "train", textContent: again ? "Go on" : "Train" });
    const form = el("form", { className: "panel stack", onsubmit: (event) => { event.preventDefault(); begin(); } },
      el("fieldset", { className: "plans" }, text("legend", "", "How thoroughly?"), Object.entries(PLANS).map(([name, plan]) => option(name, plan)),
        chosen === "own" ? option("own", { title: "As set", about: `${settings.minutes} minutes of training, ${settings.n_voices} clips by voices` }) : null),
      el("label", { className: "field", for: "language" }, text("span", "", "Language of the voices that say the words too"), language),
      el("label", { className: "field", for: "preset" }, text("span", "", "Where it will run"), preset), presetSays,
      words.length ? null : text("p", "note", "Add a word first."),
      el("div", { className: "row" }, text("span", "note", "It goes on if you close this page."), start));
    sayPreset();
    return el("div", { className: "stack" }, form, el("details", { className: "note" }, text("summary", "", "The same on the command line"), text("code", "command", command)));
  }

  panel(now, state) {
    this.stage = el("p", { className: "stage-name", role: "status" });
    this.bar = el("progress", { max: 1, value: 0, ariaLabel: "Progress of the training" });
    this.detail = text("p", "note", "");
    this.curve = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.notes = el("ul", { className: "notes" });
    const stop = now === "running" ? button("Stop", () => act(() => send("DELETE", ["projects", this.project.name, "training"])), "button") : null;
    const panel = el("section", { className: "panel stack", ariaLabel: "Training" },
      el("div", { className: "row" }, this.stage, stop), this.bar, this.detail,
      el("figure", { className: "learning" }, this.curve, el("figcaption", { className: "note" },
        text("span", "key loss", "Loss of the training batches: it should fall."), this.found = text("span", "key found", ""))),
      el("details", {}, text("summary", "", "Log"), this.notes));
    this.update(state);
    return panel;
  }

  update(state) {
    const sentences = {
      finished: "Done: the model is ready.", stopped: "Stopped. “Go on” continues where it was.",
      interrupted: `Interrupted${state.error ? `: ${state.error}` : ""}. “Go on” continues where it was.`, failed: `It failed: ${state.error}`,
    };
    const sentence = sentences[state.state] ?? state.stage;
    if (this.stage.textContent !== sentence) this.stage.textContent = sentence;
    this.bar.value = state.fraction;
    this.bar.hidden = state.state !== "running";
    const count = state.total ? `${state.done} of ${state.total}` : state.done ? String(state.done) : "";
    this.detail.textContent = state.state === "running" ? [count, timeLeft(state)].filter(Boolean).join(" · ") : "";
    this.detail.hidden = !this.detail.textContent;
    drawCurves(this.curve, state.curve, state.found);
    const sentenceOfFound = foundSentence(state.found);
    if (this.found.textContent !== sentenceOfFound) this.found.textContent = sentenceOfFound;
    this.curve.parentElement.hidden = state.curve.length < 2;
    if (this.notes.childElementCount !== state.notes.length) this.notes.replaceChildren(...state.notes.map((note) => text("li", "", note)));
  }
}

/** A rough estimate, once a tenth is done. */
function timeLeft({ started, now, fraction }) {
  const passed = now - started;
  const said = `${clock(passed)} so far`;
  if (fraction < 0.1) return said;
  return `${said}, about ${clock((passed * (1 - fraction)) / fraction)} left`;
}

const clock = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);

/** The newest count of held-out clips, in words. */
function foundSentence(found) {
  if (!found.length) return "Clips that are held out: counted now and then.";
  const [, nFound, nWords, nWrong, nOthers] = found.at(-1);
  const wrong = nOthers ? `; ${nWrong} of ${nOthers} other clips are taken for one` : "";
  return `Held-out clips in which the word is found: ${nFound} of ${nWords}, it should rise${wrong}.`;
}

const WIDTH = 600;
const HEIGHT = 140;
const line = (points, last, className) => {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  shape.setAttribute("class", className);
  shape.setAttribute("points", points.map(([step, share]) => `${((WIDTH * step) / last).toFixed(1)},${(HEIGHT - 3 - (HEIGHT - 6) * share).toFixed(1)}`).join(" "));
  return shape;
};

/** The loss, as a part of its largest, and the share of held-out clips that are found, over the steps. */
function drawCurves(svg, points, found) {
  if (points.length < 2) return;
  const most = Math.max(...points.map(([, loss]) => loss));
  const last = points.at(-1)[0];
  const shares = found.map(([step, nFound, nWords]) => [step, nFound / nWords]);
  const risen = shares.length ? `; held-out clips that are found: from ${percent(shares[0][1])} to ${percent(shares.at(-1)[1])}` : "";
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Loss over ${last} steps: from ${points[0][1].toFixed(2)} to ${points.at(-1)[1].toFixed(2)}${risen}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren(line(points.map(([step, loss]) => [step, loss / most]), last, "loss"), line(shares, last, "found"));
}
