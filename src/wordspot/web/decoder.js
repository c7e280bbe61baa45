/* From scores to detections: the rules of docs/porting.md, as in decoder.py. tests/vectors/decoder.json holds for both.

   Rows of posteriors go in, each with the time in milliseconds at which the sound that it judges ends; detections
   {label, time_ms, score, emitted_ms} come out, the same however the rows are cut into calls. */

const NO_WORDS = ["_silence_", "_unknown_"];
const UNIT = 2 ** 30; // posteriors are counted in this unit: their sums are exact
const TOLERANCE = 1e-3; // a softmax in float32 may end a little beyond 1
const MARGIN = 0.02; // a plateau that creeps up by less has had its peak
const RISE = 2; // a word that fired and did not fall to its threshold fires again when its score grew so much

export const DEFAULTS = Object.freeze({
  kind: "peak", average_ms: 150, threshold: 0.6, thresholds: {}, suppression_ms: 500, minimum_count: 3,
  refractory_ms: 750, confirm_ms: 100, stride_ms: 0,
});

/** What cannot be decoded: a configuration, labels, scores or times. */
export class DecoderError extends Error {}

/** The decoder that `config` (a card's `decoder`) asks for. Throws DecoderError. */
export function makeDecoder(config, labels) {
  const whole = checked({ ...DEFAULTS, ...config }, labels);
  return whole.kind === "peak" ? new PeakDecoder(whole, labels) : new RecognizeCommands(whole, labels);
}

/** Whether a label is a word, and neither silence nor an unknown word. */
export const isWord = (label) => !NO_WORDS.includes(label);

/** The threshold of a label: its own, or the one for all. */
export function thresholdOf(config, label) {
  return Object.hasOwn(config.thresholds, label) ? config.thresholds[label] : config.threshold;
}

class Decoder {
  constructor(config, labels) {
    this.config = config;
    this.labels = labels;
    this.setThresholds(config);
    this.reset();
  }

  /** Other thresholds from the next row on; nothing is forgotten. */
  setThresholds(config) {
    this.thresholds = this.labels.map((label) => thresholdOf(config, label));
  }

  reset() {
    this.queue = []; // [time, row] of the last average_ms
    this.sum = new Float64Array(this.labels.length);
    this.mean = new Float64Array(this.labels.length);
    this.lastMs = -Infinity;
    this.firstMs = NaN;
    this.stride = -1;
  }

  /** rows: Float32Array or Array [n · labels]; times: [n], never falling. → detections. Throws DecoderError. */
  feed(rows, times) {
    const size = this.labels.length;
    if (rows.length !== times.length * size) {
      throw new DecoderError(`expected ${size} scores for each of ${times.length} rows, got ${rows.length} in all`);
    }
    checkTimes(times, this.lastMs);
    const units = Float64Array.from(rows, inUnits); // all are looked at before any is taken
    const found = [];
    for (let at = 0; at < times.length; at++) {
      this.lastMs = times[at];
      if (!this.counts(times[at])) continue;
      this.average(units.subarray(at * size, (at + 1) * size), times[at]);
      this.step(this.mean, times[at], found);
    }
    return found;
  }

  /** The stream has ended: what was still waiting. */
  flush() {
    return [];
  }

  counts(time) {
    if (!(this.config.stride_ms > 0)) return true;
    if (Number.isNaN(this.firstMs)) this.firstMs = time;
    const stride = Math.floor((time - this.firstMs) / this.config.stride_ms + 1e-6);
    const isNew = stride > this.stride;
    this.stride = stride;
    return isNew;
  }

  average(row, time) {
    this.queue.push([time, row]);
    for (let i = 0; i < row.length; i++) this.sum[i] += row[i];
    while (this.queue[0][0] < time - this.config.average_ms) {
      const old = this.queue.shift()[1];
      for (let i = 0; i < old.length; i++) this.sum[i] -= old[i];
    }
    for (let i = 0; i < row.length; i++) this.mean[i] = this.sum[i] / (this.queue.length * UNIT);
  }
}

/** Kinds `classic` and `micro`: TensorFlow's RecognizeCommands and its variant for microcontrollers. */
class RecognizeCommands extends Decoder {
  reset() {
    super.reset();
    this.previous = NO_WORDS[0];
    this.previousMs = -Infinity;
  }

  step(scores, time, found) {
    const { average_ms, minimum_count, suppression_ms, kind } = this.config;
    if (this.queue.length < minimum_count || time - this.queue[0][0] < average_ms / 4) return;
    let top = 0;
    for (let i = 1; i < scores.length; i++) if (scores[i] > scores[top]) top = i;
    if (!(scores[top] > this.thresholds[top])) return;
    const label = this.labels[top];
    const changed = label !== this.previous;
    const late = this.previous === NO_WORDS[0] || time - this.previousMs > suppression_ms;
    if (!(kind === "micro" ? changed || late : changed && late)) return;
    this.previous = label;
    this.previousMs = time;
    if (label !== NO_WORDS[0]) found.push({ label, time_ms: time, score: scores[top], emitted_ms: time });
  }
}

/** Kind `peak`: one detection for each spoken word, at the peak of its score. */
class PeakDecoder extends Decoder {
  reset() {
    super.reset();
    this.freeMs = this.labels.map(() => -Infinity);
    this.lowest = new Map(); // word: its lowest score since it fired or lost
    this.rivals = new Set();
    this.peak = null;
    this.sinceMs = 0;
    this.plateau = 0;
  }

  flush() {
    return this.peak ? [this.give(this.lastMs)] : [];
  }

  step(scores, time, found) {
    const confirm = this.config.confirm_ms;
    if (this.peak && time - this.sinceMs > confirm) found.push(this.give(time)); // the rows have a gap
    for (let word = 0; word < scores.length; word++) {
      if (isWord(this.labels[word])) this.consider(word, scores[word], time);
    }
    if (this.peak && (time - this.sinceMs >= confirm || this.plateau > 1 - MARGIN)) found.push(this.give(time));
  }

  consider(word, score, time) {
    const above = score > this.thresholds[word];
    if (this.lowest.has(word)) {
      const lowest = Math.min(this.lowest.get(word), score);
      this.lowest.set(word, lowest);
      if (above && score < RISE * lowest) return;
      this.lowest.delete(word);
    }
    if (!above || time <= this.freeMs[word]) return;
    this.rivals.add(word);
    if (this.peak && score <= this.peak.score) return;
    if (!this.peak || score > this.plateau + MARGIN) {
      this.sinceMs = time;
      this.plateau = score;
    }
    this.peak = { score, word, time };
  }

  give(now) {
    const { score, word, time } = this.peak;
    const rest = this.config.refractory_ms;
    this.freeMs = this.freeMs.map((free) => Math.max(free, time + rest / 2));
    this.freeMs[word] = time + rest;
    for (const rival of this.rivals) this.lowest.set(rival, Infinity);
    this.rivals.clear();
    this.peak = null;
    return { label: this.labels[word], time_ms: time, score, emitted_ms: now };
  }
}

function inUnits(score) {
  const scaled = score * UNIT;
  let units = Math.round(scaled);
  if (units - scaled === 0.5 && units % 2 !== 0) units -= 1; // halves to even, as numpy rounds
  if (units >= 0 && units <= UNIT) return units;
  if (units >= -TOLERANCE * UNIT && units <= (1 + TOLERANCE) * UNIT) return Math.min(Math.max(units, 0), UNIT);
  throw new DecoderError(`expected finite scores from 0 to 1 (posteriors, not logits), got ${score}`);
}

function checkTimes(times, lastMs) {
  let before = lastMs;
  for (const time of times) {
    if (!Number.isFinite(time)) throw new DecoderError(`expected finite times, got ${time}`);
    if (time < before) throw new DecoderError(`expected times that never fall, got ${time} ms after ${before} ms`);
    before = time;
  }
}

function checked(config, labels) {
  if (!labels.length || new Set(labels).size < labels.length) throw new DecoderError("expected labels, each once");
  if (!["peak", "classic", "micro"].includes(config.kind)) {
    throw new DecoderError(`expected the decoder peak, classic or micro, got ${config.kind}`);
  }
  for (const name of ["average_ms", "suppression_ms", "refractory_ms", "confirm_ms", "stride_ms"]) {
    checkRange(name, config[name], 1e6);
  }
  checkRange("threshold", config.threshold, 1);
  if (!Number.isInteger(config.minimum_count) || config.minimum_count < 1 || config.minimum_count > 1e6) {
    throw new DecoderError(`expected minimum_count from 1 to 1000000, got ${config.minimum_count}`);
  }
  for (const [label, threshold] of Object.entries(config.thresholds)) {
    if (!labels.includes(label)) throw new DecoderError(`a threshold is given for ${label}, which the model does not know`);
    checkRange(`the threshold of ${label}`, threshold, 1);
  }
  return config;
}

function checkRange(name, value, highest) {
  if (!(typeof value === "number" && value >= 0 && value <= highest)) {
    throw new DecoderError(`expected ${name} from 0 to ${highest}, got ${value}`);
  }
}
