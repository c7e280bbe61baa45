/* The microphone: asked for, and handed to worklet.js in the audio thread. */

/** Why there is no microphone, in a sentence for the page. */
export class MicrophoneError extends Error {}

const REASONS = {
  NotAllowedError:
    "The microphone is not allowed for this page. Allow it in the browser’s settings for this site (the icon beside the address), then try again. Sound files work without it.",
  NotFoundError: "No microphone was found. Connect one, then try again. Sound files work without it.",
  NotReadableError: "The microphone cannot be opened: another program may be using it. Close that one, then try again.",
};
REASONS.SecurityError = REASONS.NotAllowedError;
REASONS.OverconstrainedError = REASONS.NotFoundError;
REASONS.DevicesNotFoundError = REASONS.NotFoundError;
REASONS.AbortError = REASONS.NotReadableError;

const INSECURE =
  "This page came over plain http, and browsers give a microphone only to https or to localhost. Open it over https (wordspot serve --tls-cert … --tls-key …), or on the computer itself as http://localhost. Sound files work here too.";
const TOO_OLD =
  "This browser cannot hand over the microphone’s sound (it has no AudioWorklet). Please use a current Chrome, Edge, Firefox or Safari. Sound files work here too.";

const END_MS = 1000; // to wait for the last detections

let context = null;

/** Why this page can never listen, as a sentence; empty where it can. */
export function whyNoMicrophone() {
  if (!window.isSecureContext) return INSECURE;
  if (!window.AudioContext || !window.AudioWorkletNode) return TOO_OLD;
  if (!navigator.mediaDevices?.getUserMedia) return TOO_OLD;
  return "";
}

/** Load the worklet, so that listening later loads nothing. */
export async function prepare() {
  const made = new AudioContext({ latencyHint: "interactive" });
  await made.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
  context = made;
}

/** Begin. options: {rate: Hz that is wanted; gain: as makeGain takes it; model: to be run in the audio thread, {files, card,
    decoder}, or null}; on: {samples(Float32Array at that rate), rows(data) of the model, lost(sentence)}.
    → {rate: of the microphone, setGain, setThresholds, stop(): Promise of the last detections}. Throws MicrophoneError. */
export async function openMicrophone({ rate, gain = 0, model = null }, on) {
  const never = whyNoMicrophone();
  if (never) throw new MicrophoneError(never);
  let media;
  try {
    if (!context) await prepare();
    const resumed = context.resume(); // within the user's click
    media = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    await resumed;
  } catch (error) {
    media?.getTracks().forEach((track) => track.stop());
    throw new MicrophoneError(REASONS[error.name] ?? `The microphone cannot be opened: ${error.message || error.name}.`);
  }
  return connect(media, { rate, gain, model }, on);
}

function connect(media, processorOptions, on) {
  const source = context.createMediaStreamSource(media);
  const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 1, channelCountMode: "max", processorOptions });
  let ended = null; // what takes the last detections
  const failed = (reason) => on.lost(`The model stopped: ${reason}. Reload the page.`);
  capture.port.onmessage = ({ data }) => {
    if (data.samples) on.samples(data.samples);
    if (data.rows) on.rows(data.rows);
    if (data.ended) ended?.(data.ended);
    if (data.failed) failed(data.failed);
  };
  capture.onprocessorerror = () => failed("the audio thread failed");
  source.connect(capture).connect(context.destination); // its output is silence; without it some browsers run nothing
  const track = media.getAudioTracks()[0];
  track.onended = () => on.lost("The microphone was disconnected or taken away. Connect it, then start again.");
  context.onstatechange = () => {
    if (context.state === "interrupted" || context.state === "closed") on.lost("The phone took the microphone for something else. Start again.");
  };
  return {
    rate: context.sampleRate,
    setGain: (gain) => capture.port.postMessage({ gain }),
    setThresholds: (decoder) => capture.port.postMessage({ decoder }),
    async stop() {
      track.onended = null;
      context.onstatechange = null;
      track.stop();
      const last = await new Promise((resolve) => {
        ended = resolve;
        setTimeout(() => resolve([]), END_MS);
        capture.port.postMessage({ end: true });
      });
      capture.port.onmessage = null;
      source.disconnect();
      capture.disconnect();
      await context.suspend();
      return last;
    },
  };
}

/** Keeps a phone's screen on while `held` is true, where the browser can. */
export function makeWakeLock() {
  let lock = null;
  let held = false;
  const take = async () => {
    if (!held || document.visibilityState !== "visible") return;
    lock = await navigator.wakeLock?.request("screen").catch(() => null);
  };
  document.addEventListener("visibilitychange", take);
  return {
    hold(yes) {
      held = yes;
      if (yes) take();
      else lock?.release().catch(() => {});
    },
  };
}
