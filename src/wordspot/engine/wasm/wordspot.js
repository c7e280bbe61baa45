/* wordspot's engine in WebAssembly. This module exports the class `Wordspot`. In an AudioWorklet it also registers the node
 * "wordspot", which detects words in the audio thread and posts each detection. */

const SCALE = 32768; // the engine takes samples on the scale of 16-bit integers
const PAGE = 65536, DETECTION_BYTES = 24;

export class Wordspot {
  /** engine, model: contents of engine.wasm and model.bin, as ArrayBuffer. */
  constructor(engine, model) {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(engine));
    const calls = (this.calls = instance.exports);
    let end = calls.__heap_base.value;
    const give = (bytes) => {
      const start = Math.ceil(end / 64) * 64;
      end = start + bytes;
      const missing = Math.ceil((end - calls.memory.buffer.byteLength) / PAGE);
      if (missing > 0) calls.memory.grow(missing);
      return start;
    };
    const blob = give(model.byteLength);
    new Uint8Array(calls.memory.buffer).set(new Uint8Array(model), blob);
    const bytes = calls.ws_size(blob, model.byteLength);
    if (!bytes) throw new Error("the model is damaged, or of another version than the engine");
    this.stream = calls.ws_init(give(bytes), bytes, blob, model.byteLength);
    const facts = give(16);
    calls.ws_about(facts, this.stream);
    const [rate, hop, nLabels, earlyRows] = new Uint32Array(calls.memory.buffer, facts, 4);
    Object.assign(this, { rate, hop, nLabels, earlyRows });
    const audio = give(4 * hop), scores = give(4 * nLabels), found = give(2 * DETECTION_BYTES);
    this.at = { audio, scores, found };
    const buffer = calls.memory.buffer; // the memory no longer grows
    this.audio = new Float32Array(buffer, audio, hop);
    /** The posteriors of the newest hop; valid after `earlyRows` hops. */
    this.scores = new Float32Array(buffer, scores, nLabels);
    this.view = new DataView(buffer);
    this.labels = Array.from({ length: nLabels }, (_, number) => this.label(number));
    this.filled = 0;
  }

  label(number) {
    const bytes = new Uint8Array(this.calls.memory.buffer), start = this.calls.ws_label(this.stream, number);
    return utf8(bytes.subarray(start, bytes.indexOf(0, start)));
  }

  /** Run the model's self-test: the largest difference between logarithms of scores and those at export, and the tolerance. */
  selfTest() {
    const difference = this.calls.ws_self_test(this.stream, this.at.found);
    return { difference, tolerance: this.view.getFloat32(this.at.found, true) };
  }

  /** Feed mono samples from -1 to 1 at `rate`, of any length. Returns the detections that they complete.
   * `onScores(scores)`, if given, is called after each hop. */
  feed(samples, onScores = null) {
    const detections = [];
    for (let start = 0; start < samples.length; ) {
      const n = Math.min(samples.length - start, this.hop - this.filled);
      for (let i = 0; i < n; i++) this.audio[this.filled + i] = samples[start + i] * SCALE;
      start += n;
      this.filled += n;
      if (this.filled < this.hop) break;
      this.filled = 0;
      const { audio, scores, found } = this.at;
      this.keep(this.calls.ws_feed(this.stream, audio, 1, scores, found, 2), detections);
      onScores?.(this.scores);
    }
    return detections;
  }

  /** End the stream: returns the detections that were pending. The next `feed` starts anew. */
  flush() {
    const detections = [];
    this.keep(this.calls.ws_flush(this.stream, this.at.found), detections);
    this.filled = 0;
    return detections;
  }

  keep(n, detections) {
    for (let i = 0; i < n; i++) {
      const at = this.at.found + i * DETECTION_BYTES;
      detections.push({
        label: this.labels[this.view.getUint32(at, true)],
        score: this.view.getFloat32(at + 4, true),
        timeMs: this.view.getFloat64(at + 8, true),
      });
    }
  }
}

/** Decode UTF-8 without TextDecoder, which worklets lack. */
function utf8(bytes) {
  return decodeURIComponent(Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""));
}

/** Listen to the microphone, after a click: calls `onDetection` with each detection. Returns a function that stops it. */
export async function listen(onDetection, folder = new URL(".", import.meta.url)) {
  const content = async (name) => {
    const answer = await fetch(new URL(name, folder));
    if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
    return answer.arrayBuffer();
  };
  const [engine, model] = await Promise.all([content("engine.wasm"), content("model.bin")]);
  const { rate } = new Wordspot(engine, model);
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false } });
  const context = new AudioContext({ sampleRate: rate }); // the browser resamples
  await context.audioWorklet.addModule(new URL("wordspot.js", folder));
  const node = new AudioWorkletNode(context, "wordspot", { numberOfOutputs: 0, processorOptions: { engine, model } });
  node.port.onmessage = ({ data }) => onDetection(data);
  context.createMediaStreamSource(microphone).connect(node);
  return () => {
    for (const track of microphone.getTracks()) track.stop();
    return context.close();
  };
}

if (typeof registerProcessor === "function") {
  class Detector extends AudioWorkletProcessor {
    constructor({ processorOptions }) {
      super();
      this.detector = new Wordspot(processorOptions.engine, processorOptions.model);
    }

    process([channels]) {
      if (channels.length) for (const one of this.detector.feed(channels[0])) this.port.postMessage(one);
      return true;
    }
  }
  registerProcessor("wordspot", Detector);
}
