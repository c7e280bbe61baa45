/* The page: loads the list of models, the model's thread and the two views, and keeps everything for use offline. */

import { isWord } from "./decoder.js";
import { Listen } from "./listen.js";
import { prepare, whyNoMicrophone } from "./microphone.js";
import { ENGINE, Recogniser } from "./recogniser.js";
import { Record } from "./record.js";

const byId = (id) => document.getElementById(id);
const CONTROL_MS = 8000; // to wait for the service worker at the first visit; without it everything works but offline

const WEIGHTS = { int8: "weights in 8 bits", float32: "weights in 32 bits" };

const recogniser = new Recogniser();
const listen = new Listen(recogniser, notice);
const record = new Record();
let models = [];
let current = null;

/** A sentence about what is wrong; hidden where it is empty. */
function notice(sentence) {
  byId("notice").textContent = sentence;
  byId("notice").hidden = !sentence;
}

async function boot() {
  showView();
  addEventListener("hashchange", showView);
  await takeControl();
  await recogniser.begin();
  const list = await loadList();
  models = list.models;
  record.setServer(list);
  fillChoice();
  await choose(models[0]);
  if (!whyNoMicrophone()) await prepare().catch(() => {}); // so that listening later loads nothing
  notice(whyNoMicrophone());
}

async function loadList() {
  const answer = await fetch("models.json").catch(() => null);
  if (!answer?.ok) throw new Error("The list of models cannot be loaded. Is the server running? Reload the page when it is.");
  const list = await answer.json();
  if (!list.models?.length) throw new Error("The server has no model. Start it with one: wordspot serve words.onnx");
  return list;
}

function fillChoice() {
  const choice = byId("model");
  choice.replaceChildren(...models.map((entry, at) => Object.assign(document.createElement("option"), { value: at, textContent: entry.name })));
  choice.addEventListener("change", () => choose(models[Number(choice.value)]).catch((error) => notice(error.message)));
}

async function choose(entry) {
  current = entry;
  notice("");
  showFacts(entry, null);
  record.setModel(entry.card, entry.labels.filter(isWord));
  byId("model").disabled = true; // one at a time
  await listen.open(entry).finally(() => (byId("model").disabled = false));
  showFacts(entry, listen.opened);
}

function showFacts({ card, name, bytes, file, engine }, opened) {
  const { selfTest } = opened ?? {};
  const facts = {
    Model: name,
    Words: card.labels.filter(isWord).join(", "),
    Size: `${kB(engine?.bytes ?? bytes)}, sound at ${card.sample_rate / 1000} kHz`,
    "Runs in": engine ? `wordspot’s engine, ${WEIGHTS[engine.weights]}` : "ONNX Runtime",
    "Self-test": selfTest ? `passed in this browser (${selfTest.difference.toExponential(1)} of ${Number(selfTest.tolerance.toPrecision(3))})` : "",
    "Trained on": [card.data.name, card.data.clips && `${card.data.clips.toLocaleString()} clips`].filter(Boolean).join(", "),
    Licence: card.data.licence,
    Attribution: card.data.attribution,
  };
  const rows = Object.entries(facts).filter(([, value]) => value).flatMap(([key, value]) => [
    Object.assign(document.createElement("dt"), { textContent: key }),
    Object.assign(document.createElement("dd"), { textContent: value }),
  ]);
  const link = Object.assign(document.createElement("a"), { href: file, download: "", textContent: `${file.split("/").pop()}, ${kB(bytes)}` });
  const place = document.createElement("dd");
  place.append(link);
  byId("facts").replaceChildren(...rows, Object.assign(document.createElement("dt"), { textContent: "File" }), place);
}

const kB = (bytes) => `${Math.round(bytes / 1000)} kB`;

function showView() {
  const view = location.hash === "#record" ? "record" : "listen";
  for (const name of ["listen", "record"]) {
    byId(name).hidden = name !== view;
    if (name === view) byId(`to-${name}`).setAttribute("aria-current", "page");
    else byId(`to-${name}`).removeAttribute("aria-current");
  }
  document.title = view === "record" ? "Record · wordspot" : "wordspot";
  if (view === "record" && ["starting", "listening"].includes(listen.state)) listen.stop();
  if (view === "listen" && record.run) record.stop("Stopped.");
}

/** Wait until the service worker answers the page's requests, so that it keeps what they bring. */
async function takeControl() {
  if (!navigator.serviceWorker || navigator.serviceWorker.controller) return;
  const controlled = new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
  const waited = new Promise((resolve) => setTimeout(resolve, CONTROL_MS));
  const registration = await navigator.serviceWorker.register("sw.js").catch(() => null);
  // A page that was reloaded with Shift is not controlled, however long it waits.
  if (registration && registration.active?.state !== "activated") await Promise.race([controlled, waited]);
}

/** Fetch the models that were not chosen, for use offline; those that need onnxruntime-web only when they are chosen.
    → whether the page works offline. */
async function keepAll() {
  if (!navigator.serviceWorker?.controller) return false;
  const engines = models.filter((entry) => entry.engine && entry !== current);
  for (const path of engines.length ? [ENGINE, ...engines.map(({ engine }) => engine.file)] : []) await fetch(path).catch(() => {});
  const others = models.filter((entry) => !entry.engine && entry !== current).map(({ name }) => name);
  byId("offline").textContent = others.length
    ? ` It works offline from now on, with ${others.join(", ")} once chosen here.`
    : " It works offline from now on.";
  return true;
}

const ready = boot().then(() => true, (error) => {
  notice(error.message);
  if (listen.state === "loading") listen.set("broken", "Not running.");
  return false;
});

/** Facts for tests, to be read only. */
window.wordspot = Object.freeze({
  ready, // a Promise: whether the page came up
  kept: ready.then(keepAll), // a Promise: whether it works offline now
  get state() { return listen.state; },
  get detections() { return listen.log.detections.slice(); },
  get model() { return current?.name; },
  get engine() { return current?.engine ?? null; },
  get selfTest() { return listen.opened?.selfTest; },
  get heard() { return { seconds: listen.seconds, ms: listen.ms }; },
  get takes() { return record.takes.map(({ word, number, session, saved }) => ({ word, number, session, saved })); },
});
