import { readFile, stat } from 'node:fs/promises';
import { SigningKey } from 'ethers/crypto';
import { hashMessage, TypedDataEncoder } from 'ethers/hash';
import { computeAddress } from 'ethers/transaction';
import { updateDomain, updateTypes, type UpdateStatement } from '#core/eip712.js';
import { RoundtableError } from '#core/errors.js';
import type { Hex, RunnerId } from '#core/hex.js';
import { errorNumber } from './failures.js';

/** The runner's identity: its name on chain and on everything it signs. Equal input gives equal signatures (RFC 6979). */
export interface RunnerKey {
  address: RunnerId;
  /** EIP-191 personal signature of a text, 65 bytes. */
  signText(text: string): Hex;
  /** EIP-712 signature of an update, 65 bytes. */
  signUpdate(domain: { chainId: number; jobs: Hex }, statement: UpdateStatement): Hex;
}

/** @throws KEY_INVALID, KEY_EXPOSED; the message never shows the key */
export async function readRunnerKey(path: string): Promise<RunnerKey> {
  let text: string;
  try {
    const { mode } = await stat(path);
    // Windows has no such bits and reports 0666 for every file.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0)
      throw new RoundtableError(
        'KEY_EXPOSED',
        `${path} has the mode ${(mode & 0o777).toString(8)}: others on this machine can reach the key. Run: chmod 600 ${path}`,
      );
    text = (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if (errorNumber(error) !== 'ENOENT') throw error;
    throw new RoundtableError(
      'KEY_INVALID',
      `${path} does not exist. It holds the runner's private key, 0x and 64 digits.`,
    );
  }
  return runnerKey(text, path);
}

/** @param source named when the key is not one */
export function runnerKey(privateKey: string, source = 'The key'): RunnerKey {
  let key: SigningKey;
  let address: RunnerId;
  try {
    if (!/^0x[0-9a-fA-F]{64}$/.test(privateKey)) throw new Error('form');
    key = new SigningKey(privateKey);
    address = computeAddress(key).toLowerCase() as RunnerId;
  } catch {
    // No cause: a library's message could hold the key.
    throw new RoundtableError(
      'KEY_INVALID',
      `${source} does not hold a private key: 0x and 64 hexadecimal digits, in range.`,
    );
  }
  return {
    address,
    signText: (value) => key.sign(hashMessage(value)).serialized as Hex,
    signUpdate: ({ chainId, jobs }, statement) =>
      key.sign(TypedDataEncoder.hash(updateDomain(chainId, jobs), updateTypes, statement)).serialized as Hex,
  };
}
