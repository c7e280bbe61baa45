/* The model as a file, for each place where it can run. */

import { fetchBlob, get } from "./api.js";
import { act, button, el, notice, say, text } from "./dom.js";

export async function showTakeAway(view, project) {
  const number = project.versions.at(-1);
  const { exports } = await get("projects", project.name, "versions", String(number), "exports");
  view.append(text("h1", "", "Take it away"), el("ul", { className: "exports" }, exports.map((one) => exportCard(one, project, number))));
}

function exportCard({ kind, title, about, command, file, obstacle }, project, number) {
  const heading = text("h2", "big", title);
  if (obstacle) return el("li", { className: "panel stack", id: `no-${kind}` }, heading, text("p", "note", about), text("p", "obstacle", obstacle));
  const take = button("Download", () => act(async () => {
    take.disabled = true;
    take.textContent = "Preparing …";
    try {
      const blob = await fetchBlob(["projects", project.name, "versions", String(number), "exports", kind]);
      const link = el("a", { href: URL.createObjectURL(blob), download: file });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      say(`${file} was downloaded`);
      notice("");
    } finally {
      take.disabled = false;
      take.textContent = "Download";
    }
  }), "button", { ariaLabel: `Download for ${title}`, id: `take-${kind}` });
  return el("li", { className: "panel stack" }, el("div", { className: "row" }, heading, take), text("p", "note", about),
    el("details", { className: "note" }, text("summary", "", "The same on the command line"), text("code", "command", command)));
}
