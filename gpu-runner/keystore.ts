import { readFile } from 'node:fs/promises';
import { decryptKeystoreJson, encryptKeystoreJson, isKeystoreJson } from 'ethers/wallet';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import type { Hex, RunnerId } from '#core/hex.js';
import { writeDurably } from './files.js';
import { runnerKey, type RunnerKey } from './runnerKey.js';
import { readSecretFile } from './secretFile.js';

/** Where a home keeps the runner's EVM key: encrypted, or in plain text for machines that nobody attends. */
export interface KeyPaths {
  /** Web3 Secret Storage, version 3: AES-128-CTR under scrypt. */
  keystore: string;
  /** 0x and 64 hexadecimal digits. */
  key: string;
}

/** Asked only if the key is encrypted. */
export type Passphrase = () => Promise<string>;

/** The private key, and what signs with it. */
export interface UnlockedKey {
  privateKey: Hex;
  key: RunnerKey;
}

/** @throws KEY_INVALID, KEY_EXPOSED, PASSPHRASE_WRONG; no message ever shows key or passphrase */
export async function unlockKey(paths: KeyPaths, passphrase: Passphrase): Promise<UnlockedKey> {
  const [keystore, plain] = await readBoth(paths);
  if (plain !== null) return { privateKey: plain as Hex, key: runnerKey(plain, paths.key) };
  const privateKey = await decrypt(keystore ?? '', paths.keystore, await passphrase());
  return { privateKey, key: runnerKey(privateKey, paths.keystore) };
}

/** The runner's address, which an encrypted key shows without its passphrase. @throws KEY_INVALID, KEY_EXPOSED */
export async function readAddress(paths: KeyPaths): Promise<RunnerId> {
  const [keystore, plain] = await readBoth(paths);
  if (plain !== null) return runnerKey(plain, paths.key).address;
  const shown = z.object({ address: z.string() }).safeParse(jsonOrNull(keystore ?? '')).data?.address ?? '';
  const digits = shown.toLowerCase().replace(/^0x/, '');
  if (!/^[0-9a-f]{40}$/.test(digits)) throw notAKeystore(paths.keystore);
  return `0x${digits}` as RunnerId;
}

export async function hasKey(paths: KeyPaths): Promise<boolean> {
  const found = await Promise.all([exists(paths.keystore), exists(paths.key)]);
  return found.includes(true);
}

/** @param work of scrypt (N); the standard's 2^17 takes about a second */
export async function writeKeystore(
  path: string,
  privateKey: Hex,
  passphrase: string,
  work = 1 << 17,
): Promise<RunnerId> {
  const { address } = runnerKey(privateKey);
  const text = await encryptKeystoreJson({ address, privateKey }, passphrase, { scrypt: { N: work } });
  await writeDurably(path, `${text}\n`, 0o600);
  return address;
}

async function readBoth(paths: KeyPaths): Promise<[keystore: string | null, plain: string | null]> {
  const [keystore, plain] = [await readSecretFile(paths.keystore), await readSecretFile(paths.key)];
  if (keystore === null && plain === null)
    throw new RoundtableError(
      'KEY_INVALID',
      `There is no key: neither ${paths.keystore} nor ${paths.key} exists. \`roundtable-runner init\` makes one.`,
    );
  if (keystore !== null && plain !== null)
    throw new RoundtableError(
      'KEY_INVALID',
      `There are two keys, ${paths.keystore} and ${paths.key}. A home has one: move the other away.`,
    );
  return [keystore, plain];
}

async function decrypt(text: string, path: string, passphrase: string): Promise<Hex> {
  if (!isKeystoreJson(text)) throw notAKeystore(path);
  try {
    return (await decryptKeystoreJson(text, passphrase)).privateKey as Hex;
  } catch {
    // No cause: a library's message could hold the passphrase.
    throw new RoundtableError(
      'PASSPHRASE_WRONG',
      `The passphrase does not open ${path}, or the file is damaged. Nobody can open it without the passphrase.`,
    );
  }
}

function notAKeystore(path: string): RoundtableError {
  return new RoundtableError(
    'KEY_INVALID',
    `${path} is not an encrypted key (Web3 Secret Storage, version 3).`,
  );
}

async function exists(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    () => false,
  );
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
