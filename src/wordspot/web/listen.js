/* The first view: a model's words light up when they are heard, from the microphone or from a file. */

import { isWord, thresholdOf } from "./decoder.js";
import { hueOf, levelOf, Scope } from "./draw.js";
import { LevelWatch, makeGain } from "./gain.js";
import { Log } from "./log.js";
import { makeWakeLock, openMicrophone, whyNoMicrophone } from "./microphone.js";
import { Resampler } from "./resample.js";
import { readSound } from "./wav.js";
import { Words } from "./words.js";

const byId = (id) => document.getElementById(id);
const QUIET = "The sound is very quiet. Raise the level of the microphone, or choose a gain below.";
const PIECE_SECONDS = 10; // of a file that are resampled at once
const MAX_FILE_BYTES = 500e6;
const MUTED_SECONDS = 3; // of samples that are exactly zero, before the page asks whether the microphone is muted

/** For a model of whole recordings: its windows as they are, each a quarter of a window after the one before. */
const windowed = (card) => ({ ...card.decoder, average_ms: 0, stride_ms: (250 * card.clip_samples) / card.sample_rate });

export class Listen {
  /** recogniser: a begun Recogniser; notice(sentence): shows a problem, or hides it where it is empty. */
  constructor(recogniser, notice) {
    this.recogniser = recogniser;
    this.notice = notice;
    this.scope = new Scope(byId("spectrogram"), byId("scores"));
    this.words = new Words(byId("words"), byId("announce"));
    this.log = new Log((seconds) => this.seek(seconds));
    this.lock = makeWakeLock();
    this.state = "loading"; // loading, ready, starting, listening, file, broken
    this.seconds = 0; // of sound that was judged, and the milliseconds that took
    this.ms = 0;
    this.microphone = null;
    byId("start").addEventListener("click", () => (this.state === "listening" ? this.stop() : this.listen()));
    byId("file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.run(target.files[0]);
      target.value = "";
    });
    byId("threshold").addEventListener("input", ({ target }) => this.setThreshold(Number(target.value)));
    byId("threshold-reset").addEventListener("click", () => this.setThreshold(null));
    byId("gain").addEventListener("change", () => this.setGain());
    this.takeDrops();
  }

  /** Take a model: an entry of models.json. Throws Error with a sentence. */
  async open(entry) {
    await this.stop();
    this.set("loading", "Loading the model …");
    try {
      this.opened = await this.recogniser.open(entry);
    } catch (error) {
      this.card = null;
      this.set("broken", "This model cannot be used.");
      throw error;
    }
    this.card = entry.card;
    this.isOfRecordings = entry.task === "recordings"; // it judges: there is no word to detect
    byId("threshold-field").hidden = this.isOfRecordings;
    this.words.show(entry.card.labels);
    this.log.clear();
    byId("player").hidden = true;
    this.setThreshold(null);
    this.resetScope();
    byId("scope-empty").hidden = false;
    this.set("ready", whyNoMicrophone() ? "Ready for sound files." : "Ready. Press Start and say a word.");
  }

  resetScope(totalMs = 0) {
    const labels = this.card.labels.map((label, index) => ({ label, index, hue: hueOf(index) }));
    this.scope.start(this.card.sample_rate, labels.filter(({ label }) => isWord(label)), totalMs);
    this.scope.threshold = this.decoder.threshold;
    if (Object.keys(this.decoder.thresholds).length) this.scope.threshold = NaN;
    byId("scope-empty").hidden = true;
  }

  /** One threshold for every word, or null: those of the model. */
  setThreshold(value) {
    const own = this.card.decoder;
    this.decoder = value === null ? own : { ...own, threshold: value, thresholds: {} };
    const levels = this.card.labels.filter(isWord).map((label) => thresholdOf(this.decoder, label));
    const same = Math.min(...levels) === Math.max(...levels);
    if (value === null) byId("threshold").value = levels.reduce((sum, level) => sum + level, 0) / levels.length;
    byId("threshold-value").textContent = same ? levels[0].toFixed(2) : "each its own";
    byId("threshold").setAttribute("aria-valuetext", same ? levels[0].toFixed(2) : "each word has its own");
    byId("threshold-reset").hidden = value === null;
    this.words.setThresholds(this.decoder);
    this.scope.threshold = same ? levels[0] : NaN;
    this.scope.draw();
    this.recogniser.setThresholds(this.decoder);
    this.microphone?.setThresholds(this.decoder);
  }

  /** Raise what comes from now on as the page's choice says. */
  setGain() {
    this.gain = makeGain(byId("gain").value, this.card.sample_rate); // of files; the microphone's is in the audio thread
    this.microphone?.setGain(byId("gain").value);
    this.level = new LevelWatch(this.card.sample_rate, () => this.notice(QUIET));
  }

  async listen() {
    if (this.state !== "ready" && this.state !== "file") return;
    this.recogniser.stream = null;
    this.set("starting", "Waiting for the microphone …");
    this.notice("");
    const rate = this.card.sample_rate;
    const attempt = (this.attempt = {}); // the user may want something else before the browser grants the microphone
    const isWanted = () => this.attempt === attempt && this.state === "starting";
    this.nZeros = 0;
    try {
      this.begin();
      const model = this.recogniser.forAudioThread(this.card, this.asked);
      if (!model) this.startInWorker();
      const microphone = await openMicrophone({ rate, gain: byId("gain").value, model }, {
        samples: (samples) => this.hear(samples),
        rows: (data) => this.takeRows(data),
        lost: (reason) => this.stop(reason),
      });
      if (!isWanted()) return void (await microphone.stop());
      this.microphone = microphone;
    } catch (error) {
      if (!isWanted()) return;
      this.recogniser.stream = null;
      this.set("ready", "Not listening.");
      this.notice(error.message);
      return;
    }
    byId("player").hidden = true;
    this.lock.hold(true);
    this.set("listening", "Listening …");
  }

  begin(totalMs = 0) {
    this.seconds = this.ms = this.nRows = 0;
    this.setGain();
    this.logs = new Float64Array(this.card.labels.length); // sums of the logarithms of the scores
    this.log.clear();
    this.words.rest();
    this.resetScope(totalMs);
  }

  /** The decoder for a stream that begins now. */
  get asked() {
    return this.isOfRecordings ? windowed(this.card) : this.decoder;
  }

  startInWorker() {
    this.recogniser.start(this.asked, {
      rows: (data) => this.takeRows(data),
      ended: (data) => {
        this.takeDetections(data.detections);
        this.finish?.(data);
      },
      failed: (reason) => this.stop(`The model stopped: ${reason}`),
    });
  }

  hear(samples) {
    this.watchForMute(samples);
    this.level.feed(samples);
    byId("meter").style.setProperty("--level", `${100 * levelOf(samples)}%`);
    this.scope.addSound(samples);
    this.recogniser.feed(samples);
  }

  watchForMute(samples) {
    const before = this.nZeros;
    this.nZeros = samples.some((value) => value !== 0) ? 0 : before + samples.length;
    const limit = MUTED_SECONDS * this.card.sample_rate;
    if (before < limit && this.nZeros >= limit) this.notice("The microphone gives only silence. Is it muted?");
    else if (before >= limit && this.nZeros === 0) this.notice("");
  }

  async stop(reason = "") {
    const { microphone } = this;
    this.microphone = null;
    const last = microphone ? await microphone.stop() : [];
    if (this.state === "listening") {
      this.finish = null;
      this.recogniser.end();
      this.takeDetections(last);
    }
    this.lock.hold(false);
    byId("meter").style.setProperty("--level", "0%");
    this.words.rest();
    if (["listening", "file", "starting"].includes(this.state)) this.set("ready", "Stopped.");
    if (reason) this.notice(reason);
  }

  /** Run a sound file through the model. */
  async run(file) {
    if (!this.card) return;
    await this.stop();
    this.notice("");
    this.set("file", `Reading ${file.name} …`);
    try {
      if (file.size > MAX_FILE_BYTES) throw new Error("It is larger than 500 MB. Cut it into parts.");
      const { samples, rate } = await readSound(await file.arrayBuffer(), this.card.sample_rate);
      const resampler = new Resampler(rate, this.card.sample_rate);
      const parts = [];
      for (let start = 0; start < samples.length; start += PIECE_SECONDS * rate) {
        parts.push(resampler.feed(samples.subarray(start, start + PIECE_SECONDS * rate)));
        await new Promise((resolve) => setTimeout(resolve)); // so that the page answers while a long file is made ready
        if (this.state !== "file") return;
      }
      parts.push(resampler.flush());
      const least = this.card.clip_samples - parts.reduce((sum, part) => sum + part.length, 0);
      if (least > 0) parts.push(new Float32Array(least)); // a shorter clip is followed by zeros, as in training
      this.play(file, parts);
    } catch (error) {
      this.set("ready", "Ready.");
      this.notice(`${file.name}: ${error.message}`);
    }
  }

  play(file, parts) {
    const seconds = parts.reduce((sum, part) => sum + part.length, 0) / this.card.sample_rate;
    this.begin(seconds * 1000);
    this.startInWorker();
    this.total = seconds;
    this.set("file", `Hearing ${file.name} …`);
    this.finish = ({ ms }) => {
      const result = this.isOfRecordings ? this.judgement() : this.log.count();
      this.set("ready", `${file.name}: ${seconds.toFixed(1)} s heard in ${(ms / 1000).toFixed(1)} s, ${result}.`);
      this.words.rest();
    };
    const player = byId("player");
    URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(file);
    player.hidden = false;
    for (const part of parts) {
      if (!part.length) continue;
      const samples = this.gain.feed(part);
      this.scope.addSound(samples);
      this.recogniser.feed(samples.slice());
    }
    this.recogniser.end();
  }

  /** What a model of whole recordings says of the file: the geometric mean of its windows' scores. */
  judgement() {
    const most = Math.max(...this.logs);
    const powers = [...this.logs].map((sum) => Math.exp((sum - most) / this.nRows));
    const best = this.logs.indexOf(most);
    return `on average ${this.card.labels[best]}, ${(powers[best] / powers.reduce((sum, power) => sum + power)).toFixed(2)}`;
  }

  seek(seconds) {
    const player = byId("player");
    if (player.hidden) return;
    player.currentTime = Math.max(seconds - 1.2, 0);
    player.play();
  }

  takeRows({ means, times, detections, seconds, ms }) {
    this.seconds = seconds;
    this.ms = ms;
    const nLabels = this.card.labels.length;
    if (times.length) {
      this.scope.addScores(means, times, nLabels);
      this.words.setScores(means.subarray(means.length - nLabels));
    }
    if (this.isOfRecordings) means.forEach((score, at) => (this.logs[at % nLabels] += Math.log(Math.max(score, 1e-7))));
    this.nRows += times.length;
    this.takeDetections(detections);
    if (this.state === "file") byId("status").textContent = `Heard ${Math.round((100 * seconds) / this.total)} % of the file …`;
  }

  takeDetections(detections) {
    if (this.isOfRecordings) return;
    for (const detection of detections) {
      const index = this.card.labels.indexOf(detection.label);
      this.words.light(index, detection.score, this.state !== "file");
      this.log.add(detection, hueOf(index), this.state === "file");
      this.scope.addMark(detection.time_ms, detection.label, hueOf(index));
    }
  }

  set(state, sentence) {
    this.state = state;
    const usable = ["ready", "file", "listening"].includes(state);
    const start = byId("start");
    start.disabled = !(usable || state === "starting") || Boolean(whyNoMicrophone()); // disabled, it would lose the focus
    start.classList.toggle("on", state === "listening");
    byId("start-text").textContent = state === "listening" ? "Stop" : "Start listening";
    byId("file").disabled = byId("threshold").disabled = byId("gain").disabled = !usable;
    byId("status").textContent = sentence;
  }

  takeDrops() {
    const show = (yes) => document.body.classList.toggle("dropping", yes);
    const holdsFile = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      show(true);
    });
    addEventListener("dragleave", (event) => event.relatedTarget ?? show(false));
    addEventListener("drop", (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      show(false);
      location.hash = "#listen";
      if (event.dataTransfer.files.length) this.run(event.dataTransfer.files[0]);
    });
  }
}
