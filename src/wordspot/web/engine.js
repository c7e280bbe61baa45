/* An exported file in onnxruntime-web: sound at the model's rate in, rows of posteriors out. Used in worker.js. */

import { ort } from "./ort.js";
import { difference, selfTestSignal } from "./selftest.js";

const MOST_STEPS = 256; // of one call: for so many wordspot looks at a file
const MOST_CLIPS = 32;
const CLIP_STRIDE_MS = 30; // from one window to the next, where the decoder does not say

/** A model that cannot be used, in a sentence. */
export class ModelError extends Error {}

/** A loaded file. `run(feeds)` → outputs by name. */
export class Model {
  constructor(session, card) {
    this.session = session;
    this.card = card;
  }

  /** content: Uint8Array of the .onnx; card: its card. Runs the self-test. Throws ModelError. */
  static async open(content, card) {
    let session;
    try {
      session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
    } catch (error) {
      throw new ModelError(`onnxruntime cannot load it (${oneLine(error)})`);
    }
    const model = new Model(session, card);
    model.selfTest = await selfTest(model);
    if (!model.selfTest.passed) {
      throw new ModelError(
        `it fails its self-test: the logarithms of its scores differ by ${model.selfTest.difference.toPrecision(2)} ` +
          `from those it was exported with, ${card.self_test.tolerance} is allowed`);
    }
    return model;
  }

  async run(feeds) {
    try {
      return await this.session.run(feeds);
    } catch (error) {
      throw new ModelError(`onnxruntime cannot run it (${oneLine(error)})`);
    }
  }

  async close() {
    await this.session.release();
  }
}

/** What runs `model` over a stream, one object for each stream: `await feed(samples)` → {scores, ends}. */
export function makeRunner(model, strideMs) {
  if (model.card.kind === "stream") return new StreamRunner(model);
  return new WindowRunner(model, Math.round((model.card.sample_rate * (strideMs || CLIP_STRIDE_MS)) / 1000));
}

/** A streaming network: its states go from call to call. Rows before the first whole clip are left out. */
class StreamRunner {
  constructor(model) {
    this.model = model;
    this.waiting = new Float32Array(0);
    this.nSteps = 0;
    this.states = {};
    for (const { name, shape } of model.card.states) {
      this.states[name] = new ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
    }
  }

  /** samples: Float32Array → scores: Float32Array [n · labels], ends: [n] samples of the stream at each row's end. */
  async feed(samples) {
    const { step_samples: step, clip_samples: clip, labels } = this.model.card;
    const audio = joined(this.waiting, samples);
    const nSteps = Math.floor(audio.length / step);
    this.waiting = audio.slice(nSteps * step);
    const parts = [];
    for (let start = 0; start < nSteps; start += MOST_STEPS) {
      const n = Math.min(MOST_STEPS, nSteps - start);
      parts.push(await this.call(audio.slice(start * step, (start + n) * step)));
    }
    const first = this.nSteps;
    this.nSteps += nSteps;
    const early = Math.min(Math.max(clip / step - 1 - first, 0), nSteps);
    const ends = [];
    for (let row = early; row < nSteps; row++) ends.push((first + row + 1) * step);
    return { scores: joined(...parts).subarray(early * labels.length), ends };
  }

  async call(audio) {
    const out = await this.model.run({ audio: new ort.Tensor("float32", audio, [1, audio.length]), ...this.states });
    for (const name of Object.keys(this.states)) this.states[name] = out[`new_${name}`];
    return out.scores.data;
  }
}

/** A network that takes whole clips: a window of a clip's length, moved on by `stride` samples. */
class WindowRunner {
  constructor(model, stride) {
    this.model = model;
    this.stride = stride;
    this.kept = new Float32Array(0);
    this.start = 0;
  }

  async feed(samples) {
    const size = this.model.card.clip_samples;
    const audio = joined(this.kept, samples);
    const nWindows = Math.max(Math.floor((audio.length - size) / this.stride) + 1, 0);
    const windows = Array.from({ length: nWindows }, (_, at) => audio.subarray(at * this.stride, at * this.stride + size));
    const scores = await judgeClips(this.model, windows);
    const ends = windows.map((_, at) => this.start + size + at * this.stride);
    this.kept = audio.slice(nWindows * this.stride);
    this.start += nWindows * this.stride;
    return { scores, ends };
  }
}

/** The scores of clips, each for itself: Float32Array [n · labels]. */
async function judgeClips(model, clips) {
  const most = Math.max(Math.min(MOST_CLIPS, Math.floor(2 ** 21 / model.card.clip_samples)), 1);
  const parts = [];
  for (let start = 0; start < clips.length; start += most) {
    const some = clips.slice(start, start + most);
    const audio = new ort.Tensor("float32", joined(...some), [some.length, model.card.clip_samples]);
    parts.push((await model.run({ audio })).scores.data);
  }
  return joined(...parts);
}

async function selfTest(model) {
  const { card } = model;
  const { ends, log_posteriors, tolerance } = card.self_test;
  const signal = selfTestSignal(card.self_test);
  const nLabels = card.labels.length;
  let scores, places;
  if (card.kind === "stream") {
    const runner = new StreamRunner(model);
    ({ scores } = await runner.feed(signal));
    places = ends.map((end) => (end - card.clip_samples) / card.step_samples);
  } else {
    scores = await judgeClips(model, ends.map((end) => signal.subarray(end - card.clip_samples, end)));
    places = ends.map((_, at) => at);
  }
  const rows = places.map((row) => scores.subarray(row * nLabels, (row + 1) * nLabels));
  const apart = difference(rows, log_posteriors);
  return { difference: apart, tolerance, passed: apart <= tolerance };
}

/** Float32Arrays one after another, as one. */
export function joined(...parts) {
  if (parts.length === 1) return parts[0];
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const oneLine = (error) => String(error?.message ?? error).replace(/\s+/g, " ").slice(0, 200);
