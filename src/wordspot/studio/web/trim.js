/* A dialog in which a recording is cut to a part of it. */

import { button, el, text } from "./dom.js";
import { waveform } from "./sound.js";

const STEP = 0.02; // seconds

/** Ask for the part. sound: with `seconds` and `peaks`; cut(start, stop) in seconds. */
export function openTrim(sound, cut) {
  const first = slider("trim-start", 0, sound.seconds);
  const last = slider("trim-stop", sound.seconds, sound.seconds);
  const shown = el("output", { className: "note" });
  const ok = button("Cut", () => { dialog.close(); cut(Number(first.value), Number(last.value)); }, "button primary");
  const refresh = () => {
    const seconds = Number(last.value) - Number(first.value);
    ok.disabled = seconds < 0.1;
    shown.textContent = ok.disabled ? "The end must come after the beginning." : `${seconds.toFixed(2)} s stay; the whole recording is kept in “discarded”.`;
    picture.style.setProperty("--from", `${(100 * first.value) / sound.seconds}%`);
    picture.style.setProperty("--to", `${100 - (100 * last.value) / sound.seconds}%`);
  };
  const picture = el("div", { className: "trim-picture" }, waveform(sound.peaks));
  first.addEventListener("input", refresh);
  last.addEventListener("input", refresh);
  const dialog = el("dialog", { ariaLabel: "Cut the recording", onclose: () => dialog.remove() },
    text("h2", "big", "Cut the recording"), picture,
    el("label", { className: "field", for: "trim-start" }, text("span", "", "From"), first),
    el("label", { className: "field", for: "trim-stop" }, text("span", "", "To"), last), shown,
    el("div", { className: "row" }, button("Cancel", () => dialog.close()), ok));
  document.body.append(dialog);
  dialog.showModal();
  refresh();
}

function slider(id, value, most) {
  return el("input", { id, type: "range", min: "0", max: String(most), step: String(STEP), value: String(value) });
}
