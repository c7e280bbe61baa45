/* The page's side of worker.js: one model at a time, one stream at a time. */

export const ENGINE = "engine/engine.wasm";
const noRuntime = (name) =>
  `The model ${name} needs onnxruntime-web, whose files are missing on the server. In a checkout of wordspot run “make web”, then reload.`;
const TOO_OLD =
  "This browser cannot run the model: it lacks WebAssembly or module workers. Please use a current Chrome, Edge, Firefox or Safari.";

export class Recogniser {
  constructor() {
    this.nTickets = 0;
    this.opening = null;
    this.stream = null;
    this.files = null; // of the model, if wordspot's engine runs it
    this.dead = ""; // the reason, once the thread has crashed
  }

  /** Start the thread. Throws Error with a sentence. */
  async begin() {
    if (typeof WebAssembly !== "object" || typeof Worker !== "function") throw new Error(TOO_OLD);
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.take(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.crashed(event.message);
    };
  }

  /** Load a model: an entry of models.json. → {selfTest, ms}. Throws Error with a sentence. */
  async open(entry) {
    const ticket = ++this.nTickets;
    this.stream = this.files = null;
    const files = await fetchModel(entry);
    if (this.dead) throw new Error(this.dead); // it crashed before a model came
    const opened = await new Promise((resolve, reject) => {
      this.opening = { ticket, resolve, reject: (message) => reject(new Error(message)), name: entry.name };
      this.worker.postMessage({ type: "open", ticket, files, card: entry.card }, files.onnx ? [files.onnx] : []);
    });
    if (files.engine) this.files = files;
    return opened;
  }

  /** The model to be run in the audio thread, as openMicrophone takes it; null if it cannot be run there. */
  forAudioThread(card, decoder) {
    return this.files ? { files: this.files, card, decoder } : null;
  }

  /** Begin a stream at the model's rate. on: {rows(data), ended(data), failed(sentence)}. */
  start(decoder, on) {
    this.stream = { id: ++this.nTickets, on };
    this.worker.postMessage({ type: "start", id: this.stream.id, decoder });
  }

  /** samples: Float32Array; it is handed over, and empty afterwards. */
  feed(samples) {
    if (this.stream) this.worker.postMessage({ type: "samples", id: this.stream.id, samples }, [samples.buffer]);
  }

  /** The stream is over: `ended` follows when all of it was heard. */
  end() {
    if (this.stream) this.worker.postMessage({ type: "end", id: this.stream.id });
  }

  setThresholds(decoder) {
    this.worker.postMessage({ type: "thresholds", decoder });
  }

  take(data) {
    if (data.type === "opened" || (data.type === "failed" && data.ticket)) {
      if (this.opening?.ticket !== data.ticket) return;
      const { resolve, reject, name } = this.opening;
      this.opening = null;
      if (data.type === "opened") resolve(data);
      else if (data.noRuntime) reject(noRuntime(name));
      else reject(`The model ${name} cannot be used: ${data.message}. Export it again, or choose another.`);
    } else if (this.stream?.id === data.id) {
      const { on } = this.stream;
      if (data.type !== "rows") this.stream = null;
      if (data.type === "failed") on.failed(data.message);
      else on[data.type](data);
    }
  }

  crashed(message) {
    const { opening, stream } = this;
    this.opening = this.stream = null;
    this.dead = message ? `The model’s thread failed: ${message}. Reload the page.` : TOO_OLD;
    opening?.reject(this.dead);
    stream?.on.failed(this.dead);
  }
}

/** What running a model needs: for wordspot's engine {engine, blob}, else {onnx}; ArrayBuffers. Throws Error with a sentence. */
async function fetchModel({ name, file, engine }) {
  const content = async (path) => {
    const answer = await fetch(path).catch(() => null);
    if (!answer?.ok) throw new Error(`The model ${name} cannot be fetched${answer ? ` (${answer.status})` : ": is the server still there?"}`);
    return answer.arrayBuffer();
  };
  if (!engine) return { onnx: await content(file) };
  const [wasm, blob] = await Promise.all([content(new URL(ENGINE, import.meta.url)), content(engine.file)]);
  return { engine: wasm, blob };
}
