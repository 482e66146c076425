import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { toHex, ZERO_HASH } from '#core/hex.js';
import { LEAF, leafCount } from '#core/merkle.js';
import { subtreeRoots, TreeOutline } from '#core/merkleRange.js';
import { bucketName } from '#core/names.js';
import { shardRanges, valuesOf, type ShardedUpdate } from '#core/shards.js';
import { decodeUpdateHead, encodeUpdateFile } from '#core/updateFile.js';
import { s3Part } from '#local/emulators/s3.js';
import { awsEnvironment, localRegion } from '#local/environment.js';
import { openLambda } from '#local/lambda/lambda.js';
import { distFile } from '#local/paths.js';
import { Supervisor } from '#local/supervisor/supervisor.js';
import { ensureBucket } from '#services/artifacts.js';
import { openBucket } from '#services/s3.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { openSums } from '#services/sums.js';
import { updateKey } from '#services/updates.js';
import { openUpdateHead, sealUpdate } from '#services/updateSealing.js';
import { generateX25519Key } from '#services/x25519.js';
import type { Emit } from './main.js';
import { randomInt32 } from './measure.js';

const dimension = 2 ** 23;
const runners = 8;
const cuts = [1, 2, 4, 8, 16];

const job = `0x${'11'.repeat(32)}` as const;
const round = 1;
const member = `0x${'cc'.repeat(20)}` as const;

/**
 * The sum of eight sealed updates of 8.4 M parameters, cut among 1 to 16 functions: what the first function takes at
 * most, and for how long it runs, each time in a new process. The store is on this machine.
 */
export async function run(emit: Emit): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-shards-'));
  const supervisor = await Supervisor.open(folder);
  try {
    const { ports } = await supervisor.choosePorts({ s3: null });
    Object.assign(process.env, awsEnvironment({ dynamodb: 0, s3: ports.s3, sqs: 0 }), {
      BUCKET_NAME: bucketName,
      LOG_LEVEL: 'silent',
    });
    await supervisor.start(s3Part({ port: ports.s3, stateDir: folder }));
    await ensureBucket({ bucket: bucketName });
    writeFileSync(join(folder, 'sum.mjs'), measured);
    const updates: StoredUpdate[] = [];
    for (let index = 0; index < runners; index++) updates.push(await store(index));
    let whole = 0;
    for (const shards of cuts) {
      const figures = await measure(folder, updates, shards);
      whole ||= figures.peakMegabytes - figures.idleMegabytes;
      emit({
        dimension,
        runners,
        shards,
        ...figures,
        memoryRatio: (figures.peakMegabytes - figures.idleMegabytes) / whole,
        against: 'one function for all',
      });
    }
  } finally {
    await supervisor.stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface StoredUpdate {
  update: Omit<ShardedUpdate, 'proof'>;
  key: Uint8Array;
  delta: Int32Array;
}

const { publicKey, privateKey } = generateX25519Key();

async function store(index: number): Promise<StoredUpdate> {
  const delta = randomInt32(dimension, index);
  const runner = `0x${String(index).padStart(40, '0')}` as const;
  const plain = encodeUpdateFile({ job, round, runner, ring: 'i32', sections: { delta } });
  const sealed = sealUpdate(plain, [{ member, publicKey: toHex(publicKey) }], { job, round, runner });
  const file = sha256Hex(sealed);
  await openBucket({ bucket: bucketName }).write(updateKey({ job, round, runner, file }), sealed, file);
  const { key, nonce, at } = openUpdateHead(sealed, { id: member, privateKey }, { job, round, runner });
  const { valuesAt } = decodeUpdateHead(plain);
  return {
    update: {
      runner,
      file,
      weight: 600 + index,
      updateRoot: ZERO_HASH,
      nonce: toHex(nonce),
      sealedAt: at,
      valuesAt,
    },
    key,
    delta,
  };
}

async function measure(folder: string, updates: readonly StoredUpdate[], shards: number) {
  const ranges = shardRanges(dimension, shards);
  const [range] = ranges;
  if (!range) throw new TypeError('there is no range');
  const proven = updates.map(({ update, delta }) => {
    const tree = new TreeOutline(sha256, leafCount(dimension));
    for (const one of ranges)
      tree.add(one, subtreeRoots(sha256, LEAF.update, delta.subarray(...valuesOf(dimension, one)), one));
    return { ...update, updateRoot: toHex(tree.root), proof: toHex(Buffer.concat(tree.proof(range))) };
  });
  const sums = openSums({ bucket: bucketName });
  const plan = await sums.writePlan({ kind: 'shard', job, round, dimension, range, updates: proven });
  const keys = Buffer.concat(updates.map(({ key }) => key)).toString('base64');
  const lambda = openLambda(folder, 'sum', localRegion);
  await lambda.warm();
  const { idle } = (await lambda.invoke({}, 60)) as { idle: number };
  const began = performance.now();
  const { answer, peak } = (await lambda.invoke({ job, round, plan, keys }, 600)) as {
    answer: object;
    peak: number;
  };
  const seconds = (performance.now() - began) / 1_000;
  lambda.close();
  if (!('part' in answer)) throw new Error(JSON.stringify(answer));
  const [from, to] = valuesOf(dimension, range);
  return {
    peakMegabytes: Math.round(peak / 1_000),
    idleMegabytes: Math.round(idle / 1_000),
    seconds,
    valuesPerSecond: Math.round(((to - from) * runners) / seconds),
  };
}

/** The deployed bundle in a few lines that say how much memory its process has taken at most, in kB. */
const measured = `
import * as deployed from ${JSON.stringify(pathToFileURL(distFile('functions/sum.mjs')).href)};
import { readFileSync } from 'node:fs';
const peak = () => Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
export async function handler(event, context) {
  if (!event.plan) return { idle: peak() };
  return { answer: await deployed.handler(event, context), peak: peak() };
}
`;
