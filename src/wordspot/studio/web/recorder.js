/* Takes of a word from the microphone, one after another by its own clock, each handed over as soon as it is spoken. */

import { levelOf } from "../draw.js";
import { openMicrophone } from "../microphone.js";
import { joined } from "../stream.js";
import { encodeWav } from "../wav.js";

export const RATE = 16000;
const COUNT_SECONDS = 0.7; // from one number of the countdown to the next
const TAKE_SECONDS = 2;
const PAUSE_SECONDS = 0.6;

export class Recorder {
  /** on: {cue(text, kind), level(share), take(bytes of a WAV), end(sentence)}. */
  constructor(on) {
    this.on = on;
    this.run = null;
  }

  get isRunning() {
    return this.run !== null;
  }

  /** Record `count` takes of a word, after a countdown. */
  start(word, count) {
    return this.begin({ left: count, seconds: TAKE_SECONDS, pause: PAUSE_SECONDS, say: `Say “${word}”`, done: "Done. Listen to the takes below." });
  }

  /** Record the room for some seconds. */
  startRoom(seconds) {
    return this.begin({ left: 1, seconds, pause: 0, say: "Be quiet, and let the room be as it is", done: "Done: that is the room." });
  }

  async begin(plan) {
    const run = (this.run = { ...plan, step: 0, nSamples: 0, parts: [] });
    this.on.cue("Waiting for the microphone …");
    try {
      const microphone = await openMicrophone({ rate: RATE }, { samples: (samples) => this.hear(samples), lost: (reason) => this.stop(reason) });
      if (this.run === run) run.microphone = microphone;
      else await microphone.stop();
    } catch (error) {
      this.stop(error.message);
    }
  }

  /** The steps 3, 2, 1, then take and pause in turn. */
  hear(samples) {
    const { run } = this;
    if (!run) return;
    this.on.level(levelOf(samples));
    if (run.nSamples === 0) this.cue(run);
    run.nSamples += samples.length;
    const taking = run.step >= 3 && run.step % 2 === 1;
    if (taking) run.parts.push(samples);
    const seconds = run.step < 3 ? COUNT_SECONDS : taking ? run.seconds : run.pause;
    if (run.nSamples < seconds * RATE) return;
    run.nSamples = 0;
    run.step++;
    if (!taking) return;
    this.on.take(encodeWav(joined(run.parts), RATE));
    run.parts = [];
    if (--run.left <= 0) this.stop(run.done);
  }

  cue({ step, say, left }) {
    if (step < 3) this.on.cue(String(3 - step), "count");
    else if (step % 2 === 1) this.on.cue(say, "say");
    else this.on.cue(left === 1 ? "One more …" : `${left} more …`);
  }

  async stop(sentence = "Stopped.") {
    const { run } = this;
    if (!run) return;
    this.run = null;
    this.on.level(0);
    this.on.end(sentence);
    await run.microphone?.stop();
  }
}
