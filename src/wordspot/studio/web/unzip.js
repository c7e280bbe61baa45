/* Reads ZIP files: entries that are stored or deflated, within bounds. */

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const MAX_ENTRIES = 5000;
const MAX_BYTES = 50e6; // of one file inside

/** The files in a ZIP (ArrayBuffer): [{name, read(): Promise of ArrayBuffer}]. Throws Error with a sentence. */
export function unzip(buffer) {
  const view = new DataView(buffer);
  const end = findEnd(view);
  const n = view.getUint16(end + 10, true);
  if (n > MAX_ENTRIES) throw new Error(`it holds ${n} files; at most ${MAX_ENTRIES} are read.`);
  const found = [];
  let at = view.getUint32(end + 16, true);
  for (let i = 0; i < n; i++) {
    if (at + 46 > view.byteLength || view.getUint32(at, true) !== ENTRY) throw new Error("it is no ZIP file that can be read here.");
    const nameSize = view.getUint16(at + 28, true);
    const name = new TextDecoder().decode(new Uint8Array(buffer, at + 46, nameSize));
    const entry = { method: view.getUint16(at + 10, true), packed: view.getUint32(at + 20, true), size: view.getUint32(at + 24, true), start: view.getUint32(at + 42, true) };
    if (!name.endsWith("/")) found.push({ name, read: () => contentOf(buffer, view, entry) });
    at += 46 + nameSize + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return found;
}

function findEnd(view) {
  for (let at = view.byteLength - 22; at >= Math.max(0, view.byteLength - 65557); at--) {
    if (view.getUint32(at, true) === END) return at;
  }
  throw new Error("it is no ZIP file, or it is damaged.");
}

async function contentOf(buffer, view, { method, packed, size, start }) {
  if (size > MAX_BYTES) throw new Error("it is larger than 50 MB.");
  const from = start + 30 + view.getUint16(start + 26, true) + view.getUint16(start + 28, true);
  const bytes = buffer.slice(from, from + packed);
  if (method === 0) return bytes;
  if (method !== 8) throw new Error("it is packed in a way that is not read here.");
  const parts = [];
  let total = 0;
  for await (const part of new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))) {
    total += part.length;
    if (total > MAX_BYTES) throw new Error("it is larger than 50 MB.");
    parts.push(part);
  }
  return new Blob(parts).arrayBuffer();
}
