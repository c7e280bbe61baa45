/* The studio's page: which view is shown, and what is known about the project that it shows. */

import { get, takeToken } from "./api.js";
import { act, el, notice } from "./dom.js";
import { showHome } from "./home.js";
import { showReport } from "./report.js";
import { showReview } from "./review.js";
import { stopPlaying } from "./sound.js";
import { showTakeAway } from "./takeaway.js";
import { showTraining } from "./training.js";
import { showTry } from "./try.js";
import { showWords } from "./words.js";

const byId = (id) => document.getElementById(id);
const BUSY_MS = 2000; // between two looks at a training that runs behind another view

const STEPS = {
  words: { title: "Words", show: showWords },
  train: { title: "Train", show: showTraining },
  report: { title: "How good", show: showReport, needsModel: true },
  try: { title: "Try it", show: showTry, needsModel: true },
  review: { title: "Review", show: showReview },
  take: { title: "Take it away", show: showTakeAway, needsModel: true },
};

let leave = null; // what the view that is shown does when it goes
let shown = 0;

/** Show what the address says: #/ or #/PROJECT/STEP. */
async function route() {
  const ticket = ++shown;
  leave?.();
  leave = null;
  stopPlaying();
  notice("");
  const [, name, step] = decodeURIComponent(location.hash || "#/").split("/");
  const view = el("div", { id: "view", "data-step": step ?? "home" });
  await act(async () => {
    const project = name ? await get("projects", name) : null;
    if (ticket !== shown) return;
    showSteps(project, step);
    const chosen = STEPS[step] ?? (project ? STEPS.words : null);
    document.title = `${project ? `${project.name} · ` : ""}Studio · wordspot`;
    leave = (await (chosen ? chosen.show(view, project, route) : showHome(view))) ?? null;
    if (ticket !== shown) leave?.();
    else byId("view").replaceWith(view);
  });
}

function showSteps(project, step = "words") {
  const bar = byId("steps");
  bar.hidden = !project;
  if (!project) return;
  bar.replaceChildren(...Object.entries(STEPS).map(([name, { title, needsModel }]) => {
    const isOpen = !needsModel || project.versions.length > 0;
    const label = name === "review" && project.kept.length ? `${title} (${project.kept.length})` : title;
    if (!isOpen) return el("span", { className: "closed", textContent: label, title: "Train first" });
    return el("a", { href: `#/${encodeURIComponent(project.name)}/${name}`, textContent: label, "aria-current": name === step ? "page" : undefined });
  }));
  bar.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
}

/** Say in the header that a training runs, whatever view is shown. */
async function watchTrainings() {
  const { projects } = await get("projects").catch(() => ({ projects: [] }));
  const busy = projects.find((one) => one.training === "running");
  const label = busy ? `Training ${busy.name} …` : "";
  if (byId("busy").textContent !== label) byId("busy").textContent = label;
  setTimeout(watchTrainings, BUSY_MS);
}

takeToken();
addEventListener("hashchange", async () => {
  await route();
  byId("main").focus({ preventScroll: true });
  scrollTo(0, 0);
});
const ready = route();
ready.then(watchTrainings);

/** Facts for tests, to be read only. */
window.studio = Object.freeze({ ready });
