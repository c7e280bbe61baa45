/* All projects, and a new one. */

import { get, send, tokenOf } from "./api.js";
import { act, el, plural, text } from "./dom.js";
import { qrCode, qrPicture } from "./qr.js";

const STATES = {
  running: "training", stopped: "training stopped", failed: "training failed", interrupted: "training interrupted", finished: "",
};

export async function showHome(view) {
  const { folder, projects, link } = await get("projects");
  const name = el("input", { id: "project-name", required: true, maxLength: 60, autocomplete: "off", placeholder: "hey lamp" });
  const create = () => act(async () => {
    const made = await send("POST", ["projects"], { name: name.value });
    await send("POST", ["projects", made.name, "words"], { word: name.value }).catch(() => {});
    location.hash = `#/${encodeURIComponent(made.name)}/words`;
  });
  const form = el("form", { className: "panel one-line", onsubmit: (event) => { event.preventDefault(); create(); } },
    el("label", { className: "field", for: "project-name" }, text("span", "", "Which word or phrase should it hear?"), name),
    el("button", { type: "submit", className: "button primary", textContent: "Begin" }));
  view.append(...[
    el("section", { className: "hero" }, text("h1", "", "Teach it a word"),
      text("p", "note", "Type a word, say it a few times, press Train: a few minutes later this page hears it. Everything stays on the machine that runs the studio.")),
    form,
    projects.length ? el("section", {}, text("h2", "", "Your projects"), el("ul", { className: "projects" }, projects.map(projectCard))) : null,
    phonePanel(link),
    text("p", "note path", `Projects are folders in ${folder}`),
  ].filter(Boolean));
}

/** How a phone in the house records into these projects. */
function phonePanel(link) {
  const whole = link + (tokenOf() ? `#token=${tokenOf()}` : "");
  const code = link ? qrCode(whole) : null;
  const how = link
    ? [text("p", "note", link.startsWith("https:") ? "Open this link on the phone. Whoever has it may use the studio." : "Open this link on the phone. Without https it can add files from its recorder, but browsers give it no microphone. Whoever has the link may use the studio."),
      el("code", { className: "command", textContent: whole }), code && el("div", { className: "qr" }, qrPicture(code))]
    : [text("p", "note", "The studio is open to this machine only. Start it so that phones in the house may use it:"),
      el("code", { className: "command", textContent: "wordspot studio --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem" })];
  return el("details", { className: "panel" }, text("summary", "", "Record with a phone"), el("div", { className: "stack" }, how));
}

function projectCard(project) {
  const facts = [
    project.words.length ? project.words.join(", ") : "no words yet", plural(project.n_takes, "recording"),
    project.version ? `model ${project.version}` : "not trained yet", project.n_kept ? `${project.n_kept} to review` : "",
    STATES[project.training] ?? "",
  ];
  return el("li", {}, el("a", { className: "panel", href: `#/${encodeURIComponent(project.name)}/words` },
    text("strong", "", project.name), text("span", "note", facts.filter(Boolean).join(" · "))));
}

