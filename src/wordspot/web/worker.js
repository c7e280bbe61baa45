/* The model's own thread: it checks models, and runs them over sound files; over the microphone only those that worklet.js cannot.
   Messages in: open, start, thresholds, samples, end; out: opened, failed, rows, ended.
   A stream has a number; what belongs to an older stream is dropped. */

import { makeDecoder } from "./decoder.js";
import { EngineModel } from "./model_engine.js";
import { decodeRows, joined, sentence } from "./stream.js";

const PIECE_SECONDS = 2; // of sound between two messages, so that a long file shows its progress and can be stopped

let model = null;
let stream = null;

const handlers = {
  async open({ files, card, ticket }) {
    stream = null;
    const started = performance.now();
    try {
      await model?.close();
      model = null;
      const opened = files.engine ? new EngineModel(files, card) : await openOnnx(files.onnx, card);
      const selfTest = await opened.selfTest();
      model = opened;
      postMessage({ type: "opened", ticket, selfTest, ms: performance.now() - started });
    } catch (error) {
      postMessage({ type: "failed", ticket, message: sentence(error), noRuntime: error instanceof NoRuntime });
    }
  },

  async start({ id, decoder }) {
    const made = makeDecoder(decoder, model.card.labels);
    stream = { id, decoder: made, runner: model.start(decoder.stride_ms), waiting: [], busy: false, seconds: 0, ms: 0 };
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

/** onnxruntime-web cannot be loaded. */
class NoRuntime extends Error {}

/** Load onnxruntime-web, and a model in it. */
async function openOnnx(content, card) {
  const loaded = await import("./model_onnx.js").catch((error) => {
    throw new NoRuntime(error.message);
  });
  return loaded.OnnxModel.open(content, card);
}

/** Run what waits: all of it in one go, so that a stream that fell behind catches up. */
async function work(current) {
  if (current.busy) return;
  current.busy = true;
  try {
    while (current.waiting.length && current === stream) {
      const audio = joined(current.waiting);
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
  const { card } = model;
  const started = performance.now();
  const rows = decodeRows(current.decoder, card, await current.runner.feed(audio));
  current.ms += performance.now() - started;
  current.seconds += audio.length / card.sample_rate;
  if (current !== stream) return;
  postMessage({ type: "rows", id: current.id, ...rows, ...timing(current) }, [rows.means.buffer]);
}

const timing = ({ seconds, ms }) => ({ seconds, ms });
