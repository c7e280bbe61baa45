/* What the models of both engines share: rows of scores in, what the page shows out. Used in worker.js and in the audio thread. */

/** A model that cannot be used, in a sentence. */
export class ModelError extends Error {}

/** Decode rows of scores.
    card: of the model; rows: {scores: Float32Array [n · labels], ends: [n] samples of the stream at each row's end}.
    → {means: Float32Array [n · labels] averaged scores, times: [n] ms, detections}. */
export function decodeRows(decoder, { labels, sample_rate }, { scores, ends }) {
  const means = new Float32Array(scores.length);
  const detections = [];
  const times = ends.map((end) => (end * 1000) / sample_rate);
  for (let row = 0; row < ends.length; row++) {
    const from = row * labels.length;
    detections.push(...decoder.feed(scores.subarray(from, from + labels.length), [times[row]]));
    means.set(decoder.mean, from);
  }
  return { means, times, detections };
}

/** A self-test's result → {difference, tolerance}. Throws ModelError if it failed. */
export function checkSelfTest({ difference, tolerance }) {
  if (difference <= tolerance) return { difference, tolerance };
  throw new ModelError(
    `it fails its self-test: the logarithms of its scores differ by ${difference.toPrecision(2)} ` +
      `from those it was exported with, ${Number(tolerance.toPrecision(2))} is allowed`);
}

/** The sentence in which a model reports an error. */
export const sentence = (error) => String(error?.message ?? error).replace(/\s+/g, " ").slice(0, 300);

/** A list of Float32Arrays, one after another, as one; a single one is returned itself. */
export function joined(parts) {
  if (parts.length === 1) return parts[0];
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
