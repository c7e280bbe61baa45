/* An exported file in onnxruntime-web, for networks that wordspot's engine does not know. Loaded by worker.js when one is chosen. */

import { ort } from "./ort.js";
import { difference, selfTestSignal } from "./selftest.js";
import { checkSelfTest, joined, ModelError, sentence } from "./stream.js";

const MOST_STEPS = 256; // of one call: for so many wordspot looks at a file
const MOST_CLIPS = 32;
const CLIP_STRIDE_MS = 30; // from one window to the next, where the decoder does not say

/** A loaded file. `run(feeds)` → outputs by name. */
export class OnnxModel {
  constructor(session, card) {
    this.session = session;
    this.card = card;
  }

  /** content: ArrayBuffer of the .onnx; card: its card. Throws ModelError. */
  static async open(content, card) {
    try {
      return new OnnxModel(await ort.InferenceSession.create(new Uint8Array(content), { executionProviders: ["wasm"] }), card);
    } catch (error) {
      throw new ModelError(`onnxruntime cannot load it (${sentence(error)})`);
    }
  }

  /** Run the self-test. → {difference, tolerance}. Throws ModelError if it fails. */
  async selfTest() {
    return checkSelfTest({ difference: await selfTestDifference(this), tolerance: this.card.self_test.tolerance });
  }

  /** A stream from 0 ms: `await feed(samples)` → {scores, ends}. strideMs: between the windows of a model of clips. */
  start(strideMs) {
    if (this.card.kind === "stream") return new StreamRunner(this);
    return new WindowRunner(this, Math.round((this.card.sample_rate * (strideMs || CLIP_STRIDE_MS)) / 1000));
  }

  async run(feeds) {
    try {
      return await this.session.run(feeds);
    } catch (error) {
      throw new ModelError(`onnxruntime cannot run it (${sentence(error)})`);
    }
  }

  async close() {
    await this.session.release();
  }
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
    const audio = joined([this.waiting, samples]);
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
    return { scores: joined(parts).subarray(early * labels.length), ends };
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
    const audio = joined([this.kept, samples]);
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
    const audio = new ort.Tensor("float32", joined(some), [some.length, model.card.clip_samples]);
    parts.push((await model.run({ audio })).scores.data);
  }
  return joined(parts);
}

async function selfTestDifference(model) {
  const { card } = model;
  const { ends, log_posteriors } = card.self_test;
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
  return difference(rows, log_posteriors);
}
