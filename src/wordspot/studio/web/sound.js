/* A recording on the page: its waveform, and playing it. One plays at a time. */

import { el, iconButton, text } from "./dom.js";
import { fetchBlob } from "./api.js";

let player = null;

/** Play a recording. parts, query: its address at the server. → a Promise, kept at its end. */
export async function play(parts, query) {
  stopPlaying();
  const address = URL.createObjectURL(await fetchBlob(parts, query));
  const mine = (player = new Audio(address));
  await new Promise((resolve) => {
    mine.onended = mine.onpause = mine.onerror = resolve;
    mine.play().catch(resolve);
  });
  URL.revokeObjectURL(address);
}

export function stopPlaying() {
  player?.pause();
  player = null;
}

/** The largest sample of each of 96 equal parts, 0 to 100, of Float32Array [samples]. */
export function peaksOf(samples) {
  const size = Math.max(samples.length / 96, 1);
  return Array.from({ length: 96 }, (_, at) => {
    const part = samples.subarray(Math.floor(at * size), Math.max(Math.floor((at + 1) * size), Math.floor(at * size) + 1));
    return Math.min(100 * part.reduce((most, value) => Math.max(most, Math.abs(value)), 0), 100);
  });
}

/** Bars for the peaks of a recording, 0 to 100 each. */
export function waveform(peaks) {
  const canvas = el("canvas", { className: "wave", ariaHidden: "true" });
  requestAnimationFrame(() => drawBars(canvas, peaks));
  return canvas;
}

function drawBars(canvas, peaks) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 160;
  const height = canvas.clientHeight || 56;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.fillStyle = "#8fd0ff";
  const step = width / peaks.length;
  peaks.forEach((peak, at) => {
    const tall = Math.max(2, (height - 8) * Math.sqrt(peak / 100));
    context.fillRect(at * step + 0.5, (height - tall) / 2, Math.max(step - 1, 1), tall);
  });
}

/** A card of a recording: waveform, a hint, and buttons. actions: {play, trim, discard}, each optional. */
export function soundCard(sound, name, hint, isBad, actions) {
  const buttons = Object.entries(actions).map(([icon, act]) => iconButton(icon, `${icon[0].toUpperCase()}${icon.slice(1)} ${name}`, act));
  return el("li", { className: "take", "data-file": sound.file }, waveform(sound.peaks), text("span", isBad ? "hint bad" : "hint", hint), el("span", { className: "icons" }, buttons));
}
