/* A moment in which a step can be taken back: a bar at the foot of the page, in reach of the keyboard. */

import { act, button, el } from "./dom.js";

const MOMENT_MS = 10_000;

export class Undo {
  /** The bar is added to `view`; `leave` must be called when the view goes. */
  constructor(view) {
    this.steps = []; // {sentence, back}; the last one goes first
    this.sentence = el("span");
    this.bar = el("div", { className: "undo", hidden: true, onpointerenter: () => this.hold(), onpointerleave: () => this.count(),
      onfocusin: () => this.hold(), onfocusout: () => this.count() },
      this.sentence, button("Undo", () => this.take(), "button small", { id: "undo", title: "Ctrl+Z" }));
    this.keys = (event) => this.press(event);
    addEventListener("keydown", this.keys);
    view.append(this.bar);
  }

  leave() {
    removeEventListener("keydown", this.keys);
    this.hold();
  }

  /** A step was done; back() takes it back. isByKey: the keyboard did it, so it finds the button at once. */
  offer(sentence, back, isByKey) {
    this.steps.push({ sentence, back });
    this.show();
    if (isByKey) this.bar.querySelector("button").focus();
  }

  take() {
    const step = this.steps.pop();
    if (this.steps.length) this.show();
    else this.end();
    return step && act(step.back);
  }

  press(event) {
    if (event.key === "Escape" && this.bar.contains(document.activeElement)) this.end();
    if (!this.steps.length || event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey)) return;
    if (event.shiftKey || event.altKey || event.target.closest("input, textarea")) return; // which have their own
    event.preventDefault();
    this.take();
  }

  show() {
    this.bar.hidden = !this.steps.length;
    this.sentence.textContent = this.steps.at(-1)?.sentence ?? "";
    this.count();
  }

  /** The moment begins anew, unless somebody is at the bar. */
  count() {
    this.hold();
    if (!this.bar.matches(":hover, :focus-within")) this.timer = setTimeout(() => this.end(), MOMENT_MS);
  }

  hold() {
    clearTimeout(this.timer);
  }

  end() {
    if (this.bar.contains(document.activeElement)) document.getElementById("main").focus({ preventScroll: true });
    this.steps = [];
    this.show();
  }
}
