/* How good the model is, in words first: found, false alarms, what it gets wrong, and beside the model before. */

import { get, send } from "./api.js";
import { act, button, el, percent, plural, say, text } from "./dom.js";
import { play } from "./sound.js";

export async function showReport(view, project, route) {
  const report = await get("projects", project.name, "versions", String(project.versions.at(-1)));
  view.append(...[
    el("div", { className: "row" }, text("h1", "", "How good"), text("span", "note", `Model ${report.number}, ${new Date(1000 * report.made).toLocaleString()}`)),
    summary(report), compared(report, project), thresholdPanel(report, project, route), wrongPanel(report, project), confusionPanel(report), warningsPanel(report),
    el("p", { className: "next" }, el("a", { className: "button", href: `#/${encodeURIComponent(project.name)}/words`, textContent: "Add recordings" }),
      el("a", { className: "button primary", href: `#/${encodeURIComponent(project.name)}/try`, textContent: "Next: try it" })),
  ].filter(Boolean));
}

function summary({ measured, words }) {
  const card = (number, what, more) => el("li", { className: "panel fact" }, text("strong", "", number), text("span", "", what), text("span", "note", more));
  const share = (one) => `${one.n_found} of ${one.n}; with 95 % certainty ${percent(one.found_low)} to ${percent(one.found_high)}`;
  return el("ul", { className: "facts-list" },
    card(measured.voices.n ? percent(measured.voices.found) : "–", `of what new voices say is found`, share(measured.voices)),
    measured.takes ? card(percent(measured.takes.found), "of people’s held-out recordings are found", share(measured.takes)) : null,
    card(perDay(measured.false_accepts_per_hour), "false alarms", falseAlarms(measured)),
    card(percent(measured.near_misses.n ? measured.near_misses.found : 0), `of what sounds like ${words.length > 1 ? "the words" : "the word"} wakes it`,
      measured.woken_by.length ? measured.woken_by.slice(0, 5).join(", ") : `0 of ${measured.near_misses.n}`));
}

const perDay = (perHour) => (perHour === 0 ? "none" : perHour >= 1 ? `${perHour.toFixed(perHour < 10 ? 1 : 0)} an hour` : `${(24 * perHour).toFixed(1)} a day`);

/** In words a maker understands, and no more than the hours can show. */
function falseAlarms({ n_false_accepts: n, hours, false_accepts_per_hour_high: high }) {
  const found = `${n || "none"} in ${plural(Math.round(60 * hours), "minute")} of other words, far more than in a home`;
  return `${found}; with 95 % certainty at most ${high >= 1 ? `${high.toFixed(0)} an hour` : `${(24 * high).toFixed(0)} a day`}`;
}

function compared(report, project) {
  if (!report.before) return null;
  const heard = report.before.heard;
  const rows = [
    ...Object.entries(report.takes).flatMap(([word, takes]) => takes.map((one) => ({ ...one, word, isRight: one.heard === word, wasRight: heard[one.digest] === word }))),
    ...report.not_words.map((one) => ({ ...one, word: "", isRight: one.heard === "", wasRight: heard[one.digest] === "" })),
  ].filter((one) => one.digest in heard);
  const better = rows.filter((one) => one.isRight && !one.wasRight);
  const worse = rows.filter((one) => !one.isRight && one.wasRight);
  const verdict = better.length === worse.length ? "as good as" : better.length > worse.length ? "better than" : "worse than";
  const group = (title, list) => (list.length ? el("div", {}, text("h3", "", title), el("ul", { className: "wrong" }, list.map((one) => wrongRow(one, project)))) : null);
  return el("section", { className: "panel stack", ariaLabel: "Beside the model before" },
    text("h2", "big", `On your ${plural(rows.length, "recording")}: ${verdict} model ${report.before.number}`),
    text("p", "note", `${plural(better.length, "recording")} right that it got wrong, ${plural(worse.length, "recording")} wrong that it got right.`),
    group("Better now", better), group("Worse now", worse));
}

function thresholdPanel(report, project, route) {
  const { curve } = report;
  if (!curve.n_words) return null;
  const own = Object.values(report.thresholds);
  const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
  const at = curve.thresholds.findIndex((value) => value >= mean);
  const slider = el("input", { id: "threshold", type: "range", min: "0", max: String(curve.thresholds.length - 1), step: "1", value: String(at < 0 ? 0 : at), "aria-describedby": "threshold-says" });
  const says = el("p", { id: "threshold-says", role: "status" });
  const mark = [svgElement("path", { class: "mark" }), svgElement("path", { class: "mark inner" })]; // dots, however the picture is stretched
  const save = button("Use this threshold", () => act(async () => {
    await send("POST", ["projects", project.name, "versions", String(report.number), "threshold"], { threshold: Math.min(Math.max(curve.thresholds[slider.value], 0.01), 0.995) });
    say("The threshold was saved in the model");
    await route();
  }));
  const refresh = () => {
    const index = Number(slider.value);
    const missed = 1 - curve.n_hits[index] / curve.n_words;
    says.textContent = `Threshold ${curve.thresholds[index].toFixed(2)}: ${percent(missed)} of the words in noise are missed, ${plural(curve.n_false_accepts[index], "false alarm")} in ${plural(Math.round(60 * curve.hours), "minute")}.`;
    slider.setAttribute("aria-valuetext", says.textContent);
    for (const dot of mark) dot.setAttribute("d", `M${pointOf(curve, index)}h0`);
  };
  slider.addEventListener("input", refresh);
  refresh();
  const different = new Set(own).size > 1 ? " Each word has its own threshold now; this sets one for all." : "";
  return el("section", { className: "panel stack", ariaLabel: "Threshold" }, text("h2", "big", "Strict or eager"),
    text("p", "note", `Higher: fewer false alarms. Lower: fewer missed words. Measured on words and noise that were not trained on.${different}`),
    el("figure", {}, curvePicture(curve, mark), text("figcaption", "note", `Words missed (upwards, 0 to 100 %) against false alarms (to the right, 0 to ${Math.max(...curve.n_false_accepts)}, logarithmic).`)),
    el("label", { className: "field", for: "threshold" }, text("span", "", "Threshold"), slider), says, el("div", { className: "row" }, el("span"), save));
}

const svgElement = (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

const WIDTH = 600;
const HEIGHT = 180;
const mostAccepts = (curve) => Math.log1p(Math.max(...curve.n_false_accepts, 1));

function pointOf(curve, index) {
  const x = 10 + (WIDTH - 20) * (Math.log1p(curve.n_false_accepts[index]) / mostAccepts(curve));
  const y = 10 + (HEIGHT - 20) * (curve.n_hits[index] / curve.n_words);
  return [x.toFixed(1), y.toFixed(1)];
}

/** The thresholds at which more false alarms come with fewer missed words, by false alarms: other thresholds gain nothing. */
function bestOf({ thresholds, n_hits: hits, n_false_accepts: accepts }) {
  const sorted = [...thresholds.keys()].sort((one, other) => accepts[one] - accepts[other] || hits[other] - hits[one]);
  return sorted.filter((index, place) => sorted.slice(0, place).every((earlier) => hits[earlier] < hits[index]));
}

function curvePicture(curve, mark) {
  const svg = svgElement("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": "Misses against false alarms at each threshold" });
  const points = bestOf(curve).map((index) => pointOf(curve, index));
  points.push([WIDTH - 10, points.at(-1)[1]]);
  svg.append(svgElement("polyline", { points: points.map((point) => point.join(",")).join(" ") }), ...mark);
  return svg;
}

function wrongPanel(report, project) {
  const takes = Object.entries(report.takes).flatMap(([word, list]) => list.map((one) => ({ ...one, word })));
  const wrong = [...takes.filter((one) => one.heard !== one.word), ...report.not_words.filter((one) => one.heard).map((one) => ({ ...one, word: "" }))];
  const n = takes.length + report.not_words.length;
  if (!n) return null;
  return el("section", { className: "panel stack", ariaLabel: "Your recordings" },
    text("h2", "big", wrong.length ? `${plural(wrong.length, "of your recordings is", "of your recordings are")} heard wrongly` : `All ${plural(n, "recording")} of yours are heard rightly`),
    text("p", "note", "Most of these were trained on, so this flatters the model; those marked “held out” were not."),
    wrong.length ? el("ul", { className: "wrong" }, wrong.map((one) => wrongRow(one, project))) : null);
}

function wrongRow(one, project) {
  const place = one.word ? "takes" : "not-words";
  const heard = one.heard ? `heard as “${one.heard}”` : one.word ? `not heard (score ${one.score.toFixed(2)})` : "not heard";
  const name = one.word || "not a word";
  return el("li", { className: "row" }, el("span", {}, text("strong", "", name), ` ${heard} `, text("span", "note", one.file), one.set === "testing" || one.set === "validation" ? text("span", "tag", "held out") : null),
    button("Play", () => act(() => play(["projects", project.name, "sounds", place, one.file], { word: one.word })), "button small", { ariaLabel: `Play ${one.file}, ${name}` }));
}

function confusionPanel({ confusion }) {
  const { rows, columns, counts } = confusion;
  const most = Math.max(...counts.flat(), 1);
  const cell = (count, isRight) => {
    const made = text("td", isRight ? "right" : count ? "mistake" : "", String(count));
    made.style.setProperty("--share", (count / most).toFixed(3));
    return made;
  };
  return el("section", { className: "panel stack", ariaLabel: "What is heard as what" }, text("h2", "big", "What is heard as what"),
    text("p", "note", "Clips by voices and people that were not trained on: each row is what was said."),
    el("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Table of what is heard as what" }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col", textContent: "said" }), columns.map((name) => el("th", { scope: "col", textContent: name })))),
      el("tbody", {}, rows.map((name, row) => el("tr", {}, el("th", { scope: "row", textContent: name }),
        columns.map((column, at) => cell(counts[row][at], column === name || (row === rows.length - 1 && at === columns.length - 1)))))))));
}

function warningsPanel({ warnings }) {
  return warnings.length ? el("details", { className: "panel" }, text("summary", "", "What these numbers cannot show"), el("ul", { className: "notes" }, warnings.map((line) => text("li", "", line)))) : null;
}
