/* The self-test that every exported file carries (docs/file.md): a signal made by a formula, and the scores it gave. */

const PHASES = 2 ** 24;
const FACTOR = 48271;
const MODULUS = 2 ** 31 - 1;
const LOG_FLOOR = -10; // logarithms below tell of posteriors that no tolerance sees

/** The signal of a card's `self_test`: Float32Array [n_samples]. All products stay below 2**53, where numbers are exact. */
export function selfTestSignal(test) {
  const signal = new Float32Array(test.n_samples);
  let random = test.seed;
  for (let n = 0; n < signal.length; n++) {
    random = (FACTOR * random) % MODULUS;
    const loud = 1 + (Math.floor(n / 2048) % 4);
    const [first, second] = test.tones.map(([start, sweep]) =>
      Math.sin(((2 * Math.PI) / PHASES) * ((start * n + sweep * n * n) % PHASES)));
    const value = (loud / 4) * (6000 * first + 4000 * second) + 1000 * ((2 * random) / MODULUS - 1);
    signal[n] = Math.floor(value + 0.5) / 32768;
  }
  return signal;
}

/** The largest difference between the logarithms of `rows` of scores and a card's `log_posteriors`; 1 for NaN. */
export function difference(rows, logPosteriors) {
  let largest = 0;
  for (let row = 0; row < logPosteriors.length; row++) {
    for (let label = 0; label < logPosteriors[row].length; label++) {
      const log = Math.max(Math.log(rows[row][label]), LOG_FLOOR);
      const apart = Math.abs(log - Math.max(logPosteriors[row][label], LOG_FLOOR));
      largest = Math.max(largest, Number.isNaN(apart) ? 1 : apart);
    }
  }
  return largest;
}
