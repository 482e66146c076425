import { describe, expect, test } from '@jest/globals';
import { id, TypedDataEncoder, verifyTypedData, Wallet } from 'ethers';
import { canonicalJson } from '#core/canonicalJson.js';
import { sealListTypes, updateDomain } from '#core/eip712.js';
import { sealListHash } from '#core/seal.js';
import { sealListSigner, sealSigner, wrongSeal } from '#services/seals.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { runnersOf } from '../audit/signing.js';
import { listSignedBy, sealedBy } from '../support/seals.js';

const hash = (digit: string) => `0x${digit.repeat(64)}` as const;
const coordinator = new Wallet(id('a coordinator'));
const wallets = runnersOf(3);
const [first, second, third] = wallets;
if (!first || !second || !third) throw new Error('no wallets');
const round = {
  domain: { chainId: 31337, jobs: `0x${'bb'.repeat(20)}` as const },
  opening: { job: hash('1'), round: 3, openHash: hash('2') },
};
const list = wallets.map((wallet) => sealedBy(wallet, round, hash('3')));
const lower = ({ address }: Wallet) => address.toLowerCase();

describe('a list of seals', () => {
  test('is named by the SHA-256 of its canonical JSON', () => {
    const text = `[${list
      .map((entry) => `{"runner":"${entry.runner}","seal":"${entry.seal}","signature":"${entry.signature}"}`)
      .join()}]`;
    expect(canonicalJson(list)).toBe(text);
    expect(sealListHash(sha256, list)).toBe(sha256Hex(new TextEncoder().encode(text)));
  });

  test('is signed for one round, opening, chain and contract', () => {
    const signature = listSignedBy(coordinator, round, list);
    const named = sealListHash(sha256, list);
    expect(TypedDataEncoder.from(sealListTypes).encodeType('SealList')).toBe(
      'SealList(bytes32 job,uint32 round,bytes32 openHash,bytes32 list)',
    );
    const { job, round: number, openHash } = round.opening;
    const statement = { job, round: number, openHash, list: named };
    const domain = updateDomain(round.domain.chainId, round.domain.jobs);
    expect(verifyTypedData(domain, sealListTypes, statement, signature)).toBe(coordinator.address);
    expect(sealListSigner(round, named, signature)).toBe(lower(coordinator));
    const others = [
      { ...round, opening: { ...round.opening, round: 4 } },
      { ...round, opening: { ...round.opening, openHash: hash('4') } },
      { ...round, domain: { ...round.domain, chainId: 1 } },
    ];
    for (const other of others) expect(sealListSigner(other, named, signature)).not.toBe(lower(coordinator));
  });

  test('holds where each runner signed its seal for this opening, and stands there once', () => {
    expect(wrongSeal(round, list)).toBeNull();
    const later = { ...round, opening: { ...round.opening, round: 4 } };
    expect(wrongSeal(later, list)?.runner).toBe(lower(first));
    const [one, two, three] = list;
    if (!one || !two || !three) throw new Error('no seals');
    expect(wrongSeal(round, [one, one, two])?.what).toMatch(/there twice/);
    expect(wrongSeal(round, [two, one])?.what).toMatch(/out of order/);
    expect(wrongSeal(round, [one, sealedBy(second, round, hash('3'), third)])?.what).toMatch(
      `signed by ${lower(third)}`,
    );
    // A copy of another's seal, signed: it opens for its first owner only.
    expect(sealSigner(round, { ...two, seal: one.seal })).not.toBe(lower(second));
  });
});
