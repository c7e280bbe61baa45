/* Elements in one call, and what every view says to people who see and who listen. */

const byId = (id) => document.getElementById(id);

/** An element. props: properties (`textContent`, `ariaLabel`, …), `on…` listeners, and attributes with a hyphen or `for`, `role`. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.includes("-") || ["for", "role", "list"].includes(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const text = (tag, className, content) => el(tag, { className, textContent: content });

/** A button with words on it. */
export function button(label, act, className = "button", more = {}) {
  return el("button", { type: "button", className, textContent: label, onclick: act, ...more });
}

const ICONS = {
  play: "M7 4.5v15l13-7.5z",
  discard: "M6 7h12l-1 14H7L6 7Zm3-4h6l1 2h4v1.5H4V5h4l1-2Z",
  trim: "M7 3a4 4 0 0 1 3.4 6.1l1.6 1.6L19 3.7 21 5 9.9 15.9A4 4 0 1 1 8 13.4l2-2-2-2A4 4 0 1 1 7 3Zm0 2.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6Zm0 10a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6ZM15 13l6 6-2 1.3-5.6-5.6L15 13Z",
};

/** A round button with a picture on it, named for those who do not see it. */
export function iconButton(name, label, act) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  shape.setAttribute("d", ICONS[name]);
  svg.append(shape);
  return el("button", { type: "button", className: "icon", ariaLabel: label, title: label, onclick: act }, svg);
}

/** A sentence about what is wrong; hidden where it is empty. */
export function notice(sentence) {
  byId("notice").textContent = sentence;
  byId("notice").hidden = !sentence;
}

/** A sentence for screen readers, of something that is seen happening. */
export function say(sentence) {
  byId("say").textContent = sentence;
}

/** Run an action of the user; what goes wrong is shown. */
export async function act(work) {
  notice("");
  try {
    return await work();
  } catch (error) {
    notice(error.message);
    return undefined;
  }
}

export const percent = (share) => `${(100 * share).toFixed(share > 0.995 && share < 1 ? 1 : 0)} %`;

export const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
