/* onnxruntime-web, from this folder: one thread, WebAssembly, no other host. The version is in the addresses, so that
   a browser which keeps them for ever takes the new files after an update. */

import * as ort from "./vendor/ort/ort.wasm.min.mjs?v=1.30.0";

const at = (name) => new URL(`./vendor/ort/${name}?v=1.30.0`, import.meta.url).href;

ort.env.wasm.numThreads = 1; // more need headers that plain file hosts do not send
ort.env.wasm.wasmPaths = { mjs: at("ort-wasm-simd-threaded.mjs"), wasm: at("ort-wasm-simd-threaded.wasm") };
ort.env.logLevel = "error";

export { ort };
