/* The model's words, each with its running score and its threshold; one that is heard lights up. */

import { isWord, thresholdOf } from "./decoder.js";
import { hueOf } from "./draw.js";

const LIT_MS = 1500;

export class Words {
  constructor(list, announcer) {
    this.list = list;
    this.announcer = announcer;
    this.tiles = new Map(); // label's index: its parts
  }

  show(labels) {
    this.tiles.clear();
    labels.forEach((label, index) => {
      if (isWord(label)) this.tiles.set(index, makeTile(label, hueOf(index)));
    });
    this.list.replaceChildren(...[...this.tiles.values()].map((tile) => tile.item));
    this.list.classList.toggle("single", this.tiles.size === 1);
  }

  setThresholds(decoder) {
    for (const tile of this.tiles.values()) {
      tile.tick.style.setProperty("--threshold", `${100 * thresholdOf(decoder, tile.label)}%`);
    }
  }

  /** scores: [labels], the newest. */
  setScores(scores) {
    for (const [index, tile] of this.tiles) {
      tile.fill.style.setProperty("--score", scores[index].toFixed(3));
      if (!tile.timer) tile.score.textContent = scores[index] >= 0.005 ? scores[index].toFixed(2) : "";
    }
  }

  /** A word was heard. aloud: tell screen readers. */
  light(index, score, aloud) {
    const tile = this.tiles.get(index);
    if (!tile) return; // an unknown word, by the classic decoders
    clearTimeout(tile.timer);
    tile.item.classList.add("lit");
    tile.score.textContent = score.toFixed(2);
    tile.timer = setTimeout(() => this.unlight(tile), LIT_MS);
    if (aloud) this.announcer.textContent = `${tile.label}, ${Math.round(100 * score)} per cent`;
  }

  unlight(tile) {
    clearTimeout(tile.timer);
    tile.timer = 0;
    tile.item.classList.remove("lit");
  }

  /** As before the first sound; what is lit fades by itself. */
  rest() {
    for (const tile of this.tiles.values()) {
      tile.fill.style.setProperty("--score", "0");
      if (!tile.timer) tile.score.textContent = "";
    }
  }
}

function makeTile(label, hue) {
  const make = (tag, name, text = "") => Object.assign(document.createElement(tag), { className: name, textContent: text });
  const item = document.createElement("li");
  const word = make("div", "word");
  const score = make("span", "score");
  const track = make("div", "track");
  const fill = make("span", "fill");
  const tick = make("span", "tick");
  const name = make("span", "", label);
  name.title = label;
  name.dir = "auto";
  track.ariaHidden = "true";
  score.ariaHidden = "true"; // it changes all the time; what is heard is announced
  item.style.setProperty("--hue", hue);
  word.append(name, score);
  track.append(fill, tick);
  item.append(word, track);
  return { item, label, score, fill, tick, timer: 0 };
}
