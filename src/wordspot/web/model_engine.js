/* A model in wordspot's own engine, in WebAssembly. It computes at once, so it also runs in the audio thread. */

import { Wordspot } from "./engine/wordspot.js";
import { checkSelfTest, ModelError, sentence } from "./stream.js";

/** A loaded model, for one stream at a time. */
export class EngineModel {
  /** engine, blob: ArrayBuffers of engine.wasm and of the model's data; card: its card. Throws ModelError. */
  constructor({ engine, blob }, card) {
    try {
      this.words = new Wordspot(engine, blob);
    } catch (error) {
      throw new ModelError(sentence(error));
    }
    this.card = card;
  }

  /** Run the self-test. → {difference, tolerance}. Throws ModelError if it fails. */
  selfTest() {
    return checkSelfTest(this.words.selfTest());
  }

  /** A stream from 0 ms; the one before it ends. */
  start() {
    this.words.flush();
    return new EngineRunner(this.words);
  }

  close() {}
}

/** A stream: `feed(samples)` → {scores, ends}, as of an OnnxModel. Rows before the first whole clip are left out. */
class EngineRunner {
  constructor(words) {
    this.words = words;
    this.nRows = 0;
  }

  feed(samples) {
    const { words } = this;
    const scores = new Float32Array((Math.floor(samples.length / words.hop) + 1) * words.nLabels);
    const ends = [];
    words.feed(samples, (row) => {
      if (++this.nRows <= words.earlyRows) return;
      scores.set(row, ends.length * words.nLabels);
      ends.push(this.nRows * words.hop);
    });
    return { scores: scores.subarray(0, ends.length * words.nLabels), ends };
  }
}
