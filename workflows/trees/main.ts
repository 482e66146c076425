/** A thread that hashes trees: takes int32 vectors, answers with the roots of their update trees. */
import { parentPort } from 'node:worker_threads';
import { toHex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { sha256 } from '#services/sha256.js';

parentPort?.on('message', (delta: Int32Array) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(toHex(valuesRoot(sha256, LEAF.update, delta)));
});
