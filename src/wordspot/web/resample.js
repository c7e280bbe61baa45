/* Another sample rate, block by block: band-limited interpolation (Smith, "Digital Audio Resampling", 1984).

   Output sample n is the input at time n / toRate: the sum of the input's samples around it, weighted by a sinc under
   a Kaiser window, cut off a little below half of the lower rate. The filter is symmetric, so time is kept, and the
   output lags behind the input by half the filter's length. For rates p/q the weights repeat after q outputs, so a
   table of at most `MOST_PHASES` filters holds them; rates with more (a prime one) take the nearest phase. */

const ZERO_CROSSINGS = 48; // of the sinc, on each side
const BETA = 8; // of the Kaiser window: the stop band lies 80 dB down
const PASS = 0.9; // of half the lower rate: what lies below passes
const MOST_PHASES = 1024;

export class Resampler {
  /** Rates in Hz. */
  constructor(fromRate, toRate) {
    const divisor = greatestDivisor(fromRate, toRate);
    this.up = toRate / divisor;
    this.down = fromRate / divisor;
    this.nPhases = Math.min(this.up, MOST_PHASES);
    const cutoff = Math.min(1, toRate / fromRate) * ((1 + PASS) / 2); // of half the input's rate
    this.half = Math.ceil(ZERO_CROSSINGS / cutoff); // samples of input on each side
    this.filters = Array.from({ length: this.nPhases + 1 }, (_, phase) => makeFilter(phase / this.nPhases, this.half, cutoff));
    this.reset();
  }

  reset() {
    this.kept = new Float32Array(this.half); // zeros before the beginning
    this.first = -this.half; // the input sample that kept[0] is
    this.nOut = 0;
  }

  /** Float32Array of the stream's next samples → Float32Array of the output samples that are sure now. */
  feed(samples) {
    if (this.up === this.down) return samples;
    const audio = new Float32Array(this.kept.length + samples.length);
    audio.set(this.kept);
    audio.set(samples, this.kept.length);
    const last = this.first + audio.length - 1; // the newest input sample
    const out = [];
    for (;;) {
      const whole = Math.floor((this.nOut * this.down) / this.up);
      if (whole + this.half > last) break;
      out.push(this.one(audio, whole));
      this.nOut++;
    }
    const next = Math.floor((this.nOut * this.down) / this.up) - this.half + 1;
    const drop = Math.min(Math.max(next - this.first, 0), audio.length);
    this.kept = audio.slice(drop);
    this.first += drop;
    return Float32Array.from(out);
  }

  /** The end of a stream: what the filter still held. */
  flush() {
    if (this.up === this.down) return new Float32Array(0);
    const end = this.first + this.kept.length; // as many samples as the stream had
    const rest = this.feed(new Float32Array(this.half));
    const total = Math.ceil((end * this.up) / this.down);
    const made = this.nOut - rest.length;
    this.reset();
    return rest.subarray(0, Math.max(total - made, 0));
  }

  one(audio, whole) {
    const rest = ((this.nOut * this.down) % this.up) / this.up;
    const filter = this.filters[Math.round(rest * this.nPhases)];
    const start = whole - this.half + 1 - this.first;
    let sum = 0;
    for (let i = 0; i < filter.length; i++) sum += filter[i] * audio[start + i];
    return sum;
  }
}

/** Weights of the input samples whole - half + 1 to whole + half, for an output at whole + fraction. They sum to 1. */
function makeFilter(fraction, half, cutoff) {
  const weights = new Float64Array(2 * half);
  let sum = 0;
  for (let i = 0; i < weights.length; i++) {
    const time = i - half + 1 - fraction;
    const x = time / half;
    const window = Math.abs(x) >= 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA);
    const angle = Math.PI * cutoff * time;
    weights[i] = window * (angle === 0 ? 1 : Math.sin(angle) / angle);
    sum += weights[i];
  }
  return weights.map((weight) => weight / sum);
}

/** The modified Bessel function of order 0. */
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; k < 40; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestDivisor(a, b) {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
