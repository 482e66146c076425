import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import type { UpdateSource, WantedUpdate } from '#audit/sources.js';
import { deployment } from '#contracts/deployment.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import { openArchive, type Archive } from '#services/archive.js';
import { openChain, type Chain } from '#services/chain.js';
import { unseal } from '#services/sealing.js';
import { sha256 } from '#services/sha256.js';
import { openUpdate } from '#services/updateSealing.js';
import type { StackFile } from '#local/stackFile.js';
import type { Api } from '../api.js';

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
  const keys = memberKeys(stack);
  if (keys.length === 0) return undefined;
  return (envelope, context) => withAnyOf(keys, (key) => unseal(envelope, key, context));
}

interface MemberKey {
  id: Hex;
  privateKey: Uint8Array;
}

/** Sealing keys of members that are on this machine. */
export function memberKeys(stack: StackFile): MemberKey[] {
  return stack.members.flatMap(({ address, sealing }) =>
    sealing === undefined || !existsSync(sealing)
      ? []
      : [{ id: address, privateKey: fromHex(readFileSync(sealing, 'utf8').trim(), 32) }],
  );
}

/** What the first key gives that something was sealed for. @throws SEAL_NOT_FOR_YOU when it was for none of them */
function withAnyOf<T>(keys: readonly MemberKey[], open: (key: MemberKey) => T): T {
  let refusal: unknown = new RoundtableError('SEAL_NOT_FOR_YOU', 'There is no sealing key on this machine.');
  for (const key of keys)
    try {
      return open(key);
    } catch (error) {
      if (!isRoundtableError(error, 'SEAL_NOT_FOR_YOU')) throw error;
      refusal = error;
    }
  throw refusal;
}

/**
 * Update files in folders (such as runners' work, JOB/ROUND/update.bin), in the clear or sealed for one of the keys.
 * Others are passed over.
 */
export function updatesIn(folders: readonly string[], keys: readonly MemberKey[]): UpdateSource {
  const found = new Map<string, string[]>();
  const pathsOf = (round: string) => {
    if (found.size === 0)
      for (const path of folders.flatMap(updateFiles)) {
        const name = path.split(sep).slice(-3, -1).join('/');
        found.set(name, [...(found.get(name) ?? []), path]);
      }
    return found.get(round) ?? [];
  };
  return async (wanted) => {
    for (const path of pathsOf(`${wanted.job.slice(2)}/${wanted.round}`)) {
      const file = plainUpdate(new Uint8Array(readFileSync(path)), keys, wanted);
      if (rootOf(file) === wanted.updateRoot) return file;
    }
    return null;
  };
}

/** Updates of rounds whose window is open, from the stack that keeps them, sealed for one of the keys. */
export function updatesOfStack(api: Pick<Api, 'updates'>, keys: readonly MemberKey[]): UpdateSource {
  return async (wanted) => {
    if (keys.length === 0) return null;
    try {
      for (const { runner, url } of await api.updates(wanted.job, wanted.round)) {
        if (runner !== wanted.runner) continue;
        const response = await fetch(url);
        const file = plainUpdate(new Uint8Array(await response.arrayBuffer()), keys, wanted);
        if (rootOf(file) === wanted.updateRoot) return file;
      }
    } catch (error) {
      // A stack that does not answer, or not to this member, has no update for it.
      if (isRoundtableError(error) && !['UNAVAILABLE', 'FORBIDDEN'].includes(error.code)) throw error;
    }
    return null;
  };
}

/** The first source that has the update. */
export function eitherOf(...sources: readonly UpdateSource[]): UpdateSource {
  return async (wanted) => {
    for (const source of sources) {
      const file = await source(wanted);
      if (file) return file;
    }
    return null;
  };
}

function updateFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('update.bin'))
    .map((name) => join(folder, name));
}

/** The bytes as they are, unless a key opens them as the wanted update. */
function plainUpdate(bytes: Uint8Array, keys: readonly MemberKey[], wanted: WantedUpdate): Uint8Array {
  try {
    return withAnyOf(keys, (key) => openUpdate(bytes, key, wanted));
  } catch (error) {
    if (!isRoundtableError(error)) throw error;
    return bytes;
  }
}

function rootOf(file: Uint8Array): Hex | null {
  try {
    return toHex(valuesRoot(sha256, LEAF.update, decodeUpdateFile(file).delta));
  } catch (error) {
    if (isRoundtableError(error, 'FORMAT_INVALID')) return null;
    throw error;
  }
}
