import { SigningKey } from 'ethers/crypto';
import {
  actDomain,
  actTypes,
  updateDomain,
  updateTypes,
  type ActStatement,
  type SignatureDomain,
  type UpdateStatement,
} from '#core/eip712.js';
import { fromHex, type Hex } from '#core/hex.js';
import { id, keccak256 } from './keccak.js';
import { addressWord, join, word } from './rpc.js';

/** The address whose key signed an update's statement; null for what no key signed, or a high s. */
export const updateSigner = (
  { chainId, jobs }: { chainId: number; jobs: Hex },
  statement: UpdateStatement,
  signature: Hex,
): Hex | null =>
  recovered(digestOf(updateDomain(chainId, jobs), 'Update', updateTypes.Update, { ...statement }), signature);

/** The same for what somebody did at a stack. */
export const actSigner = (
  { chainId, consortium }: { chainId: number; consortium: Hex },
  statement: ActStatement,
  signature: Hex,
): Hex | null => recovered(actDigest({ chainId, consortium }, statement), signature);

/** What is signed of an act, for contract accounts that judge a signature themselves. */
export const actDigest = (
  { chainId, consortium }: { chainId: number; consortium: Hex },
  statement: ActStatement,
): Hex => digestOf(actDomain(chainId, consortium), 'Act', actTypes.Act, { ...statement });

type Fields = readonly { name: string; type: string }[];

/** EIP-712, for flat types of our own. */
function digestOf(
  { name, version, chainId, verifyingContract }: SignatureDomain,
  type: string,
  fields: Fields,
  values: Record<string, unknown>,
): Hex {
  const separator = keccak256(
    join(
      id('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)'),
      id(name),
      id(version),
      word(chainId),
      addressWord(verifyingContract),
    ),
  );
  const signature712 = `${type}(${fields.map(({ name, type }) => `${type} ${name}`).join(',')})`;
  const struct = keccak256(
    join(id(signature712), ...fields.map(({ name, type }) => wordOf(type, values[name]))),
  );
  return keccak256(join('0x1901', separator, struct));
}

function recovered(digest: Hex, signature: Hex): Hex | null {
  try {
    const key = SigningKey.recoverPublicKey(digest, signature);
    return `0x${keccak256(fromHex(`0x${key.slice(4)}`)).slice(26)}`;
  } catch {
    return null;
  }
}

/** Every member is one word: a hash as it is, a text as its hash, an integer as a number. */
function wordOf(type: string, value: unknown): Hex {
  if (type === 'string') return id(String(value));
  if (type === 'address') return addressWord(String(value) as Hex);
  return type === 'bytes32' ? (String(value) as Hex) : word(BigInt(String(value)));
}
