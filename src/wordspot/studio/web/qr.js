/* QR codes (ISO/IEC 18004) of short texts in bytes: versions 1 to 6, error correction M, mask 0. */

/** Per version: codewords of error correction in a block, blocks, codewords of data in a block. */
const BLOCKS = [null, [10, 1, 16], [16, 1, 28], [26, 1, 44], [18, 2, 32], [24, 2, 43], [16, 4, 27]];
const FORMAT = 0x5412; // of level M and mask 0, with its own error correction

/** A text → rows of booleans, true for dark, without the white border; null if it is too long. */
export function qrCode(text) {
  const bytes = new TextEncoder().encode(text);
  const version = BLOCKS.findIndex((entry) => entry && bytes.length + 2 <= entry[1] * entry[2]);
  if (version < 0) return null;
  const size = 17 + 4 * version;
  const fixed = Array.from({ length: size }, () => new Array(size).fill(null)); // [row][column] of what is no data
  drawFixed(fixed, size, version);
  return withData(fixed, size, codewords(bytes, version));
}

/** The symbol of a QR code as SVG, with the white border that readers need. */
export function qrPicture(rows) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", `-4 -4 ${rows.length + 8} ${rows.length + 8}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "QR code of the link");
  shape.setAttribute("d", rows.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ""))).join(""));
  svg.append(shape);
  return svg;
}

function drawFixed(fixed, size, version) {
  const square = (row, column, reach, isDark) => {
    for (let y = -reach; y <= reach; y++) {
      for (let x = -reach; x <= reach; x++) {
        if (fixed[row + y]?.[column + x] !== undefined) fixed[row + y][column + x] = isDark(Math.max(Math.abs(x), Math.abs(y)));
      }
    }
  };
  for (let at = 8; at < size - 8; at++) fixed[6][at] = fixed[at][6] = at % 2 === 0; // timing
  for (const [row, column] of [[3, 3], [3, size - 4], [size - 4, 3]]) square(row, column, 4, (distance) => distance !== 2 && distance !== 4);
  if (version > 1) square(size - 7, size - 7, 2, (distance) => distance !== 1);
  const bit = (n) => ((FORMAT >> n) & 1) === 1;
  for (let n = 0; n < 15; n++) {
    if (n < 6) fixed[n][8] = bit(n);
    else if (n < 8) fixed[n + 1][8] = bit(n);
    else fixed[8][n === 8 ? 7 : 14 - n] = bit(n);
    if (n < 8) fixed[8][size - 1 - n] = bit(n);
    else fixed[size - 15 + n][8] = bit(n);
  }
  fixed[size - 8][8] = true;
}

/** The data in columns of two from the right, up and down in turn; mask 0 inverts every second module. */
function withData(fixed, size, words) {
  const rows = fixed.map((row) => [...row]);
  let at = 0;
  let isUp = true;
  for (let right = size - 1; right >= 1; right -= 2, isUp = !isUp) {
    if (right === 6) right = 5; // the column of the timing
    for (let n = 0; n < size; n++) {
      const y = isUp ? size - 1 - n : n;
      for (const x of [right, right - 1]) {
        if (fixed[y][x] !== null) continue;
        const bit = at < 8 * words.length && ((words[at >> 3] >> (7 - (at & 7))) & 1) === 1;
        rows[y][x] = bit !== ((x + y) % 2 === 0);
        at++;
      }
    }
  }
  return rows;
}

/** Mode, length, bytes and padding, in blocks with their error correction, interleaved. */
function codewords(bytes, version) {
  const [nCorrection, nBlocks, nData] = BLOCKS[version];
  const nibbles = [4, bytes.length >> 4, bytes.length & 15, ...[...bytes].flatMap((byte) => [byte >> 4, byte & 15]), 0];
  const data = [];
  for (let n = 0; n < nibbles.length; n += 2) data.push((nibbles[n] << 4) | nibbles[n + 1]);
  for (let pad = 0xec; data.length < nBlocks * nData; pad ^= 0xec ^ 0x11) data.push(pad);
  const blocks = Array.from({ length: nBlocks }, (_, n) => data.slice(n * nData, (n + 1) * nData));
  const corrections = blocks.map((block) => remainder(block, nCorrection));
  const interleaved = (parts, length) => Array.from({ length }, (_, n) => parts.map((part) => part[n])).flat();
  return [...interleaved(blocks, nData), ...interleaved(corrections, nCorrection)];
}

function multiply(a, b) {
  let product = 0;
  for (let bit = 7; bit >= 0; bit--) product = (product << 1) ^ ((product >> 7) * 0x11d) ^ (((b >> bit) & 1) * a);
  return product;
}

/** Reed-Solomon: what is left of a block divided by (x - 1)(x - 2)(x - 4)… over GF(256). */
function remainder(block, n) {
  let divisor = [1]; // highest power first, its leading 1 left out at the end
  for (let i = 0, root = 1; i < n; i++, root = multiply(root, 2)) {
    const shifted = [...divisor, 0];
    divisor.forEach((factor, at) => (shifted[at + 1] ^= multiply(factor, root)));
    divisor = shifted;
  }
  const rest = new Array(n).fill(0);
  for (const byte of block) {
    const factor = byte ^ rest.shift();
    rest.push(0);
    for (let at = 0; at < n; at++) rest[at] ^= multiply(divisor[at + 1], factor);
  }
  return rest;
}
