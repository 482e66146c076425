import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deployment } from '#contracts/deployment.js';
import { isRoundtableError } from '#core/errors.js';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import { openArchive, type Archive } from '#services/archive.js';
import { openChain, type Chain } from '#services/chain.js';
import { unseal } from '#services/sealing.js';
import { sha256 } from '#services/sha256.js';
import type { StackFile } from '#local/stackFile.js';

/** The chain and the archive that a stack uses, read without the stack. */
export function openPublicRecord(stack: StackFile): { chain: Chain; archive: Archive } {
  return {
    chain: openChain({ rpcUrls: [stack.chain.rpcUrl], deployment: deployment.parse(stack.chain.deployment) }),
    archive: openArchive({ gateways: [stack.gateway] }),
  };
}

/** Opens what was sealed for any member whose sealing key is on this machine; undefined when there is none. */
export function memberUnseal(
  stack: StackFile,
): ((envelope: Uint8Array, context: Hex) => Uint8Array) | undefined {
  const keys = stack.members.flatMap(({ address, sealing }) =>
    sealing === undefined || !existsSync(sealing)
      ? []
      : [{ id: address, privateKey: fromHex(readFileSync(sealing, 'utf8').trim(), 32) }],
  );
  if (keys.length === 0) return undefined;
  return (envelope, context) => {
    let refusal: unknown;
    for (const key of keys)
      try {
        return unseal(envelope, key, context);
      } catch (error) {
        if (!isRoundtableError(error, 'SEAL_NOT_FOR_YOU')) throw error;
        refusal = error;
      }
    throw refusal;
  };
}

/** Update files in folders (such as runners' work), by the root over their values. Others are passed over. */
export function updatesIn(folders: readonly string[]): (updateRoot: Hex) => Promise<Uint8Array | null> {
  let paths: Map<Hex, string> | undefined;
  return (updateRoot) => {
    paths ??= new Map(
      folders.flatMap(updateFiles).flatMap((path) => rootOf(path).map((root) => [root, path] as const)),
    );
    const path = paths.get(updateRoot);
    return Promise.resolve(path === undefined ? null : new Uint8Array(readFileSync(path)));
  };
}

function updateFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('update.bin'))
    .map((name) => join(folder, name));
}

function rootOf(path: string): Hex[] {
  try {
    return [
      toHex(valuesRoot(sha256, LEAF.update, decodeUpdateFile(new Uint8Array(readFileSync(path))).delta)),
    ];
  } catch (error) {
    if (isRoundtableError(error, 'FORMAT_INVALID')) return [];
    throw error;
  }
}
