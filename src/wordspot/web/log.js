/* What was heard, newest first; a file's in the order of time, each a button that plays it. */

const byId = (id) => document.getElementById(id);
const MOST_SHOWN = 500;

export class Log {
  /** seek(seconds): plays a file from there. */
  constructor(seek) {
    this.seek = seek;
    this.detections = [];
    byId("log-clear").addEventListener("click", () => this.clear());
    byId("log-save").addEventListener("click", () => this.save());
  }

  clear() {
    this.detections.length = 0;
    byId("log").replaceChildren();
    this.refresh();
  }

  /** A detection; ofFile: it can be played. */
  add(detection, hue, ofFile) {
    this.detections.push(Object.freeze({ ...detection }));
    const item = document.createElement("li");
    item.style.setProperty("--hue", hue);
    const part = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
    const time = clock(detection.time_ms / 1000);
    let when = part("span", "when", time);
    if (ofFile) {
      when = part("button", "when", time);
      when.type = "button";
      when.ariaLabel = `Play ${detection.label} at ${time}`;
      when.addEventListener("click", () => this.seek(detection.time_ms / 1000));
    }
    item.append(when, part("bdi", "what", detection.label), part("span", "much", detection.score.toFixed(2)));
    const list = byId("log");
    if (ofFile) list.append(item);
    else list.prepend(item);
    if (list.childElementCount > MOST_SHOWN) (ofFile ? list.firstElementChild : list.lastElementChild).remove();
    list.reversed = !ofFile;
    this.refresh();
  }

  refresh() {
    const some = this.detections.length > 0;
    byId("log-empty").hidden = some;
    byId("log-clear").hidden = byId("log-save").hidden = !some;
  }

  count() {
    const n = this.detections.length;
    return n === 1 ? "1 word" : `${n || "no"} words`;
  }

  save() {
    const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
    const rows = this.detections.map((one) => [quoted(one.label), one.time_ms, one.score.toFixed(6), one.emitted_ms].join(","));
    saveAs(new Blob([["label,time_ms,score,emitted_ms", ...rows, ""].join("\n")], { type: "text/csv" }), "heard.csv");
  }
}

/** Seconds as 1:02.3. */
function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

/** Give a Blob to the user as a file. */
export function saveAs(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
