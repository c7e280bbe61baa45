/* In the audio thread: hands over the microphone's sound, mixed to mono, in blocks of about 20 ms at the context's rate. */

const BLOCK_SECONDS = 0.02;

class Blocks extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.ceil((BLOCK_SECONDS * sampleRate) / 128) * 128;
    this.block = new Float32Array(this.size);
    this.filled = 0;
  }

  process([channels]) {
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
    this.port.postMessage(this.block, [this.block.buffer]);
    this.block = new Float32Array(this.size);
    this.filled = 0;
  }
}

registerProcessor("blocks", Blocks);
