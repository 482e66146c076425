import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Wallet } from 'ethers';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import type { Recipient } from '#core/jobSpec.js';
import { generateArchiveKey } from '#services/archive.js';
import { generateX25519Key, x25519PublicKey } from '#services/x25519.js';

/** Keys of the local consortium: files in STATE/keys that only their owner can read, made once. */
export interface WalletFile {
  path: string;
  wallet: Wallet;
  address: `0x${string}`;
}

export function walletFile(stateDir: string, name: string): WalletFile {
  const path = keyPath(stateDir, name);
  if (!existsSync(path)) writeSecret(path, `${Wallet.createRandom().privateKey}\n`);
  const wallet = new Wallet(readFileSync(path, 'utf8').trim());
  return { path, wallet, address: wallet.address.toLowerCase() as `0x${string}` };
}

/** The Arweave wallet (RSA-4096 JWK) that pays for archiving; making one takes seconds. */
export async function archiveKeyFile(stateDir: string): Promise<string> {
  const path = keyPath(stateDir, 'arweave.json');
  if (!existsSync(path)) writeSecret(path, JSON.stringify(await generateArchiveKey()));
  return path;
}

/** A member's X25519 key, which opens archives and updates sealed for it: hex of the 32-byte private key. */
export function sealingKeyFile(stateDir: string, name: string): string {
  const path = keyPath(stateDir, `${name}.x25519`);
  if (!existsSync(path)) writeSecret(path, `${toHex(generateX25519Key().privateKey)}\n`);
  return path;
}

/** A member with the public half of its sealing key, as jobs name it. */
export function recipientOf({ address, sealing }: { address: Hex; sealing: string }): Recipient {
  const privateKey = fromHex(readFileSync(sealing, 'utf8').trim(), 32);
  return { member: address, publicKey: toHex(x25519PublicKey(privateKey)) };
}

/** What binds task tokens to runners: one secret, hexadecimal; see gatekeeper/taskTokens.ts. */
export function gatekeeperSecretsFile(stateDir: string): string {
  const path = keyPath(stateDir, 'gatekeeper.secrets');
  if (!existsSync(path)) writeSecret(path, `${randomBytes(32).toString('hex')}\n`);
  return path;
}

export function keyPath(stateDir: string, name: string): string {
  const folder = join(stateDir, 'keys');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return join(folder, name);
}

export function writeSecret(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
