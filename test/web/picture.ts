import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pixelmatch from 'pixelmatch';
import { PNG } from 'pngjs';
import { indexedPng } from './indexedPng.js';

const folder = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const references = folder('./reference');
/** What a run saw, for people to look at; not kept. */
const seen = folder('./pictures');

/** Squares of so many pixels are compared by their mean: how a machine smooths its letters does not show in it. */
const square = 4;
/** Of the squares so many may differ. */
const mostDiffering = 0.01;
/** By so much a picture may be higher or lower than its reference. */
const mostHeight = 0.02;

/**
 * Compares a picture of a screen with the one that was committed; `RECORD_PICTURES=1` commits it anew.
 * @returns what is wrong, with the files to look at; null when it looks as it did
 */
export function comparePicture(name: string, png: Buffer): string | null {
  const reference = join(references, `${name}.png`);
  if (process.env['RECORD_PICTURES'] === '1') {
    mkdirSync(references, { recursive: true });
    writeFileSync(reference, indexedPng(PNG.sync.read(png)));
    return null;
  }
  if (!existsSync(reference))
    return `there is no picture ${reference}; look at the screen, and record it with RECORD_PICTURES=1`;
  const [before, now] = [PNG.sync.read(readFileSync(reference)), PNG.sync.read(png)];
  const difference = differenceOf(before, now);
  if (difference === null) return null;
  mkdirSync(seen, { recursive: true });
  writeFileSync(join(seen, `${name}-now.png`), png);
  return `${name} ${difference}; compare ${reference} with ${join(seen, `${name}-now.png`)}`;
}

interface Picture {
  width: number;
  height: number;
  data: Uint8Array;
}

/** In words; null where two pictures look the same. */
export function differenceOf(before: Picture, now: Picture): string | null {
  if (before.width !== now.width) return `is ${now.width} pixels wide and was ${before.width}`;
  if (Math.abs(now.height / before.height - 1) > mostHeight)
    return `is ${now.height} pixels high and was ${before.height}`;
  const height = Math.min(before.height, now.height);
  const [old, young] = [coarse(before, height), coarse(now, height)];
  const differing = pixelmatch(old.data, young.data, undefined, old.width, old.height, {
    threshold: 0.1,
    includeAA: true,
  });
  const part = differing / (old.width * old.height);
  return part > mostDiffering ? `differs in ${(100 * part).toFixed(1)}% of it` : null;
}

function coarse({ width, data }: Picture, height: number): Picture {
  const small = { width: Math.floor(width / square), height: Math.floor(height / square) };
  const mean = new Uint8Array(4 * small.width * small.height);
  for (let y = 0; y < small.height; y++)
    for (let x = 0; x < small.width; x++)
      for (let channel = 0; channel < 4; channel++) {
        let sum = 0;
        for (let row = 0; row < square; row++)
          for (let column = 0; column < square; column++)
            sum += data[4 * ((y * square + row) * width + x * square + column) + channel] ?? 0;
        mean[4 * (y * small.width + x) + channel] = sum / square ** 2;
      }
  return { ...small, data: mean };
}
