/* The page's side of worker.js: one model at a time, one stream at a time. */

const NO_RUNTIME =
  "The files of onnxruntime-web are missing on the server, so no model can run here. In a checkout of wordspot run “make web”, then reload.";
const TOO_OLD =
  "This browser cannot run the model: it lacks WebAssembly or module workers. Please use a current Chrome, Edge, Firefox or Safari.";

export class Recogniser {
  constructor() {
    this.nTickets = 0;
    this.opening = null;
    this.stream = null;
    this.dead = null; // a Promise of the reason, once the thread has crashed
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
    this.stream = null;
    const answer = await fetch(entry.file).catch(() => null);
    if (!answer?.ok) throw new Error(`The model ${entry.name} cannot be fetched${answer ? ` (${answer.status})` : ": is the server still there?"}`);
    const content = await answer.arrayBuffer();
    if (this.dead) throw new Error(await this.dead); // it crashed before a model came
    return new Promise((resolve, reject) => {
      this.opening = { ticket, resolve, reject: (message) => reject(new Error(message)), name: entry.name };
      this.worker.postMessage({ type: "open", ticket, content, card: entry.card }, [content]);
    });
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
      else reject(`The model ${name} cannot be used: ${data.message}. Export it again, or choose another.`);
    } else if (this.stream?.id === data.id) {
      const { on } = this.stream;
      if (data.type !== "rows") this.stream = null;
      if (data.type === "failed") on.failed(data.message);
      else on[data.type](data);
    }
  }

  async crashed(message) {
    const { opening, stream } = this;
    this.opening = this.stream = null;
    this.dead = whyCrashed(message);
    const sentence = await this.dead;
    opening?.reject(sentence);
    stream?.on.failed(sentence);
  }
}

async function whyCrashed(message) {
  const runtime = await fetch(new URL("./vendor/ort/ort.wasm.min.mjs?v=1.30.0", import.meta.url), { method: "HEAD" }).catch(() => null);
  if (runtime?.status === 404) return NO_RUNTIME;
  return message ? `The model’s thread failed: ${message}. Reload the page.` : TOO_OLD;
}
