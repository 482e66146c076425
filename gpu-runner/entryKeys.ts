import { RoundtableError } from '#core/errors.js';
import { fromHex, toHex, type Hex } from '#core/hex.js';
import { generateTlsKey } from '#services/certificate.js';
import { generateX25519Key, x25519PublicKey } from '#services/x25519.js';
import { writeDurably } from './files.js';
import { readSecretFile } from './secretFile.js';

/** What a runner shows and opens at the door of a stack; its name stays the EVM key. */
export interface EntryKeys {
  /** P-256, PKCS #8 in PEM: behind every certificate of the runner. */
  tls: string;
  /** X25519, which opens what coordinators encrypt for the runner. */
  sealing: { privateKey: Uint8Array; publicKey: Hex };
}

/** Reads tls.key and sealing.key, and makes what is missing. @throws KEY_EXPOSED, KEY_INVALID */
export async function readEntryKeys(paths: { tlsKey: string; sealingKey: string }): Promise<EntryKeys> {
  const tls = await readOrMake(paths.tlsKey, generateTlsKey);
  const text = await readOrMake(paths.sealingKey, () => toHex(generateX25519Key().privateKey));
  try {
    const privateKey = fromHex(text as Hex, 32);
    return { tls, sealing: { privateKey, publicKey: toHex(x25519PublicKey(privateKey)) } };
  } catch {
    // No cause: a library's message could hold the key.
    throw new RoundtableError(
      'KEY_INVALID',
      `${paths.sealingKey} does not hold an X25519 key: 0x and 64 hexadecimal digits.`,
    );
  }
}

async function readOrMake(path: string, make: () => string): Promise<string> {
  const known = await readSecretFile(path);
  if (known !== null) return known;
  const made = make().trim();
  await writeDurably(path, `${made}\n`, 0o600);
  return made;
}
