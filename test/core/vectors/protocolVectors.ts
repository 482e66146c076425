import { arithmetic } from './arithmetic.js';
import { model } from './model.js';
import { headers, openings, statements } from './rounds.js';
import { robust } from './robust.js';
import { leaves, rewards } from './trees.js';

/**
 * The files of docs/protocol/vectors by name. `WRITE_VECTORS=1` on vectors.test.ts writes them; once published they
 * change with the protocol only.
 */
export async function protocolVectors(): Promise<Record<string, unknown>> {
  return {
    'arithmetic.json': arithmetic(),
    'robust.json': robust(),
    'leaves.json': leaves(),
    'model.json': model(),
    'openHash.json': openings(),
    'eip712.json': await statements(),
    'headers.json': headers(),
    'rewards.json': rewards(),
  };
}
