import { existsSync, readFileSync } from 'node:fs';
import { deployment } from '#contracts/deployment.js';
import { isRoundtableError, RoundtableError } from '#core/errors.js';
import { fromHex, type Hex } from '#core/hex.js';
import { openArchive, type Archive } from '#services/archive.js';
import { openChain, type Chain } from '#services/chain.js';
import { sealedFor, unseal } from '#services/sealing.js';
import type { StackFile } from '#local/stackFile.js';

/** The chain and the archive that a stack uses, read without the stack. */
export function openPublicRecord(stack: StackFile): { chain: Chain; archive: Archive } {
  return {
    chain: openChain({ rpcUrls: [stack.chain.rpcUrl], deployment: deployment.parse(stack.chain.deployment) }),
    archive: openArchive({ gateways: [stack.gateway] }),
  };
}

type Unseal = (envelope: Uint8Array, context: Hex) => Uint8Array;

/**
 * X25519 private keys that are on this machine.
 * @param files those named, each with a key: 0x and 64 hexadecimal digits; else those of the stack's members
 * @throws INVALID_INPUT for a file that holds none; the key is not shown
 */
export function sealingKeys(stack: StackFile | null, files?: readonly string[]): Uint8Array[] {
  if (files) return files.map(readSealingKey);
  const members = (stack?.members ?? []).flatMap(({ sealing }) => sealing ?? []);
  return members.filter((file) => existsSync(file)).map(readSealingKey);
}

/** Opens what was sealed for the owner of any of the keys; undefined without keys. */
export function unsealWith(keys: readonly Uint8Array[]): Unseal | undefined {
  if (keys.length === 0) return undefined;
  return (envelope, context) => {
    for (const id of sealedFor(envelope))
      for (const privateKey of keys)
        try {
          return unseal(envelope, { id, privateKey }, context);
        } catch (error) {
          if (!isRoundtableError(error, 'SEAL_NOT_FOR_YOU')) throw error;
        }
    throw new RoundtableError('SEAL_NOT_FOR_YOU', 'It is sealed, and for none of the keys that are at hand.');
  };
}

/** A member's X25519 private key. @throws INVALID_INPUT; the key is not shown */
export function readSealingKey(file: string): Uint8Array {
  const text = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  if (!/^0x[0-9a-f]{64}$/.test(text))
    throw new RoundtableError(
      'INVALID_INPUT',
      `${file} does not hold a sealing key: 0x and 64 lower-case hexadecimal digits.`,
    );
  return fromHex(text, 32);
}
