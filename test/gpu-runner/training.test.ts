import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jobSpec, type JobSpec } from '#core/jobSpec.js';
import { decodeSafetensors } from '#core/safetensors.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import { Bandwidth } from '#gpu-runner/bandwidth.js';
import { DataSets } from '#gpu-runner/dataSets.js';
import { DecisionLog } from '#gpu-runner/decisionLog.js';
import { unlockKey } from '#gpu-runner/keystore.js';
import { ModelCache } from '#gpu-runner/modelCache.js';
import { readRunnerHome } from '#gpu-runner/runnerHome.js';
import { LocalStatistics } from '#gpu-runner/localStatistics.js';
import { ReceiptBook } from '#gpu-runner/receiptBook.js';
import { SignedWork } from '#gpu-runner/signedWork.js';
import { Turns } from '#gpu-runner/turns.js';
import { trainUpdate } from '#gpu-runner/trainUpdate.js';
import { encodeModel, GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import { floatTensor } from '#trainer/onnx/tensor.js';
import { noTraces } from '#services/telemetry/traces.js';
import { TrainingProcess } from '#trainer/run/trainingProcess.js';
import { openUpdate } from '#services/updateSealing.js';
import { coordinator, sealing, startApi, type TestApi } from './api.js';
import { allowed, clientOf, makeHome } from './home.js';
import { makeTask, smallModel, smallSpec, storeModel } from './task.js';

const trainer = new TrainingProcess();
const job = `0x${'ab'.repeat(32)}` as const;
let api: TestApi;
beforeAll(async () => void (api = await startApi()));
afterAll(() => trainer.close());

const quiet = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** One round on a runner of its own, with the real trainer. */
async function round(
  training: Partial<JobSpec['training']>,
  policy: Parameters<typeof makeHome>[1] = {},
  onnx: Uint8Array = smallModel(),
): Promise<{ delta: Int32Array; loss: number; left: string[]; folder: string }> {
  const made = await makeHome(api, policy);
  const home = await readRunnerHome(made.folder);
  const { key } = await unlockKey(home.paths, () => Promise.reject(new Error('no passphrase')));
  const stack = clientOf(api, key);
  const spec = jobSpec.parse(smallSpec({ training }));
  const model = await storeModel(api.artifacts, onnx);
  const task = makeTask(key.address, model, { spec, job });
  const parts = {
    home,
    key,
    stack,
    models: new ModelCache(home.paths.models, stack),
    dataSets: new DataSets(home.paths.data, () => undefined),
    work: new SignedWork(home.paths.work),
    statistics: new LocalStatistics(home.paths.statistics),
    trainer,
    turns: new Turns(),
    bandwidth: new Bandwidth(),
    announcedKey: null,
    decisions: await DecisionLog.open(home.paths, key),
    receipts: await ReceiptBook.open(home.paths.receipts, () => undefined),
    coordinator,
    log: quiet,
    traces: noTraces,
  };
  const control = { signal: new AbortController().signal, onProgress: () => undefined };
  const answer = await trainUpdate(parts, task, control);
  if (answer.kind !== 'update') throw new Error(`no update: ${JSON.stringify(answer)}`);
  const { round } = task.opening;
  const place = { job, round, runner: key.address };
  const sealed = await api.updates.get({ ...place, file: answer.file }, answer.bytes);
  const { delta } = decodeUpdateFile(
    openUpdate(sealed, { id: coordinator, privateKey: sealing.privateKey }, place),
  );
  const left = await readdir(join(home.paths.work, task.opening.job.slice(2), '1'));
  return { delta: Int32Array.from(delta), loss: answer.loss, left, folder: made.folder };
}

test('a job asks for AdamW, a cosine, clipping, smoothing, dropout and accumulation', async () => {
  const rich = {
    optimizer: { name: 'adamw', lr: 0.01, betas: [0.9, 0.99], weightDecay: 0.1 },
    schedule: { name: 'cosine', warmup: 2 },
    clipNorm: 0.5,
    labelSmoothing: 0.1,
    undecayed: ['*.bias'],
    dropout: { 'a.weight': 0.25 },
    accumulate: 2,
    epochs: 3,
  } satisfies Partial<JobSpec['training']>;
  const first = await round(rich, { number: 5 });
  expect((await round(rich, { number: 5 })).delta).toEqual(first.delta);
  expect(first.delta.some((value) => value !== 0)).toBe(true);
  expect(first.loss).toBeGreaterThan(0);
  // Nothing of the training is left beside what was signed.
  expect(first.left.filter((name) => name.includes('checkpoint') || name.includes('attempt'))).toEqual([]);
  const { dropout: _, ...without } = rich;
  expect((await round(without, { number: 5 })).delta).not.toEqual(first.delta);
});

test('statistics of norms stay in the folder of the runner, and its update has none', async () => {
  const builder = new GraphBuilder();
  const of = (name: string, values: number[], dims = [values.length]) => {
    builder.constants.push(floatTensor(name, dims, Float32Array.from(values)));
    return name;
  };
  const ones = [1, 1, 1, 1];
  const statistics = [of('mean', [0, 0, 0, 0]), of('variance', ones)];
  const normal = builder.node('BatchNormalization', [
    'input',
    of('scale', ones),
    of('shift', [0, 0, 0, 0]),
    ...statistics,
  ]);
  const head = of('head', [0.5, -0.5, 0.25, 0.125, -0.25, 0.5, 0.75, -0.75], [4, 2]);
  builder.node('MatMul', [normal, head], {}, 'logits');
  const graph = builder.graph(
    'norm',
    [valueInfo('input', ['batch', 4])],
    [valueInfo('logits', ['batch', 2])],
  );
  const { delta, folder, left } = await round({ batchNorm: 'local' }, {}, encodeModel(graph, 17));
  expect(delta).toHaveLength(4 + 4 + 8);
  expect(left.sort()).toEqual(['answer.json', 'update.bin']);
  const [lineage = ''] = await readdir(join(folder, 'statistics'));
  const [file = ''] = await readdir(join(folder, 'statistics', lineage));
  const { tensors } = decodeSafetensors(await readFile(join(folder, 'statistics', lineage, file)));
  expect([...tensors.keys()].sort()).toEqual(['mean', 'variance']);
});

test('the limits of the owner stop a training', async () => {
  const limits = { memoryMegabytes: 1 };
  await expect(round({}, { policy: { ...allowed, limits } })).rejects.toMatchObject({
    code: 'TRAINING_MEMORY',
  });
});
