/* The model's own thread. Messages in: open, start, thresholds, samples, end; out: opened, failed, rows, ended.
   A stream has a number; what belongs to an older stream is dropped. */

import { makeDecoder } from "./decoder.js";
import { joined, makeRunner, Model, ModelError } from "./engine.js";

const PIECE_SECONDS = 2; // of sound between two messages, so that a long file shows its progress and can be stopped

let model = null;
let stream = null;

const handlers = {
  async open({ content, card, ticket }) {
    stream = null;
    const started = performance.now();
    try {
      await model?.close();
      model = null;
      model = await Model.open(new Uint8Array(content), card);
      postMessage({ type: "opened", ticket, selfTest: model.selfTest, ms: performance.now() - started });
    } catch (error) {
      postMessage({ type: "failed", ticket, message: sentence(error) });
    }
  },

  async start({ id, decoder }) {
    const made = makeDecoder(decoder, model.card.labels);
    stream = { id, decoder: made, runner: makeRunner(model, decoder.stride_ms), waiting: [], busy: false, seconds: 0, ms: 0 };
  },

  async thresholds({ decoder }) {
    stream?.decoder.setThresholds(decoder);
  },

  async samples({ id, samples }) {
    if (stream?.id !== id) return;
    stream.waiting.push(samples);
    await work(stream);
  },

  async end({ id }) {
    if (stream?.id !== id) return;
    stream.ended = true;
    await work(stream);
  },
};

onmessage = async ({ data }) => {
  try {
    await handlers[data.type](data);
  } catch (error) {
    postMessage({ type: "failed", id: data.id, message: sentence(error) });
  }
};

/** Run what waits: all of it in one go, so that a stream that fell behind catches up. */
async function work(current) {
  if (current.busy) return;
  current.busy = true;
  try {
    while (current.waiting.length && current === stream) {
      const audio = joined(...current.waiting);
      current.waiting = [];
      const piece = PIECE_SECONDS * model.card.sample_rate;
      for (let start = 0; start < audio.length && current === stream; start += piece) {
        await runPiece(current, audio.subarray(start, start + piece));
        if (audio.length > piece) await new Promise((resolve) => setTimeout(resolve)); // let a message in
      }
    }
    if (current.ended && current === stream) {
      stream = null;
      postMessage({ type: "ended", id: current.id, detections: current.decoder.flush(), ...timing(current) });
    }
  } finally {
    current.busy = false;
  }
}

async function runPiece(current, audio) {
  const { labels, sample_rate } = model.card;
  const started = performance.now();
  const { scores, ends } = await current.runner.feed(audio);
  const means = new Float32Array(scores.length);
  const detections = [];
  const times = ends.map((end) => (end * 1000) / sample_rate);
  for (let row = 0; row < ends.length; row++) {
    const from = row * labels.length;
    detections.push(...current.decoder.feed(scores.subarray(from, from + labels.length), [times[row]]));
    means.set(current.decoder.mean, from);
  }
  current.ms += performance.now() - started;
  current.seconds += audio.length / sample_rate;
  if (current !== stream) return;
  postMessage({ type: "rows", id: current.id, means, times, detections, ...timing(current) }, [means.buffer]);
}

const timing = ({ seconds, ms }) => ({ seconds, ms });

const sentence = (error) => (error instanceof ModelError ? error.message : String(error?.message ?? error));
