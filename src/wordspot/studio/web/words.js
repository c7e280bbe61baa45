/* The first step: words, their recordings by people, the room, and what is not the word. */

import { whyNoMicrophone } from "../microphone.js";
import { get, send, upload } from "./api.js";
import { act, button, el, iconButton, plural, say, text } from "./dom.js";
import { filesOf, readable } from "./files.js";
import { Recorder } from "./recorder.js";
import { play, soundCard } from "./sound.js";
import { openTrim } from "./trim.js";
import { Undo } from "./undo.js";

const ROOM_SECONDS = 10;
const ENOUGH = 8; // takes of a word, below which the page asks for more
const SPEAKER = "wordspot-studio-speaker";

export async function showWords(view, first) {
  const screen = new WordsView(view, first);
  await screen.show(first);
  return () => screen.leave();
}

class WordsView {
  constructor(view, project) {
    this.name = project.name;
    this.body = el("div", { className: "stack" });
    this.stage = makeStage(() => this.toggle());
    this.recorder = new Recorder({
      cue: (sentence, kind = "") => this.cue(sentence, kind),
      level: (share) => this.stage.meter.style.setProperty("--level", `${100 * share}%`),
      take: (bytes) => act(() => this.save(bytes)),
      end: (sentence) => this.ended(sentence),
    });
    this.nVoices = 0; // samples of voices that were played: each is another voice
    this.target = null; // {place, word} of what is recorded
    view.append(this.addForm(), this.stage.box, this.body);
    this.undo = new Undo(view);
  }

  leave() {
    this.undo.leave();
    return this.recorder.stop();
  }

  addForm() {
    const input = el("input", { id: "new-word", required: true, maxLength: 60, autocomplete: "off", placeholder: "lamp on" });
    const add = () => act(async () => {
      const { word } = await send("POST", ["projects", this.name, "words"], { word: input.value });
      input.value = "";
      say(`${word} was added`);
      await this.refresh();
    });
    return el("div", { className: "stack" }, el("div", { className: "row" }, text("h1", "", "Words"), el("label", { className: "field speaker", for: "speaker" },
      text("span", "", "Who speaks?"), speakerInput())),
    el("form", { className: "panel one-line", onsubmit: (event) => { event.preventDefault(); add(); } },
      el("label", { className: "field", for: "new-word" }, text("span", "", "Add another word or phrase"), input),
      el("button", { type: "submit", className: "button", textContent: "Add" })));
  }

  async refresh() {
    this.show(await get("projects", this.name));
  }

  async show(project) {
    this.project = project;
    const report = project.versions.length ? await get("projects", this.name, "versions", String(project.versions.at(-1))).catch(() => null) : null;
    const heard = new Map(Object.entries(report?.takes ?? {}).flatMap(([word, takes]) => takes.map((one) => [one.digest, one.heard === word])));
    const n = project.words.reduce((sum, { takes }) => sum + takes.length, 0);
    this.body.replaceChildren(
      ...project.words.map((entry) => this.wordSection(entry, heard)),
      this.otherSection("backgrounds", "The room", project.backgrounds, "Ten seconds of the place where it will listen: fan, street, kitchen. Optional, and it helps.",
        button("Record the room", () => this.record({ place: "backgrounds", word: "" }), "button", { disabled: Boolean(whyNoMicrophone()) })),
      this.otherSection("not-words", "Not the words", project.not_words, "What woke a model and should not have. The review fills this; you may drop files too."),
      project.words.length ? el("p", { className: "next" }, text("span", "note", n ? "Voices say the words too; your own recordings count most." : "Without recordings, voices alone will say the words."),
        el("a", { className: "button primary", href: `#/${encodeURIComponent(this.name)}/train`, textContent: "Next: train" })) : null);
    for (const card of this.body.querySelectorAll("[data-place]")) this.takeDrops(card);
  }

  wordSection({ word, takes }, heard) {
    const target = { place: "takes", word };
    const several = new Set(takes.map((take) => take.speaker)).size > 1;
    const unlike = takes.filter((take) => heard.get(take.digest) === false);
    const isModelGood = 3 * unlike.length <= takes.length; // one that misses most takes says nothing about a single one
    const missing = ENOUGH - takes.length;
    const advice = takes.length === 0 ? "No recordings yet. Say it ten times, near and far, quickly and slowly."
      : missing > 0 ? `${plural(takes.length, "take")}: ${missing} more would help.` : `${plural(takes.length, "take")}.`;
    return el("section", { className: "panel word", "data-place": "takes", "data-word": word, "aria-label": word },
      el("div", { className: "row" }, el("span", { className: "row wrap" }, el("h2", { className: "big", textContent: word, dir: "auto" }),
        iconButton("discard", `Remove the word ${word}`, () => this.removeWord(word, takes.length))),
        el("span", { className: "row" },
          button("Record", () => this.record(target), "button primary", { ariaLabel: `Record ${word}`, disabled: Boolean(whyNoMicrophone()) }),
          this.fileButton(target, word))),
      text("p", "note", advice), this.voices(word),
      this.cards(target, takes, word, (take) => {
        if (take.problem) return [take.problem, true];
        if (isModelGood && unlike.includes(take)) return ["not like the others", true];
        return [several && take.speaker ? take.speaker : `${take.seconds.toFixed(1)} s`, false];
      }));
  }

  /** What the voices of the training say: a sample, and what sounds like the word. */
  voices(word) {
    const list = text("p", "note", "Looking …");
    const details = el("details", { className: "note", ontoggle: () => details.open && !details.asked && act(async () => {
      details.asked = true;
      const { texts } = await get("projects", this.name, "voices", word);
      list.textContent = texts.length ? `The training also learns that these are not “${word}”: ${texts.join(", ")}.` : "Nothing was found.";
    }) },
      text("summary", "", "Voices"),
      el("div", { className: "stack" }, text("p", "note", "Besides people, synthetic voices say it. If they say it wrongly, record more takes yourself."),
        button("Hear a voice say it", () => act(() => play(["projects", this.name, "voices", word, String(this.nVoices++)])), "button small"), list));
    return details;
  }

  otherSection(place, title, sounds, advice, more = null) {
    const target = { place, word: "" };
    return el("section", { className: "panel word", "data-place": place, "data-word": "", "aria-label": title },
      el("div", { className: "row" }, text("h2", "big", title), el("span", { className: "row" }, more, this.fileButton(target, title))),
      text("p", "note", advice), this.cards(target, sounds, title, (sound) => [sound.problem || `${sound.seconds} s`, Boolean(sound.problem)]));
  }

  cards(target, sounds, name, hintOf) {
    if (!sounds.length) return null;
    const at = (sound) => [["projects", this.name, "sounds", target.place, sound.file], { word: target.word }];
    return el("ul", { className: "takes" }, sounds.map((sound, number) => {
      const [hint, isBad] = hintOf(sound);
      return soundCard(sound, `take ${number + 1} of ${name}`, hint, isBad, {
        play: () => act(() => play(...at(sound))),
        trim: () => openTrim(sound, (start, stop) => act(async () => {
          const [parts, query] = at(sound);
          await send("POST", [...parts, "trim"], { start, stop }, query);
          await this.refresh();
        })),
        discard: (event) => act(() => this.discard(at(sound), `Take ${number + 1} of ${name} was discarded`, event.detail === 0)),
      });
    }));
  }

  /** Discard a recording, and offer to take that back. address: its parts and its query. */
  async discard([parts, query], sentence, isByKey) {
    const { discarded } = await send("DELETE", parts, {}, query);
    say(`${sentence}; Control Z takes it back`);
    await this.refresh();
    this.undo.offer(sentence, async () => {
      const { file } = await send("POST", [...parts.slice(0, -1), discarded, "restore"], {}, query);
      say("It is back");
      await this.refresh();
      if (isByKey) this.body.querySelector(`[data-word="${CSS.escape(query.word)}"] [data-file="${CSS.escape(file)}"] button`)?.focus();
    }, isByKey);
  }

  fileButton(target, name) {
    const input = el("input", {
      type: "file", multiple: true, className: "only-read", ariaLabel: `Add files to ${name}`, accept: "audio/*,.wav,.flac,.ogg,.opus,.mp3,.m4a,.zip",
      onchange: () => act(() => this.addFiles(target, [...input.files])),
    });
    return el("label", { className: "button file" }, input, text("span", "", "Add files"));
  }

  takeDrops(card) {
    card.addEventListener("dragover", (event) => {
      event.preventDefault();
      card.classList.add("over");
    });
    card.addEventListener("dragleave", () => card.classList.remove("over"));
    card.addEventListener("drop", (event) => {
      event.preventDefault();
      card.classList.remove("over");
      const found = filesOf(event.dataTransfer);
      act(async () => this.addFiles({ place: card.dataset.place, word: card.dataset.word }, await found));
    });
  }

  /** Save files of any kind that the browser or the studio reads; those that neither can are named. */
  async addFiles(target, files) {
    const problems = [];
    let n = 0;
    for await (const { name, bytes, failure } of readable(files)) {
      try {
        if (failure) throw new Error(failure);
        await upload(["projects", this.name, "sounds", target.place], bytes, { word: target.word, speaker: speaker() });
        n++;
        say(`${plural(n, "file")} added`);
      } catch (error) {
        problems.push(`${name}: ${error.message}`);
      }
    }
    await this.refresh();
    if (problems.length) throw new Error(`${plural(n, "file")} added, ${problems.length} not. ${problems.slice(0, 3).join(" ")}`);
  }

  record(target) {
    if (this.recorder.isRunning) return void this.recorder.stop();
    this.target = target;
    this.stage.box.hidden = false;
    this.stage.box.scrollIntoView({ block: "nearest" });
    this.stage.again.textContent = "Stop";
    this.stage.again.classList.add("on");
    this.stage.box.classList.add("running");
    this.stage.again.focus();
    if (target.place === "backgrounds") this.recorder.startRoom(ROOM_SECONDS);
    else this.recorder.start(target.word, Number(this.stage.count.value) || ENOUGH);
  }

  toggle() {
    if (this.recorder.isRunning) this.recorder.stop();
    else this.record(this.target);
  }

  async save(bytes) {
    const { place, word } = this.target;
    await upload(["projects", this.name, "sounds", place], bytes, { word, speaker: speaker() });
    await this.refresh();
  }

  cue(sentence, kind) {
    this.stage.cue.textContent = sentence;
    this.stage.cue.className = `cue ${kind}`;
  }

  ended(sentence) {
    this.cue(sentence, "");
    this.stage.again.textContent = "Record again";
    this.stage.again.classList.remove("on");
    this.stage.box.classList.remove("running");
  }

  removeWord(word, nTakes) {
    if (nTakes && !confirm(`Remove “${word}” and its ${plural(nTakes, "recording")}? The files stay in the project’s folder “discarded”.`)) return;
    act(async () => {
      await send("DELETE", ["projects", this.name, "words", word]);
      await this.refresh();
    });
  }
}

function makeStage(toggle) {
  const cue = el("p", { className: "cue", role: "status" });
  const meter = el("span");
  const count = el("input", { id: "take-count", type: "number", min: "1", max: "50", value: "10" });
  const again = button("Stop", toggle, "button primary on");
  const box = el("section", { className: "stage", ariaLabel: "Recording", hidden: true }, cue,
    el("div", { className: "meter", ariaHidden: "true" }, meter),
    el("div", { className: "row" }, again, el("label", { className: "field inline", for: "take-count" }, text("span", "", "Takes"), count)));
  return { box, cue, meter, again, count };
}

function speakerInput() {
  return el("input", {
    id: "speaker", maxLength: 32, autocomplete: "off", autocapitalize: "none", pattern: "[A-Za-z0-9]+", title: "Letters a to z and digits",
    value: speaker(), onchange: ({ target }) => localStorage.setItem(SPEAKER, target.value),
  });
}

/** The speaker's name as a file's name may have it. */
function speaker() {
  return (localStorage.getItem(SPEAKER) ?? "me").replace(/[^A-Za-z0-9]/g, "").slice(0, 32) || "someone";
}
