import { beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import { updateDomain, updateTypes } from '#core/eip712.js';
import { RoundtableError } from '#core/errors.js';
import { toHex } from '#core/hex.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import type { RoundOpening, TrainUpdate } from '#core/messages.js';
import { openHash } from '#core/openHash.js';
import { encodeUpdateFile } from '#core/updateFile.js';
import { layoutOf } from '#core/layout.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { sealUpdate, type UpdateIds } from '#services/updateSealing.js';
import { generateX25519Key } from '#services/x25519.js';
import { admitUpdate, aggregate } from '#workflows/activities/aggregate.js';
import { storeVersion } from '#workflows/activities/versions.js';
import type { Dependencies } from '#workflows/activities/dependencies.js';
import type { PreparedJob } from '#workflows/types.js';
import { ByteCache } from '#workflows/artifactCache.js';
import { updateOutliner } from '#workflows/updateOutline.js';
import { updateReader } from '#workflows/updateReader.js';
import { coordinatorAddress, fakePrepared, fakeSpec, hash } from './fakes.js';
import { forgetful, receiptSigning } from '#test/support/receipts.js';

/** Hostile and clumsy runners: what is not exactly what it should be does not enter a sum. */
const dimension = 130;
const job = hash('e');
const runners = Array.from({ length: 20 }, (_, index) => new Wallet(sha256Hex(Uint8Array.of(index))))
  .map((wallet) => ({ wallet, runner: wallet.address.toLowerCase() as `0x${string}` }))
  .sort((a, b) => (a.runner < b.runner ? -1 : 1));
const [first, second] = runners;
if (!first || !second) throw new Error('no runners');

const stored = new Map<string, Uint8Array>();
const artifacts = {
  put: async (data: Uint8Array) => {
    const sha = sha256Hex(data);
    stored.set(sha, data);
    return sha;
  },
  get: async (sha: `0x${string}`, most = Infinity) => {
    const bytes = stored.get(sha);
    if (!bytes) throw new RoundtableError('NOT_FOUND', `There is no artifact ${sha}.`);
    if (bytes.length > most) throw new RoundtableError('PAYLOAD_TOO_LARGE', 'too large');
    return bytes;
  },
};
const keys = generateX25519Key();
const readers = [{ member: coordinatorAddress, publicKey: toHex(keys.publicKey) }];
const reader = { id: coordinatorAddress, privateKey: keys.privateKey };
const pieces = updateOutliner(
  {
    size: async ({ file }) => (await artifacts.get(file)).length,
    readRange: async ({ file }, from, to) => (await artifacts.get(file)).slice(from, to),
  },
  reader,
);
const deps = {
  artifacts,
  outliner: pieces,
  readUpdate: (name, most) =>
    updateReader({ get: ({ file }) => artifacts.get(file, most) }, reader, new ByteCache(0))(name, most),
  table: forgetful,
  signReceipt: receiptSigning(fakePrepared(job, fakeSpec()).domain),
} as Partial<Dependencies> as Dependencies;
const spec = { ...fakeSpec(), updates: { recipients: readers } };
const prepared: PreparedJob = { ...fakePrepared(job, spec), dimension };

function openingOf(round: number): RoundOpening {
  const fields = {
    job,
    round,
    baseVersion: prepared.base.versionId,
    specHash: prepared.specHash,
    shift: 0,
    selection: runners.map(({ runner }) => ({ runner, maxSamples: 500 })),
  };
  return { ...fields, openHash: openHash(sha256, fields) };
}
const opening = openingOf(3);

/** An honest update but for what is changed before it is signed. */
async function updateOf(
  by: { wallet: Wallet; runner: `0x${string}` },
  change: {
    delta?: Int32Array;
    signed?: Partial<{ round: number; samples: number; openHash: `0x${string}`; dimension: number }>;
    domain?: ReturnType<typeof updateDomain>;
    file?: Uint8Array;
    /** How the file is sealed, if not for the coordinator and this round. */
    sealed?: (file: Uint8Array) => Uint8Array;
    sent?: Partial<TrainUpdate>;
  } = {},
): Promise<TrainUpdate> {
  const delta = change.delta ?? Int32Array.from({ length: dimension }, (_, index) => index * 7 - 300);
  const file =
    change.file ?? encodeUpdateFile({ job, round: 3, runner: by.runner, ring: 'i32', sections: { delta } });
  const sealed = (change.sealed ?? sealedAs({ job, round: 3, runner: by.runner }))(file);
  const statement = {
    job,
    round: 3,
    openHash: opening.openHash,
    updateRoot: toHex(valuesRoot(sha256, LEAF.update, delta)),
    dimension: delta.length,
    samples: 100,
    steps: 10,
    ...change.signed,
  };
  const { chainId, jobs } = prepared.domain;
  const signature = await by.wallet.signTypedData(
    change.domain ?? updateDomain(chainId, jobs),
    updateTypes,
    statement,
  );
  return {
    kind: 'update',
    runner: by.runner,
    file: await artifacts.put(sealed),
    bytes: sealed.length,
    updateRoot: statement.updateRoot,
    dimension: statement.dimension,
    samples: statement.samples,
    steps: statement.steps,
    saturated: 0,
    signature: signature as `0x${string}`,
    training: { onnxruntime: '1', provider: 'cpu', cpu: 'avx2', threads: 1 },
    loss: 1,
    seconds: 1,
    ...change.sent,
  };
}

const sealedAs =
  (of: UpdateIds, by = readers) =>
  (file: Uint8Array) =>
    sealUpdate(file, by, of);

/** Read at once, or in pieces, as where it is larger than what the worker holds. */
const ways = [
  { way: 'read at once', shards: 1 },
  { way: 'read in pieces', shards: 3 },
];
const admit = async (update: Promise<TrainUpdate>, shards: number) =>
  admitUpdate(deps, { prepared: { ...prepared, shards }, opening, update: await update });

describe.each(ways)('an update that is $way is admitted', ({ shards }) => {
  test('when it is what its runner signed for this round', async () => {
    await expect(admit(updateOf(first), shards)).resolves.toBeUndefined();
  });
});

describe.each(ways)('an update that is $way is refused', ({ shards }) => {
  const stranger = new Wallet(sha256Hex(Uint8Array.of(99)));
  const saturated = new Int32Array(dimension).fill(2_147_483_647, 0, 1);
  const cases: [string, RegExp, () => Promise<TrainUpdate>][] = [
    [
      "with another's signature",
      /signature is of/,
      () => updateOf({ wallet: second.wallet, runner: first.runner }),
    ],
    [
      'of a runner that was not selected',
      /not selected/,
      () => updateOf({ wallet: stranger, runner: stranger.address.toLowerCase() as `0x${string}` }),
    ],
    ['signed for another round', /signature is of/, () => updateOf(first, { signed: { round: 2 } })],
    [
      'signed for another opening',
      /signature is of/,
      () => updateOf(first, { signed: { openHash: openingOf(4).openHash } }),
    ],
    [
      'signed for another chain',
      /signature is of/,
      () => updateOf(first, { domain: updateDomain(1, prepared.domain.jobs) }),
    ],
    [
      'signed for another contract',
      /signature is of/,
      () => updateOf(first, { domain: updateDomain(prepared.domain.chainId, `0x${'1'.repeat(40)}`) }),
    ],
    [
      'whose samples were raised afterwards',
      /signature is of/,
      () => updateOf(first, { sent: { samples: 200 } }),
    ],
    [
      'that claims more samples than declared',
      /501 samples, and 500/,
      () => updateOf(first, { signed: { samples: 501 } }),
    ],
    [
      'whose file holds other values',
      /file has the root/,
      () =>
        updateOf(first, {
          file: encodeUpdateFile({
            job,
            round: 3,
            runner: first.runner,
            ring: 'i32',
            sections: { delta: new Int32Array(dimension) },
          }),
        }),
    ],
    [
      "whose file is another round's",
      /file is for/,
      () =>
        updateOf(first, {
          file: encodeUpdateFile({
            job,
            round: 2,
            runner: first.runner,
            ring: 'i32',
            sections: { delta: new Int32Array(dimension) },
          }),
        }),
    ],
    [
      'of another size than the model',
      /129 values, and the model has 130/,
      () => updateOf(first, { delta: new Int32Array(129) }),
    ],
    ['whose file is not one', /cannot be read/, () => updateOf(first, { file: new Uint8Array(600).fill(7) })],
    [
      'whose file is huge',
      // In pieces, by its first bytes.
      /cannot be read: (too large|Not an update file)/,
      () => updateOf(first, { file: new Uint8Array(100_000) }),
    ],
    ['that is in the clear', /cannot be read: .*envelope/, () => updateOf(first, { sealed: (file) => file })],
    [
      'sealed for somebody else',
      /cannot be read: .*sealed for others/,
      () =>
        updateOf(first, {
          sealed: sealedAs({ job, round: 3, runner: first.runner }, [
            { member: coordinatorAddress, publicKey: toHex(generateX25519Key().publicKey) },
          ]),
        }),
    ],
    [
      'sealed for another round',
      /cannot be read: .*another purpose/,
      () => updateOf(first, { sealed: sealedAs({ job, round: 2, runner: first.runner }) }),
    ],
    [
      'taken from another runner',
      /cannot be read: .*another purpose/,
      () => updateOf(first, { sealed: sealedAs({ job, round: 3, runner: second.runner }) }),
    ],
    ['whose file was never stored', /cannot be read/, () => updateOf(first, { sent: { file: hash('9') } })],
    [
      'with saturated values that the job does not allow',
      /1 of its values/,
      () => updateOf(first, { delta: saturated }),
    ],
    [
      'that has not the form of one',
      /not the form/,
      () => updateOf(first, { sent: { samples: '100' as unknown as number } }),
    ],
    [
      'with a signature that is none',
      /has not the form/,
      () => updateOf(first, { sent: { signature: `0x${'00'.repeat(65)}` } }),
    ],
  ];

  test.each(cases)('%s', async (_, message, update) => {
    const failure = admit(update(), shards);
    await expect(failure).rejects.toMatchObject({ code: 'UPDATE_REFUSED' });
    await expect(failure).rejects.toThrow(message);
  });
});

describe('the sum over twenty runners, two levels deep', () => {
  let updates: TrainUpdate[];
  const deltas = runners.map((_, runner) =>
    Int32Array.from(
      { length: dimension },
      (__, index) => (index + 1) * (runner % 2 === 0 ? 1 : -1) * (runner + 3),
    ),
  );
  beforeAll(async () => {
    updates = await Promise.all(
      runners.map((by, index) =>
        updateOf(by, { delta: deltas[index] ?? new Int32Array(), signed: { samples: 10 + index } }),
      ),
    );
  });

  test('is exact, and its step is FedAvg to the integer', async () => {
    const layout = layoutOf([{ name: 'w', shape: [dimension], exponent: -26 }]);
    const params = Int32Array.from({ length: dimension }, (_, index) => index * 1_000);
    const base = await storeVersion(deps, { graph: hash('a'), layout, params, velocity: null });
    const result = await aggregate(deps, { prepared, opening, base, updates });
    expect(result.weights).toEqual(updates.map(({ samples }) => samples));
    expect(result.sumRoots.map((level) => level.length)).toEqual([2, 1]);

    const total = result.weights.reduce((a, b) => a + b, 0);
    const expected = params.map((value, index) => {
      const sum = deltas.reduce((acc, delta, runner) => acc + (delta[index] ?? 0) * (10 + runner), 0);
      return value + roundHalfEven(sum, total);
    });
    const again = await storeVersion(deps, { graph: hash('a'), layout, params: expected, velocity: null });
    expect(result.version).toEqual(again);
  });
});

function roundHalfEven(numerator: number, denominator: number): number {
  const floor = Math.floor(numerator / denominator);
  const rest = 2 * (numerator - floor * denominator);
  return rest > denominator || (rest === denominator && floor % 2 !== 0) ? floor + 1 : floor;
}
