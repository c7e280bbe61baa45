/* The second view: takes of a word, one after another, saved in the layout that `wordspot train` reads. */

import { drawWaveform, levelOf } from "./draw.js";
import { saveAs } from "./log.js";
import { openMicrophone, whyNoMicrophone } from "./microphone.js";
import { encodeWav } from "./wav.js";
import { makeZip } from "./zip.js";

const byId = (id) => document.getElementById(id);
const COUNT_SECONDS = 0.7; // from one number of the countdown to the next
const PAUSE_SECONDS = 0.6; // between two takes
const TAKE_SECONDS = 2; // recorded, of which the loudest clip is kept
const CLIP_SECONDS = 1; // features.clip_ms of training by default
const MAX_TRIES = 200; // numbers of takes that the server may hold already
const QUIET = 0.02; // a peak below this is hardly speech
const CLIPPED = 0.999;
const PLAY = "M7 4.5v15l13-7.5z";
const DISCARD = "M6 7h12l-1 14H7L6 7Zm3-4h6l1 2h4v1.5H4V5h4l1-2Z";

export class Record {
  constructor() {
    this.takes = []; // {word, number, session, samples, rate, bytes, saved}
    this.run = null;
    this.rate = 16000;
    this.clipSamples = 16000;
    this.server = false;
    byId("record-session").value = crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0");
    byId("record-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.run) this.stop("Stopped.");
      else this.begin();
    });
    byId("save-zip").addEventListener("click", () => this.saveZip());
    byId("save-server").addEventListener("click", () => this.saveOnServer());
    addEventListener("beforeunload", (event) => this.takes.some((take) => !take.saved) && event.preventDefault());
  }

  /** What the server offers: models.json. */
  setServer({ record, token }) {
    this.server = record;
    this.token = token;
    byId("save-server").hidden = !record;
    byId("record-token-field").hidden = !(record && token);
    byId("record-where").textContent = record
      ? "Recordings stay on this device until you save them: here as a ZIP, or on the server you opened this page from."
      : "Recordings stay on this device: they are saved here, as a ZIP.";
  }

  /** Record at the chosen model's rate, as long as the clips that training takes by default; the model's words are suggested. */
  setModel(card, words) {
    this.rate = card.sample_rate;
    this.clipSamples = CLIP_SECONDS * card.sample_rate;
    byId("known-words").replaceChildren(...words.map((word) => Object.assign(document.createElement("option"), { value: word })));
  }

  async begin() {
    const word = cleaned(byId("record-word").value);
    if (!word) return this.cue("This word cannot name a folder: use letters, digits, spaces or hyphens.");
    const never = whyNoMicrophone();
    if (never) return this.cue(never.replace(/ Sound files work .*/, ""));
    this.cue("Waiting for the microphone …");
    this.run = { word, left: Number(byId("record-count").value), step: 0, nSamples: 0, parts: [] };
    byId("record-start").textContent = "Stop";
    byId("record-start").classList.add("on");
    try {
      const { run } = this;
      const microphone = await openMicrophone({ rate: this.rate }, {
        samples: (samples) => this.hear(samples),
        lost: (reason) => this.stop(reason),
      });
      if (this.run === run) run.microphone = microphone;
      else await microphone.stop();
    } catch (error) {
      this.stop(error.message.replace(/ Sound files work .*/, ""));
    }
  }

  /** The steps 3, 2, 1, then take and pause in turn, all by the microphone's own clock. */
  hear(samples) {
    const { run } = this;
    if (!run) return;
    byId("record-meter").style.setProperty("--level", `${100 * levelOf(samples)}%`);
    if (run.nSamples === 0) this.cueStep(run);
    run.nSamples += samples.length;
    const taking = run.step >= 3 && run.step % 2 === 1;
    if (taking) run.parts.push(samples);
    const seconds = run.step < 3 ? COUNT_SECONDS : taking ? TAKE_SECONDS : PAUSE_SECONDS;
    if (run.nSamples < seconds * this.rate) return;
    run.nSamples = 0;
    run.step++;
    if (!taking) return;
    this.add(run.word, run.parts);
    run.parts = [];
    if (--run.left <= 0) this.stop(`Done: listen to the takes of “${run.word}”, then save them.`);
  }

  cueStep({ step, word, left }) {
    if (step < 3) this.cue(String(3 - step), "count");
    else if (step % 2 === 1) this.cue(`Say “${word}”`, "say");
    else this.cue(left === 1 ? "One more …" : `${left} more …`);
  }

  cue(text, kind = "") {
    byId("cue").textContent = text;
    byId("cue").className = kind;
  }

  async stop(sentence) {
    const { run } = this;
    this.run = null;
    byId("record-start").textContent = "Record";
    byId("record-start").classList.remove("on");
    byId("record-meter").style.setProperty("--level", "0%");
    if (run || sentence) this.cue(sentence);
    await run?.microphone?.stop();
  }

  add(word, parts) {
    const whole = Float32Array.from(parts.flatMap((part) => [...part]));
    const start = loudestStart(whole, this.clipSamples);
    const samples = whole.slice(start, start + this.clipSamples);
    const session = byId("record-session").value.replace(/[^A-Za-z0-9]/g, "") || "speaker";
    this.takes.push({ word, session, number: this.nextNumber(word, session), samples, bytes: encodeWav(samples, this.rate), saved: false });
    this.show();
  }

  /** A take's number; that of a discarded one is not given again. */
  nextNumber(word, session) {
    this.numbers ??= new Map();
    const key = `${word}/${session}`;
    const number = (this.numbers.get(key) ?? -1) + 1;
    this.numbers.set(key, number);
    return number;
  }

  discard(take) {
    this.takes.splice(this.takes.indexOf(take), 1);
    this.show();
    byId("record-start").focus();
  }

  play({ bytes }) {
    const address = URL.createObjectURL(new Blob([bytes], { type: "audio/wav" }));
    const player = new Audio(address);
    player.onended = () => URL.revokeObjectURL(address);
    player.play();
  }

  show() {
    const words = [...new Set(this.takes.map((take) => take.word))];
    byId("takes-empty").hidden = words.length > 0;
    byId("save-zip").disabled = !this.takes.length;
    byId("save-server").disabled = !this.takes.some((take) => !take.saved);
    byId("takes").replaceChildren(...words.flatMap((word) => {
      const title = Object.assign(document.createElement("h3"), { textContent: word, dir: "auto" });
      const list = document.createElement("ul");
      list.append(...this.takes.filter((take) => take.word === word).map((take) => this.makeItem(take)));
      return [title, list];
    }));
  }

  makeItem(take) {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.ariaHidden = "true";
    drawWaveform(canvas, take.samples);
    const peak = take.samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const problem = peak < QUIET ? "too quiet" : peak >= CLIPPED ? "too loud" : "";
    const hint = Object.assign(document.createElement("span"), {
      className: problem ? "hint bad" : "hint", textContent: problem || (take.saved ? "saved" : `take ${take.number + 1}`),
    });
    const icons = Object.assign(document.createElement("span"), { className: "icons" });
    icons.append(
      iconButton(PLAY, `Play take ${take.number + 1} of ${take.word}`, () => this.play(take)),
      iconButton(DISCARD, `Discard take ${take.number + 1} of ${take.word}`, () => this.discard(take)));
    const row = Object.assign(document.createElement("div"), { className: "row" });
    row.append(hint, icons);
    item.append(canvas, row);
    return item;
  }

  saveZip() {
    const files = this.takes.map((take) => ({ name: `${take.word}/${take.session}_nohash_${take.number}.wav`, bytes: take.bytes }));
    saveAs(makeZip(files), "recordings.zip");
    this.takes.forEach((take) => (take.saved = true));
    this.show();
    this.cue("Saved as recordings.zip. Unpack it, and give the folder to wordspot train.");
  }

  async saveOnServer() {
    const button = byId("save-server");
    button.disabled = true;
    const headers = this.token ? { Authorization: `Bearer ${byId("record-token").value}` } : {};
    for (const take of this.takes.filter((one) => !one.saved)) {
      let answer = null;
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const query = new URLSearchParams({ word: take.word, session: take.session, take: take.number });
        answer = await fetch(`v1/record?${query}`, {
          method: "POST", body: take.bytes, headers: { ...headers, "Content-Type": "audio/wav" },
        }).catch(() => null);
        if (answer?.status !== 409) break; // a take of this number is there, of an earlier visit
        take.number = this.nextNumber(take.word, take.session);
      }
      if (!answer?.ok) {
        this.show();
        return this.cue(await whyNotSaved(answer));
      }
      take.saved = true;
    }
    this.show();
    this.cue("Saved on the server.");
  }
}

async function whyNotSaved(answer) {
  if (!answer) return "The server does not answer. The recordings are still here; download them as a ZIP.";
  if (answer.status === 401) return "The server wants its token: see where it was started, and type it above.";
  const said = await answer.json().catch(() => ({}));
  return `The server did not take it (${answer.status}${said.error ? `: ${said.error}` : ""}). The recordings are still here; download them as a ZIP.`;
}

function iconButton(path, label, act) {
  const button = Object.assign(document.createElement("button"), { type: "button", ariaLabel: label, title: label });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  shape.setAttribute("d", path);
  svg.append(shape);
  button.append(svg);
  button.addEventListener("click", act);
  return button;
}

/** A word as the name of a folder; empty where nothing is left. Letters of all scripts stay. */
export function cleaned(word) {
  return word.normalize("NFC").replace(/[\p{C}/\\:*?"<>|]/gu, " ").replace(/\s+/g, " ").replace(/^[\s._]+|[\s.]+$/g, "").slice(0, 60);
}

/** Where the `size` samples of most energy begin; of several windows the middle one, as `wordspot align` does. */
export function loudestStart(samples, size) {
  if (samples.length <= size) return 0;
  const mean = samples.reduce((sum, value) => sum + value, 0) / samples.length;
  const sums = new Float64Array(samples.length + 1);
  for (let n = 0; n < samples.length; n++) sums[n + 1] = sums[n] + (samples[n] - mean) ** 2;
  const energy = Float64Array.from({ length: samples.length - size + 1 }, (_, at) => sums[at + size] - sums[at]);
  const least = energy.reduce((most, value) => Math.max(most, value), 0) - 1e-9 * sums[samples.length];
  const best = [...energy.keys()].filter((at) => energy[at] >= least);
  return best[Math.floor(best.length / 2)];
}
