/* Pictures of sound: the level, a spectrogram with the running scores, a waveform. */

const WINDOW = 512; // samples of a spectrum
const N_ROWS = 72; // of the spectrogram, evenly spaced in mel
const LIVE_COLUMN_MS = 20;
const PIXELS_PER_COLUMN = 2;

/** The level of sound as a share of the meter's length: -60 dB is 0, full scale is 1. */
export function levelOf(samples) {
  let sum = 0;
  for (const value of samples) sum += value * value;
  const decibels = 10 * Math.log10(sum / Math.max(samples.length, 1) + 1e-12);
  return Math.min(Math.max((decibels + 60) / 60, 0), 1);
}

/** The hue of a word, far from its neighbours'. */
export const hueOf = (index) => Math.round((222 + index * 137.5) % 360);

/** Columns of time, each with a spectrum and the scores' maxima. `totalMs` of a file fits the width; a stream scrolls. */
export class Scope {
  constructor(spectrogram, chart) {
    this.spectrogram = spectrogram;
    this.chart = chart;
    this.pending = false;
    new ResizeObserver(() => this.draw()).observe(chart);
    this.start(16000, []);
  }

  start(rate, words, totalMs = 0) {
    this.rate = rate;
    this.words = words; // [{index: column of the scores, hue, label}]
    this.fixed = totalMs > 0 ? this.nColumns() : 0;
    this.columnMs = this.fixed ? Math.max(totalMs / this.fixed, 1) : LIVE_COLUMN_MS;
    this.spectra = new Map();
    this.maxima = new Map();
    this.marks = [];
    this.threshold = NaN;
    this.recent = new Float32Array(WINDOW);
    this.nSamples = 0;
    this.newest = -1;
    this.bands = melBands(rate);
    this.draw();
  }

  nColumns() {
    return Math.max(Math.round((this.chart.clientWidth || 400) / PIXELS_PER_COLUMN), 50);
  }

  /** The next samples of the stream. */
  addSound(samples) {
    const perColumn = (this.columnMs * this.rate) / 1000;
    let at = 0;
    while (at < samples.length) {
      const boundary = Math.ceil((this.newest + 2) * perColumn) - this.nSamples;
      const take = Math.min(boundary, samples.length - at);
      this.remember(samples.subarray(at, at + take));
      at += take;
      this.nSamples += take;
      if (take === boundary) this.spectra.set(++this.newest, this.bands(this.recent));
    }
    this.forget();
    this.draw();
  }

  /** means: Float32Array [n · nLabels]; times: [n] in ms. */
  addScores(means, times, nLabels) {
    for (let row = 0; row < times.length; row++) {
      const column = Math.floor(times[row] / this.columnMs);
      let most = this.maxima.get(column);
      if (!most) this.maxima.set(column, (most = new Float32Array(nLabels)));
      for (let i = 0; i < nLabels; i++) most[i] = Math.max(most[i], means[row * nLabels + i]);
    }
    this.draw();
  }

  addMark(time, label, hue) {
    this.marks.push({ time, label, hue });
    this.draw();
  }

  remember(samples) {
    const n = Math.min(samples.length, WINDOW);
    this.recent.copyWithin(0, n);
    this.recent.set(samples.subarray(samples.length - n), WINDOW - n);
  }

  forget() {
    if (this.fixed) return;
    const oldest = this.newest - 2 * this.nColumns() - 500;
    for (const kept of [this.spectra, this.maxima]) {
      for (const column of kept.keys()) {
        if (column >= oldest) break;
        kept.delete(column);
      }
    }
    this.marks = this.marks.filter((mark) => mark.time >= oldest * this.columnMs);
  }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      const n = this.fixed || this.nColumns();
      const first = this.fixed ? 0 : this.newest - n + 1;
      this.drawSpectra(n, first);
      this.drawScores(n, first);
    });
  }

  drawSpectra(n, first) {
    this.spectrogram.width = n;
    this.spectrogram.height = N_ROWS;
    const context = this.spectrogram.getContext("2d");
    const image = context.createImageData(n, N_ROWS);
    const pixels = new Uint32Array(image.data.buffer);
    for (let x = 0; x < n; x++) {
      const spectrum = this.spectra.get(first + x);
      if (!spectrum) continue;
      for (let y = 0; y < N_ROWS; y++) pixels[(N_ROWS - 1 - y) * n + x] = COLOURS[spectrum[y]];
    }
    context.putImageData(image, 0, 0);
  }

  drawScores(n, first) {
    const { clientWidth: width, clientHeight: height } = this.chart;
    const scale = window.devicePixelRatio || 1;
    this.chart.width = Math.round(width * scale);
    this.chart.height = Math.round(height * scale);
    const context = this.chart.getContext("2d");
    context.scale(scale, scale);
    const top = height * 0.6 + 10;
    const bottom = height - 6;
    const yOf = (score) => bottom - score * (bottom - top);
    const xOf = (column) => ((column - first + 0.5) / n) * width;
    context.strokeStyle = "#ffffff22";
    for (const score of [0, 0.5, 1]) line(context, 0, yOf(score), width, yOf(score));
    if (this.threshold >= 0) {
      context.setLineDash([4, 4]);
      context.strokeStyle = "#ffffffaa";
      line(context, 0, yOf(this.threshold), width, yOf(this.threshold));
      context.setLineDash([]);
    }
    for (const word of this.words) this.drawWord(context, word, n, first, xOf, yOf);
    for (const mark of this.marks) drawMark(context, mark, xOf(mark.time / this.columnMs - 0.5), top, bottom, width);
  }

  drawWord(context, word, n, first, xOf, yOf) {
    context.strokeStyle = `hsl(${word.hue} 80% 66%)`;
    context.lineWidth = 1.75;
    context.beginPath();
    let before = false;
    for (let column = first; column < first + n; column++) {
      const most = this.maxima.get(column);
      if (!most) continue; // rows come less often than columns
      const score = most[word.index];
      if (score < 0.02 && !before) continue;
      const next = [xOf(column), yOf(score)];
      if (before) context.lineTo(...next);
      else context.moveTo(...next);
      before = score >= 0.02;
    }
    context.stroke();
  }
}

function line(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

function drawMark(context, { label, hue }, x, top, bottom, width) {
  if (x < 2 || x > width + 5) return;
  context.strokeStyle = `hsl(${hue} 85% 70%)`;
  context.lineWidth = 1;
  line(context, x, 6, x, bottom);
  context.font = "600 13px system-ui, sans-serif";
  const wide = context.measureText(label).width + 12;
  const left = Math.min(Math.max(x - wide, 2), width - wide - 2);
  context.fillStyle = `hsl(${hue} 75% 34%)`;
  context.beginPath();
  context.roundRect(left, 6, wide, 20, 5);
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(label, left + 6, 20.5);
}

/** A waveform over the whole width: the extremes of each column. */
export function drawWaveform(canvas, samples) {
  const n = (canvas.width = 320);
  const height = (canvas.height = 90);
  const context = canvas.getContext("2d");
  let loudest = 0.05;
  for (const value of samples) loudest = Math.max(loudest, Math.abs(value));
  context.fillStyle = "#8b9dff";
  for (let x = 0; x < n; x++) {
    let low = 0;
    let high = 0;
    for (let i = Math.floor((x * samples.length) / n); i < ((x + 1) * samples.length) / n; i++) {
      low = Math.min(low, samples[i] ?? 0);
      high = Math.max(high, samples[i] ?? 0);
    }
    const middle = height / 2;
    const reach = (middle - 6) / loudest;
    context.fillRect(x, middle - high * reach, 1, Math.max((high - low) * reach, 1));
  }
}

/** A function from WINDOW samples to Uint8Array [N_ROWS]: the energy in mel bands, 0 to 255 for 70 dB. */
function melBands(rate) {
  const mel = (hertz) => 1127 * Math.log(1 + hertz / 700);
  const hertz = (value) => 700 * (Math.exp(value / 1127) - 1);
  const highest = mel(Math.min(rate / 2, 8000));
  const edges = Array.from({ length: N_ROWS + 1 }, (_, at) => (hertz(mel(60) + ((highest - mel(60)) * at) / N_ROWS) * WINDOW) / rate);
  const shape = Float64Array.from({ length: WINDOW }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / WINDOW));
  const re = new Float64Array(WINDOW);
  const im = new Float64Array(WINDOW);
  return (samples) => {
    for (let n = 0; n < WINDOW; n++) re[n] = samples[n] * shape[n];
    im.fill(0);
    transform(re, im);
    const rows = new Uint8Array(N_ROWS);
    for (let row = 0; row < N_ROWS; row++) {
      const from = Math.floor(edges[row]);
      const to = Math.max(Math.ceil(edges[row + 1]), from + 1);
      let sum = 0;
      for (let bin = from; bin < to; bin++) sum += re[bin] ** 2 + im[bin] ** 2;
      const decibels = 10 * Math.log10(sum / (to - from) + 1e-9);
      rows[row] = Math.min(Math.max(((decibels + 38) / 70) * 255, 0), 255);
    }
    return rows;
  };
}

/** The Fourier transform of 2**k numbers, in place (Cooley and Tukey). */
export function transform(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let size = 2; size <= n; size <<= 1) {
    for (let k = 0; k < size / 2; k++) {
      const angle = (-2 * Math.PI * k) / size;
      const cos = Math.cos(angle);
      const sin = Math.sin(angle);
      for (let i = k; i < n; i += size) {
        const j = i + size / 2;
        const x = re[j] * cos - im[j] * sin;
        const y = re[j] * sin + im[j] * cos;
        re[j] = re[i] - x;
        im[j] = im[i] - y;
        re[i] += x;
        im[i] += y;
      }
    }
  }
}

/** From the scope's ground over violet and orange to a pale yellow, as pixels of 32 bits (ABGR). */
const COLOURS = Uint32Array.from({ length: 256 }, (_, value) => {
  const stops = [[13, 16, 24], [49, 35, 102], [139, 46, 128], [225, 91, 87], [252, 178, 96], [255, 247, 214]];
  const place = (value / 255) * (stops.length - 1);
  const at = Math.min(Math.floor(place), stops.length - 2);
  const [r, g, b] = stops[at].map((low, i) => Math.round(low + (stops[at + 1][i] - low) * (place - at)));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
});
