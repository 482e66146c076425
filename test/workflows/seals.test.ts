import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { id, Wallet } from 'ethers';
import { canonicalBytes } from '#core/canonicalJson.js';
import { sealListTypes, updateDomain } from '#core/eip712.js';
import type { Hex } from '#core/hex.js';
import type { TrainSeal, TrainUpdate } from '#core/messages.js';
import { sealListHash } from '#core/seal.js';
import { sealListSigner } from '#services/seals.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { signTypedData } from '#services/signatures.js';
import type { Table } from '#services/table.js';
import { admitSeal, checkSealed, signSeals } from '#workflows/activities/seals.js';
import type { PreparedJob } from '#workflows/types.js';
import { runnersOf } from '#test/audit/signing.js';
import { startTable, type Stores } from '#test/services/realParts.js';
import { keyOf } from '#test/support/receipts.js';
import { saltOf, sealedBy } from '#test/support/seals.js';
import { fakePrepared, fakeSpec, hash } from './fakes.js';

const coordinator = new Wallet(id('a coordinator'));
const [first, second, stranger] = runnersOf(3);
if (!first || !second || !stranger) throw new Error('no wallets');
const lower = ({ address }: Wallet) => address.toLowerCase() as Hex;
const prepared: PreparedJob = fakePrepared(hash('e'), { ...fakeSpec(), sealFirst: true });
const opening = {
  job: hash('e'),
  round: 3,
  baseVersion: hash('1'),
  specHash: hash('2'),
  openHash: hash('3'),
  shift: 0,
  selection: [first, second].map((wallet) => ({ runner: lower(wallet), maxSamples: 10 })),
};
const place = { domain: prepared.domain, opening };
const root = hash('7');
const answer = (wallet: Wallet, by = wallet): TrainSeal => ({
  kind: 'sealed',
  ...sealedBy(wallet, place, root, by),
});

describe('a seal', () => {
  test('is admitted when its runner signed it for this round', () => {
    expect(() => admitSeal({ prepared, opening, seal: answer(first) })).not.toThrow();
  });

  const elsewhere = { ...place, opening: { ...opening, openHash: hash('4') } };
  const cases: [string, RegExp, () => unknown][] = [
    ['of a runner that was not selected', /not selected/, () => answer(stranger)],
    ['that another signed', /signed by 0x/, () => answer(first, second)],
    ['for another opening', /signed by 0x/, () => ({ kind: 'sealed', ...sealedBy(first, elsewhere, root) })],
    ['that is an update', /not the form/, () => ({ kind: 'update', runner: lower(first), updateRoot: root })],
    ['that has more to it', /not the form/, () => ({ ...answer(first), updateRoot: root })],
    ['that is nothing', /not the form/, () => null],
  ];
  test.each(cases)('%s is refused', (_, message, seal) => {
    const admit = () => admitSeal({ prepared, opening, seal: seal() as TrainSeal });
    expect(admit).toThrow(message);
    expect(admit).toThrow(expect.objectContaining({ code: 'UPDATE_REFUSED' }));
  });
});

describe('an update behind a seal', () => {
  const { seal } = sealedBy(first, place, root);
  const update = { runner: lower(first), updateRoot: root, salt: saltOf(first, 3) } as TrainUpdate;
  const { salt: _, ...unsalted } = update;

  test('is what was sealed', () => {
    expect(() => checkSealed({ prepared, opening, update, seal })).not.toThrow();
  });

  test.each([
    ['of another root', { ...update, updateRoot: hash('8') }, /do not open the seal/],
    ['with another salt', { ...update, salt: hash('9') }, /do not open the seal/],
    ['of another runner', { ...update, runner: lower(second) }, /do not open the seal/],
    ['without a salt', unsalted as TrainUpdate, /no salt/],
  ])('%s is refused', (_name, wrong, message) => {
    expect(() => checkSealed({ prepared, opening, update: wrong, seal })).toThrow(message);
  });

  test('needs none in a job that asks for none', () => {
    const plain = fakePrepared(hash('e'), fakeSpec());
    expect(() => checkSealed({ prepared: plain, opening, update: unsalted as TrainUpdate })).not.toThrow();
  });
});

describe('the list of seals', () => {
  let stores: Stores;
  let table: Table;
  const stored = new Map<string, Uint8Array>();
  const parts = () => ({
    table,
    artifacts: {
      put: async (data: Uint8Array) => {
        stored.set(sha256Hex(data), data);
        return sha256Hex(data);
      },
    } as never,
    signSealList: (statement: object) => {
      const { chainId, jobs } = prepared.domain;
      return signTypedData(keyOf(coordinator), updateDomain(chainId, jobs), sealListTypes, statement);
    },
  });
  beforeAll(async () => {
    ({ stores, table } = await startTable());
  }, 60_000);
  afterAll(() => stores?.stop());

  test('is stored as it is signed, and signed the same when it is asked for again', async () => {
    const seals = [answer(first), answer(second)];
    const entries = seals.map(({ runner, seal, signature }) => ({ runner, seal, signature }));
    const signed = await signSeals(parts(), { opening, seals });
    expect(signed.list).toBe(sealListHash(sha256, entries));
    expect(stored.get(signed.list)).toEqual(canonicalBytes(entries));
    expect(sealListSigner(place, signed.list, signed.signature)).toBe(lower(coordinator));
    expect(await signSeals(parts(), { opening, seals })).toEqual(signed);
  });

  test('is signed once for an opening: a round that was begun anew does not go on with another', async () => {
    const again = { ...opening, round: 4 };
    const seals = [answer(first), answer(second)];
    await signSeals(parts(), { opening: again, seals });
    await expect(signSeals(parts(), { opening: again, seals: seals.slice(0, 1) })).rejects.toMatchObject({
      code: 'SEALS_BROKEN',
    });
    // Under another opening it is another round.
    await signSeals(parts(), { opening: { ...again, openHash: hash('a') }, seals: seals.slice(0, 1) });
  });
});
