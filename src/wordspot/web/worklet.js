/* In the audio thread: mixes the microphone's sound to mono, resamples it, raises it, and runs a model over it that wordspot's
   engine knows. Posts blocks of about 20 ms: {samples, rows}, then {ended}; {failed} if the model cannot go on. */

import { makeDecoder } from "./decoder.js";
import { makeGain } from "./gain.js";
import { EngineModel } from "./model_engine.js";
import { Resampler } from "./resample.js";
import { decodeRows, sentence } from "./stream.js";

const BLOCK_SECONDS = 0.02;
const now = () => globalThis.performance?.now() ?? Date.now();

class Capture extends AudioWorkletProcessor {
  /** processorOptions: {rate: Hz that is wanted, gain: as makeGain takes it, model: null or {files, card, decoder}}. */
  constructor({ processorOptions: { rate, gain, model } }) {
    super();
    this.size = Math.ceil((BLOCK_SECONDS * sampleRate) / 128) * 128;
    this.block = new Float32Array(this.size);
    this.filled = 0;
    this.rate = rate;
    this.resampler = new Resampler(sampleRate, rate);
    this.gain = makeGain(gain, rate);
    this.attempt(() => (this.model = model && new Live(model)));
    this.port.onmessage = ({ data }) => this.take(data);
  }

  process([channels]) {
    if (this.ended) return false;
    if (!channels.length) return true; // nothing is connected just now
    const n = channels[0].length;
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.block[this.filled++] = sum / channels.length;
      if (this.filled === this.size) this.hand();
    }
    return true;
  }

  hand() {
    const samples = this.gain.feed(this.resampler.feed(this.block));
    const rows = this.attempt(() => this.model?.feed(samples)) ?? null;
    this.port.postMessage({ samples, rows }, [samples.buffer, ...(rows ? [rows.means.buffer] : [])]);
    this.block = new Float32Array(this.size);
    this.filled = 0;
  }

  take({ gain, decoder, end }) {
    if (gain !== undefined) this.gain = makeGain(gain, this.rate);
    if (decoder) this.model?.decoder.setThresholds(decoder);
    if (!end) return;
    this.ended = true;
    this.port.postMessage({ ended: this.model?.decoder.flush() ?? [] });
  }

  attempt(step) {
    try {
      return step();
    } catch (error) {
      this.model = null;
      this.port.postMessage({ failed: sentence(error) });
      return null;
    }
  }
}

/** A model on the microphone, and what it cost. */
class Live {
  constructor({ files, card, decoder }) {
    this.card = card;
    this.runner = new EngineModel(files, card).start();
    this.decoder = makeDecoder(decoder, card.labels);
    this.seconds = this.ms = 0;
  }

  feed(samples) {
    const started = now();
    const rows = decodeRows(this.decoder, this.card, this.runner.feed(samples));
    this.ms += now() - started;
    this.seconds += samples.length / this.card.sample_rate;
    return { ...rows, seconds: this.seconds, ms: this.ms };
  }
}

registerProcessor("capture", Capture);
