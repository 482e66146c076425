import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { toHex, type Hex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { sha256 } from '#services/sha256.js';

/** Below this a tree takes less than a millisecond, which is what the way to another thread costs. */
const smallestForThread = 50_000;

/**
 * The root of an update's tree. A large one is hashed in a thread of its own, so that this one goes on serving tasks
 * and transfers meanwhile: 1.66 M values take 30 ms, and all runners of a round tend to answer at once.
 */
export async function updateRootOf(delta: Int32Array): Promise<Hex> {
  const thread = delta.length < smallestForThread ? null : treeThread();
  return thread ? thread.root(delta) : toHex(valuesRoot(sha256, LEAF.update, delta));
}

interface TreeThread {
  root(delta: Int32Array): Promise<Hex>;
}

let running: TreeThread | undefined;

/** Started by the first large update; null where only the sources are, as in tests. */
function treeThread(): TreeThread | null {
  const script = fileURLToPath(new URL('./workflows/trees.js', import.meta.url));
  if (!existsSync(script)) return null;
  return (running ??= startThread(script));
}

function startThread(script: string): TreeThread {
  const thread = new Worker(script);
  const waiting: { resolve: (root: Hex) => void; reject: (error: unknown) => void }[] = [];
  // It ends with its process, which it does not keep alive.
  thread.unref();
  thread.on('message', (root: Hex) => waiting.shift()?.resolve(root));
  thread.on('error', (error) => {
    running = undefined;
    for (const { reject } of waiting.splice(0)) reject(error);
  });
  return {
    root: (delta) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
        thread.postMessage(delta);
      }),
  };
}
