/* WAV files: read without a change to their samples, and written as 16-bit mono. Other formats go to the browser. */

const text = (view, at) => String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, 4));

/** A sound file's bytes (ArrayBuffer) → {samples: Float32Array mono in [-1, 1], rate}. Throws Error with a sentence. */
export async function readSound(bytes, rate) {
  const wav = parseWav(bytes);
  if (wav) return wav;
  const usable = Math.min(Math.max(rate, 8000), 96000); // what every browser's decoder can give
  let buffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, usable).decodeAudioData(bytes);
  } catch {
    throw new Error("This browser cannot read it as sound. Try a WAV, FLAC, MP3 or Ogg file.");
  }
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, at) => buffer.getChannelData(at));
  return { samples: mixed(channels), rate: usable };
}

/** ArrayBuffer → {samples, rate}, or null where it is no WAV of whole or floating-point numbers. */
export function parseWav(bytes) {
  const view = new DataView(bytes);
  if (bytes.byteLength < 12 || text(view, 0) !== "RIFF" || text(view, 8) !== "WAVE") return null;
  let format = null;
  for (let at = 12; at + 8 <= bytes.byteLength; ) {
    const name = text(view, at);
    const size = Math.min(view.getUint32(at + 4, true), bytes.byteLength - at - 8);
    if (name === "fmt " && size >= 16) format = readFormat(view, at + 8, size);
    if (name === "data" && format) return readData(new DataView(bytes, at + 8, size), format);
    at += 8 + size + (size % 2);
  }
  return null;
}

function readFormat(view, at, size) {
  let tag = view.getUint16(at, true);
  if (tag === 0xfffe && size >= 26) tag = view.getUint16(at + 24, true); // the extensible header's own tag
  return {
    tag, nChannels: view.getUint16(at + 2, true), rate: view.getUint32(at + 4, true), bits: view.getUint16(at + 14, true),
  };
}

function readData(view, { tag, nChannels, rate, bits }) {
  const readers = {
    "1/8": (at) => (view.getUint8(at) - 128) / 128,
    "1/16": (at) => view.getInt16(at, true) / 32768,
    "1/24": (at) => ((view.getInt8(at + 2) << 16) | view.getUint16(at, true)) / 8388608,
    "1/32": (at) => view.getInt32(at, true) / 2147483648,
    "3/32": (at) => view.getFloat32(at, true),
  };
  const read = readers[`${tag}/${bits}`];
  if (!read || !nChannels || rate < 1000 || rate > 1_000_000) return null;
  const width = bits / 8;
  const samples = new Float32Array(Math.floor(view.byteLength / (width * nChannels)));
  for (let n = 0; n < samples.length; n++) {
    let sum = 0;
    for (let channel = 0; channel < nChannels; channel++) sum += read((n * nChannels + channel) * width);
    samples[n] = sum / nChannels;
  }
  return { samples, rate };
}

function mixed(channels) {
  if (channels.length === 1) return channels[0].slice();
  return channels[0].map((_, n) => channels.reduce((sum, channel) => sum + channel[n], 0) / channels.length);
}

/** Float32Array mono in [-1, 1] → Uint8Array, a 16-bit WAV. */
export function encodeWav(samples, rate) {
  const bytes = new Uint8Array(44 + 2 * samples.length);
  const view = new DataView(bytes.buffer);
  const put = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  put(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  put(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  put(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, n) => view.setInt16(44 + 2 * n, Math.max(-32768, Math.min(32767, Math.round(value * 32768))), true));
  return bytes;
}
