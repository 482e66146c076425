import { SigningKey } from 'ethers/crypto';
import { updateDomain, updateTypes, type UpdateStatement } from '#core/eip712.js';
import { fromHex, type Hex } from '#core/hex.js';
import { id, keccak256 } from './keccak.js';
import { addressWord, join, word } from './rpc.js';

/** The address whose key signed an update's statement (EIP-712); null for what no key signed, or a high s. */
export function updateSigner(
  domain: { chainId: number; jobs: Hex },
  statement: UpdateStatement,
  signature: Hex,
): Hex | null {
  const { name, version, chainId, verifyingContract } = updateDomain(domain.chainId, domain.jobs);
  const separator = keccak256(
    join(
      id('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)'),
      id(name),
      id(version),
      word(chainId),
      addressWord(verifyingContract),
    ),
  );
  const fields = updateTypes.Update.map(({ name: field }) => statement[field as keyof UpdateStatement]);
  const type = `Update(${updateTypes.Update.map(({ name: field, type }) => `${type} ${field}`).join(',')})`;
  // Every member is one word: a 32-byte hash as it is, an integer as a number.
  const struct = keccak256(
    join(id(type), ...fields.map((value) => (typeof value === 'string' ? value : word(value)))),
  );
  const digest = keccak256(join('0x1901', separator, struct));
  try {
    const key = SigningKey.recoverPublicKey(digest, signature);
    return `0x${keccak256(fromHex(`0x${key.slice(4)}`)).slice(26)}`;
  } catch {
    return null;
  }
}
