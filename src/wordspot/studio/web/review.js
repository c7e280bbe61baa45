/* What waits for a judgement, one after another, by keys or by buttons. */

import { readSound } from "../wav.js";
import { fetchBlob, send } from "./api.js";
import { act, button, el, plural, say, text } from "./dom.js";
import { RATE } from "./recorder.js";
import { peaksOf, play, waveform } from "./sound.js";

const KEYS = { m: "meant", n: "not-meant", d: "discard" };

export async function showReview(view, project, route) {
  const screen = new ReviewView(view, project, route);
  screen.show(project.kept);
  return () => screen.leave();
}

class ReviewView {
  constructor(view, project, route) {
    Object.assign(this, { project, route });
    this.body = el("div", { className: "stack" });
    view.append(text("h1", "", "Review"), this.body);
    this.keys = (event) => this.press(event);
    addEventListener("keydown", this.keys);
  }

  leave() {
    removeEventListener("keydown", this.keys);
  }

  show(kept) {
    this.kept = kept;
    const [first] = kept;
    this.body.replaceChildren(first ? this.card(first, kept.length) : el("p", { className: "panel note", id: "review-empty",
      textContent: "Nothing waits to be judged. What you mark under “Try it”, and what “wordspot listen --save” keeps in this project’s folder “kept”, comes here." }));
    if (first) this.body.querySelector("button").focus({ preventScroll: true });
  }

  card(one, n) {
    this.word = el("select", { id: "review-word" }, this.project.words.map(({ word }) => el("option", { value: word, textContent: word, selected: word === one.word })));
    const when = `${one.time.slice(0, 4)}-${one.time.slice(4, 6)}-${one.time.slice(6, 8)} ${one.time.slice(9, 11)}:${one.time.slice(11, 13)}`;
    return el("section", { className: "panel stack judge", ariaLabel: "Judge this recording" },
      text("p", "note", `${plural(n, "recording")} left`),
      el("p", { className: "big" }, one.is_near ? "Not heard, but was it said? " : "Heard as ", text("strong", "", one.word)),
      this.picture(one),
      text("p", "note", `${when}, score ${one.score.toFixed(2)}`),
      el("div", { className: "row wrap" }, button("Play (R)", () => this.play()),
        el("label", { className: "field inline", for: "review-word" }, text("span", "", "Word"), this.word)),
      el("div", { className: "row wrap" },
        button("It was the word (M)", () => this.judge("meant"), "button primary", { id: "meant" }),
        button("It was not (N)", () => this.judge("not-meant"), "button", { id: "not-meant" }),
        button("Discard (D)", () => this.judge("discard"), "button")));
  }

  /** The waveform, as soon as the sound is here. */
  picture(one) {
    const place = el("div", { className: "take" });
    fetchBlob(["projects", this.project.name, "kept", one.path]).then(async (blob) => {
      const { samples } = await readSound(await blob.arrayBuffer(), RATE);
      place.append(waveform(peaksOf(samples)));
    }).catch(() => {}); // it can be judged without
    return place;
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input, textarea")) return;
    const key = event.key.toLowerCase();
    if (key === "r" && this.kept.length) this.play();
    else if (KEYS[key] && this.kept.length) this.judge(KEYS[key]);
  }

  play() {
    return act(() => play(["projects", this.project.name, "kept", this.kept[0].path]));
  }

  judge(answer) {
    const word = this.word.value;
    return act(async () => {
      await send("POST", ["projects", this.project.name, "kept", this.kept[0].path], { answer, word });
      say({ meant: `Now a take of ${word}`, "not-meant": "Now learned as not a word", discard: "Discarded" }[answer]);
      await this.route(); // the steps show how many are left
    });
  }
}
