/* The model listens in this browser; what it hears wrongly is kept for the review. */

import { isWord } from "../decoder.js";
import { levelOf } from "../draw.js";
import { openMicrophone, whyNoMicrophone } from "../microphone.js";
import { Recogniser } from "../recogniser.js";
import { joined } from "../stream.js";
import { encodeWav } from "../wav.js";
import { Words } from "../words.js";
import { get, upload } from "./api.js";
import { act, button, el, notice, plural, say, text } from "./dom.js";

const KEPT_SECONDS = 2.5; // of sound around what was heard or missed
const AFTER_SECONDS = 0.5; // after a detection, that are kept too
const MOST_SHOWN = 50;

export async function showTry(view, project) {
  const report = await get("projects", project.name, "versions", String(project.versions.at(-1)));
  const screen = new TryView(view, project, report.model);
  await screen.open();
  return () => screen.stop();
}

class TryView {
  constructor(view, project, entry) {
    this.project = project;
    this.entry = entry;
    this.rate = entry.card.sample_rate;
    this.meter = el("span");
    this.status = el("p", { id: "try-status", role: "status", textContent: "Loading the model …" });
    this.start = button("Start listening", () => (this.microphone ? this.stop() : act(() => this.listen())), "button primary", { id: "try-listen", disabled: true });
    this.heard = el("ol", { className: "heard", reversed: true });
    const words = el("ul", { id: "words" });
    const announcer = el("p", { className: "only-read", "aria-live": "polite" });
    this.words = new Words(words, announcer);
    this.missed = el("div", { className: "row wrap" }, entry.card.labels.filter(isWord).map((word) =>
      button(`I said “${word}”`, () => act(() => this.keepMissed(word)), "button", { disabled: true })));
    view.append(text("h1", "", "Try it"),
      el("section", { className: "panel stack", ariaLabel: "Microphone" }, el("div", { className: "row" }, this.status, this.start),
        el("div", { className: "meter", ariaHidden: "true" }, this.meter), words, announcer),
      el("section", { className: "panel stack", ariaLabel: "Missed words" }, text("h2", "big", "It did not hear me"),
        text("p", "note", "Press at once after a word that it missed: the last two and a half seconds are kept for the review."), this.missed),
      el("section", { className: "panel stack", ariaLabel: "Heard" }, text("h2", "big", "Heard"),
        text("p", "note", "Mark what nobody said: it is kept for the review and learned in the next training."), this.heard));
    this.parts = [];
    this.nKept = 0;
    this.nSamples = 0;
    this.detections = [];
    window.tried = this; // for tests
  }

  async open() {
    this.recogniser = new Recogniser();
    await this.recogniser.begin();
    this.words.show(this.entry.card.labels);
    this.words.setThresholds(this.entry.card.decoder);
    this.opening = this.recogniser.open(this.entry).then(
      () => {
        const never = whyNoMicrophone();
        this.status.textContent = never ? "No microphone." : "Ready. Press Start and say a word.";
        if (never) notice(never);
        this.start.disabled = Boolean(never);
      },
      (error) => notice(error.message));
  }

  async listen() {
    this.nSamples = 0;
    this.parts = [];
    const { card } = this.entry;
    const model = this.recogniser.forAudioThread(card, card.decoder);
    if (!model) this.recogniser.start(card.decoder, { rows: (data) => this.takeRows(data), ended: () => {}, failed: (reason) => this.stop(reason) });
    this.microphone = await openMicrophone({ rate: this.rate, model }, {
      samples: (samples) => this.hear(samples), rows: (data) => this.takeRows(data), lost: (reason) => this.stop(reason),
    });
    this.status.textContent = "Listening …";
    this.start.textContent = "Stop";
    this.start.classList.add("on");
    for (const one of this.missed.children) one.disabled = false;
  }

  async stop(reason = "") {
    const { microphone } = this;
    this.microphone = null;
    if (microphone) {
      for (const detection of await microphone.stop()) this.take(detection);
      this.recogniser.end();
      this.finishPending(true);
    }
    this.words.rest();
    this.meter.style.setProperty("--level", "0%");
    this.status.textContent = "Stopped.";
    this.start.textContent = "Start listening";
    this.start.classList.remove("on");
    for (const one of this.missed.children) one.disabled = true;
    if (reason) notice(reason);
  }

  hear(samples) {
    this.meter.style.setProperty("--level", `${100 * levelOf(samples)}%`);
    this.parts.push(samples.slice());
    this.nSamples += samples.length;
    let held = this.parts.reduce((sum, part) => sum + part.length, 0);
    while (held - this.parts[0].length > 2 * KEPT_SECONDS * this.rate) held -= this.parts.shift().length;
    this.finishPending();
    this.recogniser.feed(samples);
  }

  takeRows({ means, times, detections }) {
    const nLabels = this.entry.card.labels.length;
    if (times.length) this.words.setScores(means.subarray(means.length - nLabels));
    for (const detection of detections) this.take(detection);
  }

  take(detection) {
    this.words.light(this.entry.card.labels.indexOf(detection.label), detection.score, true);
    this.add(detection);
  }

  add({ label, score, time_ms: time }) {
    const entry = { label, score, end: Math.round(time * this.rate / 1000) + Math.round(AFTER_SECONDS * this.rate), sound: null };
    this.detections.push(entry);
    const wrong = button("That was not it", () => act(() => this.keepFalse(entry, wrong)), "button small", { ariaLabel: `That was not it: ${label}`, disabled: true });
    entry.button = wrong;
    this.heard.prepend(el("li", { className: "row" }, el("span", {}, text("strong", "", label), text("span", "note", ` ${(time / 1000).toFixed(1)} s, score ${score.toFixed(2)}`)), wrong));
    if (this.heard.childElementCount > MOST_SHOWN) this.heard.lastElementChild.remove();
    this.finishPending();
  }

  /** Cut the sound of detections whose end has come in: later it is forgotten. */
  finishPending(isEnd = false) {
    for (const entry of this.detections) {
      if (entry.sound || (this.nSamples < entry.end && !isEnd)) continue;
      entry.sound = this.lastUntil(Math.min(entry.end, this.nSamples));
      entry.button.disabled = false;
    }
  }

  /** The last KEPT_SECONDS before the stream's sample `end`. */
  lastUntil(end) {
    const whole = joined(this.parts);
    const stop = Math.max(whole.length - (this.nSamples - end), 1);
    return whole.slice(Math.max(stop - Math.round(KEPT_SECONDS * this.rate), 0), stop);
  }

  async keepFalse(entry, wrong) {
    await this.keep(entry.sound, { word: entry.label, score: entry.score.toFixed(3), missed: "0" });
    wrong.disabled = true;
    wrong.textContent = "Kept";
    wrong.ariaLabel = `Kept: ${entry.label}`;
  }

  keepMissed(word) {
    return this.keep(this.lastUntil(this.nSamples), { word, score: "0", missed: "1" });
  }

  async keep(sound, query) {
    await upload(["projects", this.project.name, "kept"], encodeWav(sound, this.rate), query);
    this.nKept++;
    const review = document.querySelector("#steps a[href$='/review']");
    if (review) review.textContent = `Review (${this.project.kept.length + this.nKept})`; // the view may have been left
    const sentence = `${plural(this.nKept, "sound")} kept for the review`;
    this.status.textContent = `${this.microphone ? "Listening …" : "Stopped."} ${sentence}.`;
    say(sentence);
  }
}
