/* The microphone: asked for, mixed to mono in an AudioWorklet, resampled to the rate that is wanted. */

import { Resampler } from "./resample.js";

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

/** Begin. rate: Hz that is wanted; onSamples(Float32Array [samples] at that rate); onLost(sentence).
    → {stop(): Promise, rate: of the microphone}. Throws MicrophoneError. */
export async function openMicrophone(rate, onSamples, onLost) {
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
  return connect(media, new Resampler(context.sampleRate, rate), onSamples, onLost);
}

function connect(media, resampler, onSamples, onLost) {
  const source = context.createMediaStreamSource(media);
  const blocks = new AudioWorkletNode(context, "blocks", { numberOfOutputs: 1, channelCountMode: "max" });
  blocks.port.onmessage = ({ data }) => onSamples(resampler.feed(data));
  source.connect(blocks).connect(context.destination); // its output is silence; without it some browsers run nothing
  const track = media.getAudioTracks()[0];
  track.onended = () => onLost("The microphone was disconnected or taken away. Connect it, then start again.");
  context.onstatechange = () => {
    if (context.state === "interrupted" || context.state === "closed") onLost("The phone took the microphone for something else. Start again.");
  };
  return {
    rate: context.sampleRate,
    async stop() {
      track.onended = null;
      context.onstatechange = null;
      blocks.port.onmessage = null;
      track.stop();
      source.disconnect();
      blocks.disconnect();
      await context.suspend();
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
