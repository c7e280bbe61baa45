/* Files that are chosen or dropped: folders and ZIP files are opened, and what the browser can read becomes WAV. */

import { encodeWav, readSound } from "../wav.js";
import { RATE } from "./recorder.js";
import { unzip } from "./unzip.js";

const MAX_BYTES = 100e6;
const SOUND = /\.(wav|wave|flac|ogg|oga|opus|mp3|m4a|aac|mp4|webm|aif|aiff|caf|amr|3gp)$/i;

/** The files of a drop, those in dropped folders too. → Promise of File[]. Call it at once: the event's data do not last. */
export async function filesOf(dropped) {
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...dropped.files];
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry, found) {
  if (entry.isFile) return void found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
  const reader = entry.createReader();
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // at most 100 at once
    if (!part.length) return;
    for (const child of part) await walk(child, found);
  }
}

/** Each sound among the files as {name, bytes: of a WAV}, or {name, failure: a sentence}. */
export async function* readable(files) {
  for (const file of files) {
    if (file.size > MAX_BYTES) yield { name: file.name, failure: "it is larger than 100 MB." };
    else if (/\.zip$/i.test(file.name)) yield* ofZip(file);
    else yield await converted(file.name, () => file.arrayBuffer());
  }
}

async function* ofZip(file) {
  let inside;
  try {
    inside = unzip(await file.arrayBuffer());
  } catch (error) {
    return yield { name: file.name, failure: error.message };
  }
  for (const { name, read } of inside) if (SOUND.test(name)) yield await converted(name, read);
}

async function converted(name, read) {
  try {
    const { samples, rate } = await readSound(await read(), RATE);
    return { name, bytes: encodeWav(samples, Math.round(rate)) };
  } catch (error) {
    return { name, failure: error.message };
  }
}
