/* The server: JSON and recordings, with the token of the link that opened the page. */

const TOKEN = "wordspot-studio-token";

/** Take the token out of the address, so that it is not seen or shared by accident. */
export function takeToken() {
  const found = /^#token=(.+)$/.exec(location.hash);
  if (!found) return;
  sessionStorage.setItem(TOKEN, found[1]);
  history.replaceState(null, "", "#/");
}

const path = (parts) => parts.map(encodeURIComponent).join("/");

/** Ask the server. → Response. Throws Error with a sentence. */
async function ask(method, parts, { query, body, type } = {}) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (type) headers["Content-Type"] = type;
  const address = `../v1/studio/${path(parts)}${query ? `?${new URLSearchParams(query)}` : ""}`;
  const answer = await fetch(address, { method, headers, body }).catch(() => null);
  if (!answer) throw new Error("The studio does not answer. Start it again with “wordspot studio”, then go on here: what was saved is still there.");
  if (answer.ok) return answer;
  if (answer.status === 401) throw new Error("This studio wants its token. Open the link that “wordspot studio” printed where it was started.");
  const said = await answer.json().catch(() => ({}));
  throw new Error(said.error ? said.error[0].toUpperCase() + said.error.slice(1) : `The studio refused (${answer.status}).`);
}

/** The token's part of a link to this page, for a phone. */
export const tokenOf = () => sessionStorage.getItem(TOKEN) ?? "";

export const get = async (...parts) => (await ask("GET", parts)).json();

export const send = async (method, parts, value = {}, query = undefined) => {
  const body = method === "DELETE" ? undefined : JSON.stringify(value);
  return (await ask(method, parts, { query, body, type: body && "application/json" })).json();
};

/** Save a recording: bytes of a WAV. */
export const upload = async (parts, bytes, query) => (await ask("POST", parts, { query, body: bytes, type: "audio/wav" })).json();

/** A file → Blob. */
export const fetchBlob = async (parts, query) => (await ask("GET", parts, { query })).blob();
