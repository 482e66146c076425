import canonicalize from 'canonicalize';
import { RoundtableError } from './errors.js';
import { toHex, type Hash, type Sha256Hex } from './hex.js';

/**
 * RFC 8785 text of a JSON value: one spelling for everybody who hashes or signs it.
 * @throws INVALID_INPUT, with the path, for what JSON cannot hold: undefined, NaN, infinity, bigint, functions,
 * lone surrogates, objects other than plain ones
 */
export function canonicalJson(value: unknown): string {
  refuseForeign(value, '$', 0);
  const text = (canonicalize as unknown as (value: unknown) => string | undefined)(value);
  if (text === undefined) throw new RoundtableError('INTERNAL', 'A checked JSON value could not be written.');
  return text;
}

/** canonicalJson in UTF-8. */
export function canonicalBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(canonicalJson(value));
}

export function hashJson(hash: Hash, value: unknown): Sha256Hex {
  return toHex(hash(canonicalBytes(value)));
}

/** Nothing that we hash is deeper than a few levels; hostile depth ends here, not at the end of the stack. */
const MAX_DEPTH = 64;

function refuseForeign(value: unknown, path: string, depth: number): void {
  if (depth > MAX_DEPTH) throw foreign(path, `nested deeper than ${MAX_DEPTH} levels`);
  switch (typeof value) {
    case 'boolean':
      return;
    case 'number':
      if (!Number.isFinite(value)) throw foreign(path, String(value));
      return;
    case 'string':
      if (LONE_SURROGATE.test(value)) throw foreign(path, 'a string with a lone surrogate');
      return;
    case 'object':
      break;
    default:
      throw foreign(path, `of type ${typeof value}`);
  }
  if (value === null) return;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) refuseForeign(value[i], `${path}[${i}]`, depth + 1);
    return;
  }
  if (!isPlain(value)) throw foreign(path, 'an object that is not plain');
  for (const [key, member] of Object.entries(value)) {
    if (LONE_SURROGATE.test(key)) throw foreign(path, 'a key with a lone surrogate');
    refuseForeign(member, `${path}.${key}`, depth + 1);
  }
}

// With the u flag a pair is one character, so only a lone half is of category Cs.
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Plain in any realm: the prototype is missing or has none itself. A method toJSON would change what is written. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  const plain = prototype === null || Object.getPrototypeOf(prototype) === null;
  return plain && typeof (value as { toJSON?: unknown }).toJSON !== 'function';
}

function foreign(path: string, what: string): RoundtableError {
  return new RoundtableError('INVALID_INPUT', `Not a JSON value: ${path} is ${what}.`, { details: { path } });
}
