/* Raise the level of sound: by a fixed gain, or by an automatic one. The same as audio/gain.py, to the sample. */

const FRAME_MS = 20;
const TARGET_DB = -10; // peaks of speech, dBFS
const NOISE_DB = -45; // what the background may be raised to, peaks, dBFS
const MOST_AUTO_DB = 30;
const RISE_DB = 10; // in a second
const KEPT_SECONDS = 30;
const FAINTEST = 1e-6;
const SOFT = 1e-2; // a peak of -40 dBFS
const WATCH_SECONDS = 60;

const inDb = (peak) => 20 * Math.log10(Math.max(peak, FAINTEST));
const peakOf = (samples) => samples.reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);

/** setting: dB, or "auto"; sampleRate: Hz → {feed(Float32Array) → Float32Array}. What exceeds [-1, 1] is clipped. */
export function makeGain(setting, sampleRate) {
  if (setting === "auto") return new AutoGain(sampleRate);
  const gainDb = Number(setting);
  return { feed: (samples) => (gainDb ? raised(samples, gainDb) : samples) };
}

function raised(samples, gainDb) {
  const factor = Math.fround(10 ** (gainDb / 20));
  return samples.map((value) => Math.min(Math.max(value * factor, -1), 1));
}

function median(numbers) {
  const ordered = [...numbers].sort((one, other) => one - other);
  const middle = ordered.length >> 1;
  return ordered.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
}

/** Rises by 10 dB in a second, falls at once; the loudest sound of the last 30 s decides. */
class AutoGain {
  constructor(sampleRate) {
    this.frame = Math.max(Math.round((sampleRate * FRAME_MS) / 1000), 1);
    this.framesOfSecond = Math.round(1000 / FRAME_MS);
    this.gainDb = this.wantedDb = this.count = this.peak = this.frames = this.high = 0;
    this.low = Infinity;
    this.seconds = []; // the loudest and the softest frame of each
  }

  feed(samples) {
    const result = new Float32Array(samples.length);
    for (let start = 0; start < samples.length; ) {
      const part = samples.subarray(start, start + this.frame - this.count);
      result.set(raised(part, this.gainDb), start);
      this.peak = Math.max(this.peak, peakOf(part));
      this.count += part.length;
      start += part.length;
      if (this.count === this.frame) this.endFrame();
    }
    return result;
  }

  endFrame() {
    const { peak } = this;
    this.high = Math.max(this.high, peak);
    this.low = Math.min(this.low, peak);
    this.count = this.peak = 0;
    this.frames += 1;
    if (this.frames % this.framesOfSecond === 0) {
      this.seconds = [...this.seconds, [this.high, this.low]].slice(-KEPT_SECONDS);
      this.high = 0;
      this.low = Infinity;
      const level = Math.max(...this.seconds.map(([high]) => high));
      const floor = median(this.seconds.map(([, low]) => low));
      this.wantedDb = Math.min(TARGET_DB - inDb(level), NOISE_DB - inDb(floor), MOST_AUTO_DB);
    }
    const step = RISE_DB / this.framesOfSecond;
    const change = Math.min(Math.max(this.wantedDb - this.gainDb, -step), step);
    this.gainDb = Math.max(Math.min(this.gainDb + change, TARGET_DB - inDb(peak)), 0);
  }
}

/** Notices, once, that raised sound has been quiet for a minute. */
export class LevelWatch {
  /** onQuiet(): called then. */
  constructor(sampleRate, onQuiet) {
    this.left = WATCH_SECONDS * sampleRate;
    this.onQuiet = onQuiet;
  }

  feed(samples) {
    if (this.left <= 0) return;
    if (peakOf(samples) >= SOFT) {
      this.left = 0;
      return;
    }
    this.left -= samples.length;
    if (this.left <= 0) this.onQuiet();
  }
}
