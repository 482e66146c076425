import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ServerType } from '@hono/node-server';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toHex, ZERO_HASH } from '#core/hex.js';
import { layoutOf } from '#core/layout.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import type { ModelRef, RoundOpening, TrainUpdate } from '#core/messages.js';
import type { RobustRule } from '#core/robustRule.js';
import { bucketName } from '#core/names.js';
import { encodeUpdateFile } from '#core/updateFile.js';
import { localRegion } from '#local/environment.js';
import { serveInvocations } from '#local/lambda/invocations.js';
import { openLambda, type Lambda } from '#local/lambda/lambda.js';
import { distFile } from '#local/paths.js';
import { ensureBucket, openArtifacts } from '#services/artifacts.js';
import { openFunction } from '#services/functionCalls.js';
import { openBucket, type Bucket } from '#services/s3.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { openSums } from '#services/sums.js';
import { openUpdates, updateKey } from '#services/updates.js';
import { sealUpdate } from '#services/updateSealing.js';
import { generateX25519Key } from '#services/x25519.js';
import { aggregate } from '#workflows/activities/aggregate.js';
import type { Dependencies } from '#workflows/activities/dependencies.js';
import { aggregateRobustly } from '#workflows/activities/robustAggregate.js';
import { joinSum, planSum, sumShard } from '#workflows/activities/shardedSum.js';
import { storeVersion } from '#workflows/activities/versions.js';
import type { Aggregate, PreparedJob } from '#workflows/types.js';
import { ByteCache } from '#workflows/artifactCache.js';
import { updateOutliner } from '#workflows/updateOutline.js';
import { updateReader } from '#workflows/updateReader.js';
import { seeded } from '../support/seeded.js';
import { startStores, type Stores } from '../services/realParts.js';
import { forgetful, receiptSigning } from '#test/support/receipts.js';
import { coordinatorAddress, fakePrepared, fakeSpec, hash, runnerAddress } from './fakes.js';

/** Large sums as they are made: the deployed bundle, called as Lambda is, on sealed updates in the bucket. */
const dimension = 500_003;
const runners = 18;
const job = hash('e');
const keys = generateX25519Key();
const recipients = [{ member: coordinatorAddress, publicKey: toHex(keys.publicKey) }];
const spec = { ...fakeSpec(), updates: { recipients } };
const prepared: PreparedJob = { ...fakePrepared(job, spec), dimension };
const opening: RoundOpening = {
  job,
  round: 3,
  baseVersion: ZERO_HASH,
  specHash: ZERO_HASH,
  openHash: ZERO_HASH,
  shift: 0,
  selection: Array.from({ length: runners }, (_, index) => ({
    runner: runnerAddress(index),
    maxSamples: 99,
  })),
};

let stores: Stores;
let folder: string;
let server: ServerType;
const lambdas = new Map<string, Lambda>();
let bucket: Bucket;
let deps: Dependencies;
let updates: TrainUpdate[];
let base: ModelRef;

beforeAll(async () => {
  stores = await startStores(['s3']);
  await ensureBucket({ bucket: bucketName });
  bucket = openBucket({ bucket: bucketName });
  folder = mkdtempSync(join(tmpdir(), 'roundtable-sum-'));
  // The deployed bundle; what is added says how much memory its process has taken at most.
  writeFileSync(
    join(folder, 'sum.mjs'),
    `import * as deployed from ${JSON.stringify(pathToFileURL(distFile('functions/sum.mjs')).href)};
import { appendFileSync, readFileSync } from 'node:fs';
export async function handler(event, context) {
  const answer = await deployed.handler(event, context);
  appendFileSync(${JSON.stringify(join(folder, 'peaks'))}, /VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  return answer;
}`,
  );
  lambdas.set('sum', openLambda(folder, 'sum', localRegion));
  server = await serveInvocations({ lambdas, port: 0, timeoutSeconds: 120 });
  process.env['AWS_ENDPOINT_URL_LAMBDA'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const reader = { id: coordinatorAddress, privateKey: keys.privateKey };
  const stored = openUpdates({ bucket: bucketName });
  deps = {
    artifacts: openArtifacts({ bucket: bucketName }),
    updates: stored,
    readUpdate: updateReader(stored, reader, new ByteCache(0)),
    outliner: updateOutliner(stored, reader),
    table: forgetful,
    signReceipt: receiptSigning({ chainId: 31337, jobs: hash('d').slice(0, 42) as `0x${string}` }),
    sums: openSums({ bucket: bucketName }),
    sumFunction: openFunction({ name: 'sum' }),
  } as Partial<Dependencies> as Dependencies;
  updates = [];
  for (let index = 0; index < runners; index++) updates.push(await storedUpdate(index));
  const layout = layoutOf([{ name: 'w', shape: [dimension], exponent: -26 }]);
  const random = seeded(7);
  const params = Int32Array.from({ length: dimension }, () => Math.floor(random() * 2 ** 27) - 2 ** 26);
  base = await storeVersion(deps, { graph: hash('a'), layout, params, velocity: null });
}, 120_000);
afterAll(async () => {
  for (const lambda of lambdas.values()) lambda.close();
  server?.close();
  await stores?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function storedUpdate(index: number): Promise<TrainUpdate> {
  const random = seeded(index + 1);
  const delta = Int32Array.from({ length: dimension }, () => Math.floor((random() - 0.5) * 2 ** 31));
  const runner = runnerAddress(index);
  const file = encodeUpdateFile({ job, round: 3, runner, ring: 'i32', sections: { delta } });
  const sealed = sealUpdate(file, recipients, { job, round: 3, runner });
  const sha = sha256Hex(sealed);
  await bucket.write(updateKey({ job, round: 3, runner, file: sha }), sealed, sha);
  return {
    kind: 'update',
    runner,
    file: sha,
    bytes: sealed.length,
    updateRoot: toHex(valuesRoot(sha256, LEAF.update, delta)),
    dimension,
    samples: 10 + index,
    steps: 1,
    saturated: 0,
    signature: `0x${'ab'.repeat(64)}1b`,
    training: { onnxruntime: '1', provider: 'cpu', cpu: 'avx2', threads: 1 },
    loss: 1,
    seconds: 1,
  };
}

const inputOf = (shards: number) => ({ prepared: { ...prepared, shards }, opening, base, updates });

async function sumInShards(shards: number): Promise<Aggregate> {
  const input = inputOf(shards);
  const plans = await planSum(deps, input);
  expect(plans).toHaveLength(shards);
  const parts = await Promise.all(
    plans.map((plan) => sumShard(deps, { prepared: input.prepared, round: 3, plan })),
  );
  return joinSum(deps, { ...input, parts });
}

describe('the sum in shards', () => {
  let whole: Aggregate;
  beforeAll(async () => {
    whole = await aggregate(deps, inputOf(1));
    expect(whole.sumRoots.map((level) => level.length)).toEqual([2, 1]);
  }, 60_000);

  test.each([1, 3, 16])(
    'of %d functions leads to the same roots, header and version',
    async (shards) => {
      expect(await sumInShards(shards)).toEqual(whole);
    },
    60_000,
  );

  test('with server momentum has the same velocity, too', async () => {
    const momentum = { numerator: 9, denominator: 10 };
    const rate = { numerator: 1, denominator: 1 };
    const withMomentum = { ...spec, aggregation: { rule: 'fedavgm' as const, rate, momentum } };
    const input = { ...inputOf(3), prepared: { ...prepared, spec: withMomentum, shards: 3 } };
    const plans = await planSum(deps, input);
    const parts = await Promise.all(
      plans.map((plan) => sumShard(deps, { prepared: input.prepared, round: 3, plan })),
    );
    const joined = await joinSum(deps, { ...input, parts });
    expect(joined.version.stateRoot).not.toBe(ZERO_HASH);
    expect(joined).toEqual(await aggregate(deps, input));
  }, 60_000);

  test.each<RobustRule>([{ rule: 'median' }, { rule: 'trimmed-mean', percent: 20 }])(
    'under the rule $rule is the same in one piece, in passes and in functions',
    async (robust) => {
      const ruled = { ...prepared, spec: { ...spec, aggregation: { ...spec.aggregation, robust } } };
      const robustly = await aggregate(deps, { ...inputOf(1), prepared: ruled });
      expect(robustly.sumRoots).not.toEqual(whole.sumRoots);
      const input = { ...inputOf(1), prepared: ruled };
      // Nine million values, five million at a time.
      expect(await aggregateRobustly(deps, input, robust, 5_000_000)).toEqual(robustly);
      const sharded = { ...inputOf(3), prepared: { ...ruled, shards: 3 } };
      const plans = await planSum(deps, sharded);
      const parts = await Promise.all(
        plans.map((plan) => sumShard(deps, { prepared: ruled, round: 3, plan })),
      );
      expect(await joinSum(deps, { ...sharded, parts })).toEqual(robustly);
    },
    60_000,
  );

  test('of a lost part is made again by that function alone', async () => {
    const input = inputOf(3);
    const plans = await planSum(deps, input);
    const part = () => sumShard(deps, { prepared: input.prepared, round: 3, plan: plans[1] ?? ZERO_HASH });
    const first = await part();
    await bucket.remove(`updates/${job.slice(2)}/3/sums/${first.slice(2)}`);
    expect(await part()).toBe(first);
    expect(await deps.sums.readPart({ job, round: 3 }, first, 2 ** 30)).toBeDefined();
  }, 60_000);
});

test('the memory of a function falls with the number of functions', async () => {
  const peaks: number[] = [];
  for (const shards of [1, 16]) {
    lambdas.get('sum')?.close();
    lambdas.set('sum', openLambda(folder, 'sum', localRegion));
    rmSync(join(folder, 'peaks'), { force: true });
    const [plan = ZERO_HASH] = await planSum(deps, inputOf(shards));
    await sumShard(deps, { prepared, round: 3, plan });
    peaks.push(Number(readFileSync(join(folder, 'peaks'), 'utf8')) / 1_000);
  }
  const [whole = 0, sixteenth = 0] = peaks;
  // In one piece 36 bytes are held for each of half a million values, in a sixteenth 17 MB less.
  expect(whole - sixteenth).toBeGreaterThan(8);
}, 60_000);

describe('a wrong byte in an update', () => {
  const shards = 3;
  let plans: `0x${string}`[];
  let key: string;
  let right: Uint8Array;
  beforeAll(async () => {
    plans = await planSum(deps, inputOf(shards));
    const [, , update] = updates;
    if (!update) throw new TypeError('there is no third update');
    key = updateKey({ job, round: 3, runner: update.runner, file: update.file });
    right = await bucket.read(key);
  }, 60_000);
  afterAll(() => bucket.write(key, right, sha256Hex(right)));

  test('is found by the function of its range, which names the runner; the others do not read it', async () => {
    for (const shard of [0, 1, 2]) {
      const wrong = right.slice();
      const at = Math.floor(((shard + 0.5) / shards) * wrong.length);
      wrong[at] = (wrong[at] ?? 0) ^ 1;
      await bucket.write(key, wrong, sha256Hex(wrong));
      const results = await Promise.allSettled(
        plans.map((plan) => sumShard(deps, { prepared, round: 3, plan })),
      );
      expect(results.map(({ status }) => status)).toEqual(
        [0, 1, 2].map((index) => (index === shard ? 'rejected' : 'fulfilled')),
      );
      expect(results[shard]).toMatchObject({
        reason: { code: 'ARTIFACT_CORRUPT', message: expect.stringContaining(runnerAddress(2)) },
      });
    }
  }, 60_000);

  test('is found when it is admitted, too', async () => {
    const fresh = updateOutliner(openUpdates({ bucket: bucketName }), {
      id: coordinatorAddress,
      privateKey: keys.privateKey,
    });
    const shape = { dimension, ranges: [{ from: 0, to: Math.ceil(dimension / 64) }], readers: recipients };
    const [, , update] = updates;
    const name = { job, round: 3, runner: update?.runner ?? ZERO_HASH, file: update?.file ?? ZERO_HASH };
    await expect(fresh.outline(name, shape)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  });
});

test('the function is told the keys of updates by its caller alone: nothing in the bucket opens them', async () => {
  const input = inputOf(1);
  const [plan = ZERO_HASH] = await planSum(deps, input);
  const call = { job, round: 3, plan, keys: Buffer.alloc(32 * runners).toString('base64') };
  expect(await deps.sumFunction(call)).toMatchObject({ error: { code: 'ARTIFACT_CORRUPT' } });
  const short = { ...call, keys: '' };
  expect(await deps.sumFunction(short)).toMatchObject({ error: { code: 'INVALID_INPUT' } });
});

test('a function that dies gives no answer, and its caller may call again', async () => {
  await expect(openFunction({ name: 'sum' })({ not: 'a call' })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
  });
  await expect(openFunction({ name: 'nothing' })({})).rejects.toThrow(/not found/i);
});
