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

/** Opens what was sealed for any member whose sealing key is on this machine; undefined when there is none. */
export function memberUnseal(stack: StackFile | null): Unseal | undefined {
  const files = (stack?.members ?? []).flatMap(({ sealing }) => sealing ?? []);
  return unsealWith(files.filter((file) => existsSync(file)));
}

/**
 * Opens what was sealed for any of these X25519 private keys; undefined without keys.
 * @param files each holds a key: 0x and 64 hexadecimal digits
 * @throws INVALID_INPUT for a file that does not; the key is not shown
 */
export function unsealWith(files: readonly string[]): Unseal | undefined {
  if (files.length === 0) return undefined;
  const keys = files.map(readKey);
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

function readKey(file: string): Uint8Array {
  const text = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  if (!/^0x[0-9a-f]{64}$/.test(text))
    throw new RoundtableError(
      'INVALID_INPUT',
      `${file} does not hold a sealing key: 0x and 64 lower-case hexadecimal digits.`,
    );
  return fromHex(text, 32);
}
