import { RoundtableError } from './errors.js';

/** Hexadecimal with 0x in front. Everything we write is lower case. */
export type Hex = `0x${string}`;

// The ids are flavours of Hex: a literal or a parsed string may become any of them, one never passes for another.
/** A SHA-256, 32 bytes. */
export type Sha256Hex = Hex & { readonly flavour?: 'Sha256' };
/** A job's id on chain and in every signed statement, 32 bytes. */
export type JobId = Hex & { readonly flavour?: 'JobId' };
/** A runner's EVM address in lower case, 20 bytes. */
export type RunnerId = Hex & { readonly flavour?: 'RunnerId' };
/** A model version, 32 bytes; see versionId in model.ts. */
export type VersionId = Hex & { readonly flavour?: 'VersionId' };

/** SHA-256, handed in: core does not know where it runs. Takes any number of bytes, returns 32. */
export interface Hash {
  (bytes: Uint8Array): Uint8Array;
  /**
   * H(type ‖ message) for every `size` bytes of `messages`, 32 bytes each in one array; what trees consist of.
   * Left out where it would be no faster than one call for each.
   * @param size a multiple of 64; `messages` holds a whole number of them
   */
  each?(type: number, messages: Uint8Array, size: number): Uint8Array;
}

/** 32 zero bytes: "there is none" wherever a hash is expected. */
export const ZERO_HASH: Sha256Hex = '0x0000000000000000000000000000000000000000000000000000000000000000';

/** @example toHex(new Uint8Array([1, 255])) // '0x01ff' */
export function toHex(bytes: Uint8Array): Hex {
  let text = '0x';
  for (const byte of bytes) text += PAIRS[byte];
  return text as Hex;
}

/**
 * @param length bytes expected, if the caller knows
 * @throws INVALID_INPUT unless `text` is 0x and an even number of hexadecimal digits, of that length
 */
export function fromHex(text: string, length?: number): Uint8Array {
  if (!/^0x(?:[0-9a-fA-F]{2})*$/.test(text))
    throw new RoundtableError(
      'INVALID_INPUT',
      `Expected 0x and pairs of hexadecimal digits, got ${shown(text)}.`,
    );
  const bytes = new Uint8Array(text.length / 2 - 1);
  if (length !== undefined && bytes.length !== length)
    throw new RoundtableError(
      'INVALID_INPUT',
      `Expected ${length} bytes of hexadecimal, got ${bytes.length}: ${shown(text)}.`,
    );
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i + 2, 2 * i + 4), 16);
  return bytes;
}

const PAIRS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

function shown(text: string): string {
  return JSON.stringify(text.length > 70 ? `${text.slice(0, 70)}…` : text);
}
