import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import { canonicalBytes } from '#core/canonicalJson.js';
import type { Hex } from '#core/hex.js';
import type { ModelRef, RevealTask, TrainSeal, TrainTask } from '#core/messages.js';
import { sealListHash, sealOf, type SealList } from '#core/seal.js';
import { homePaths } from '#gpu-runner/runnerHome.js';
import { readDecisions } from '#gpu-runner/verifyDecisions.js';
import { sealSigner } from '#services/seals.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { listSignedBy, sealedBy } from '../support/seals.js';
import { coordinatorWallet, startApi, type TestApi } from './api.js';
import { makeTask, smallModel, smallSpec, storeModel } from './task.js';
import { makeRunner, roundFolder, storedUpdate, updateOf } from './taskRunner.js';

let api: TestApi;
let model: ModelRef;
const other = new Wallet(`0x${'07'.repeat(32)}`);
const others = [other.address.toLowerCase() as Hex];
const spec = { ...smallSpec(), sealFirst: true as const };
const someRoot = `0x${'33'.repeat(32)}` as const;

beforeAll(async () => {
  api = await startApi();
  model = await storeModel(api.artifacts, smallModel());
});
beforeEach(() => {
  api.fault = null;
  api.requests.length = 0;
});

type Runner = Awaited<ReturnType<typeof makeRunner>>;

const taskOf = (runner: Runner, change: Parameters<typeof makeTask>[2] = {}) =>
  makeTask(runner.key.address, model, { spec, others, ...change });

async function sealOfTask(runner: Runner, task: TrainTask): Promise<TrainSeal> {
  const answer = await runner.train(task);
  if (answer.kind !== 'sealed') throw new Error(`no seal: ${JSON.stringify(answer)}`);
  return answer;
}

/** The round's second task, as the coordinator makes it unless something is changed. */
async function revealing(
  task: TrainTask,
  list: SealList,
  change: { signer?: Wallet; signedFor?: TrainTask; bytes?: Uint8Array } = {},
): Promise<RevealTask> {
  await api.artifacts.put(change.bytes ?? canonicalBytes(list));
  const named = change.bytes ? sha256Hex(change.bytes) : sealListHash(sha256, list);
  const signature = listSignedBy(change.signer ?? coordinatorWallet, change.signedFor ?? task, list);
  return { ...task, seals: { list: named, signature } };
}

const entryOf = ({ runner, seal, signature }: TrainSeal) => ({ runner, seal, signature });
const ascending = (list: SealList): SealList => list.toSorted((a, b) => (a.runner < b.runner ? -1 : 1));
const listOf = (task: TrainTask, own: TrainSeal): SealList =>
  ascending([entryOf(own), sealedBy(other, task, someRoot)]);
const uploads = () => api.requests.filter((request) => request.includes('/v1/uploads'));
const record = (runner: Runner, task: TrainTask, name: string): unknown =>
  JSON.parse(readFileSync(join(roundFolder(runner.work, task), name), 'utf8'));

describe('where the job has runners seal first, training ends with the seal', () => {
  test('of the update that lies beside it; nothing else is signed, nothing is sent', async () => {
    const runner = await makeRunner(api);
    const task = taskOf(runner);
    const answer = await sealOfTask(runner, task);
    expect(Object.keys(answer).sort()).toEqual(['kind', 'runner', 'seal', 'signature']);
    expect(sealSigner(task, answer)).toBe(runner.key.address);
    expect(uploads()).toEqual([]);
    expect(readdirSync(roundFolder(runner.work, task)).sort()).toEqual(['seal.json', 'update.bin']);
    const { salt, update } = record(runner, task, 'seal.json') as { salt: Hex; update: { updateRoot: Hex } };
    expect(sealOf(sha256, update.updateRoot, runner.key.address, salt)).toBe(answer.seal);
  });

  test('and asked again, after a restart too, it gives the very same seal without training', async () => {
    const runner = await makeRunner(api);
    const task = taskOf(runner);
    const first = await sealOfTask(runner, task);
    runner.trainer.change = (value) => value + 1;
    expect(await sealOfTask(runner, task)).toEqual(first);
    expect(runner.trainer.requests).toHaveLength(1);
  });

  test('an update that was lost is made again under the same seal, or not at all', async () => {
    const runner = await makeRunner(api);
    const task = taskOf(runner);
    const first = await sealOfTask(runner, task);
    await rm(join(roundFolder(runner.work, task), 'update.bin'));
    expect(await sealOfTask(runner, task)).toEqual(first);
    expect(runner.trainer.requests).toHaveLength(2);
    await rm(join(roundFolder(runner.work, task), 'update.bin'));
    runner.trainer.change = (value) => value + 0.001;
    await expect(runner.train(task)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('a round that was sealed is sealed for no other opening', async () => {
    const runner = await makeRunner(api);
    const task = taskOf(runner);
    await sealOfTask(runner, task);
    const { job } = task.opening;
    for (const again of [{ others: [] }, { spec: smallSpec() }])
      expect(await runner.train(taskOf(runner, { job, ...again }))).toMatchObject({
        kind: 'refused',
        code: 'ALREADY_SIGNED',
      });
  });

  test('a damaged record stops it', async () => {
    const runner = await makeRunner(api);
    const task = taskOf(runner);
    await sealOfTask(runner, task);
    await writeFile(join(roundFolder(runner.work, task), 'seal.json'), '{"seal"');
    await expect(runner.train(task)).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
  });
});

describe('asked to reveal, with the list of all seals that the coordinator signed', () => {
  test('it signs what it had sealed, sends it, and opens its seal', async () => {
    const runner = await makeRunner(api);
    const task = taskOf(runner);
    const own = await sealOfTask(runner, task);
    const reveal = await revealing(task, listOf(task, own));
    const answer = await updateOf(runner.reveal(reveal));
    expect(runner.trainer.requests).toHaveLength(1);
    expect(sealOf(sha256, answer.updateRoot, answer.runner, answer.salt ?? '0x')).toBe(own.seal);
    expect(sha256Hex(await storedUpdate(api, task, answer))).toBe(answer.file);
    expect(record(runner, task, 'seals.json')).toMatchObject({
      coordinator: task.coordinator,
      list: reveal.seals.list,
      signature: reveal.seals.signature,
      seals: listOf(task, own),
    });
    const decided = await readDecisions(homePaths(runner.folder));
    expect(decided.map(({ kind }) => kind).filter((kind) => kind !== 'started')).toEqual([
      'allowed',
      'sealed',
      'sent',
    ]);
    // A second time it is the same, and so is the seal.
    expect(await updateOf(runner.reveal(reveal))).toEqual(answer);
    expect(await sealOfTask(runner, task)).toEqual(own);
  });

  test('the update is the one that it would have sent without seals', async () => {
    const sealing = await makeRunner(api, { number: 77 });
    const plain = await makeRunner(api, { number: 77 });
    const task = taskOf(sealing);
    const own = await sealOfTask(sealing, task);
    const sealed = await updateOf(sealing.reveal(await revealing(task, listOf(task, own))));
    const { job } = task.opening;
    const sent = await updateOf(plain.train(taskOf(plain, { job, spec: smallSpec() })));
    expect(sealed.updateRoot).toBe(sent.updateRoot);
    expect(sent.salt).toBeUndefined();
  });

  test('an upload that broke off goes on with what was signed', async () => {
    const runner = await makeRunner(api);
    const task = taskOf(runner);
    const reveal = await revealing(task, listOf(task, await sealOfTask(runner, task)));
    api.fault = ({ url }) => (url.endsWith('/v1/uploads') ? new Response('', { status: 503 }) : null);
    await expect(runner.reveal(reveal)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const signed = readFileSync(join(roundFolder(runner.work, task), 'answer.json'));
    api.fault = null;
    const answer = await updateOf(runner.reveal(reveal));
    expect(readFileSync(join(roundFolder(runner.work, task), 'answer.json'))).toEqual(signed);
    expect(sha256Hex(await storedUpdate(api, task, answer))).toBe(answer.file);
    expect(runner.trainer.requests).toHaveLength(1);
  });

  test('another list than before is refused, and both are kept', async () => {
    const runner = await makeRunner(api);
    const task = taskOf(runner);
    const own = await sealOfTask(runner, task);
    await updateOf(runner.reveal(await revealing(task, listOf(task, own))));
    const second = await revealing(task, [entryOf(own)]);
    expect(await runner.reveal(second)).toMatchObject({ kind: 'refused', code: 'SEALS_REFUSED' });
    expect(record(runner, task, `seals-${second.seals.list.slice(2)}.json`)).toMatchObject(second.seals);
    expect(record(runner, task, 'seals.json')).toMatchObject({ seals: listOf(task, own) });
  });
});

describe('it does not reveal', () => {
  type Wrong = (task: TrainTask, own: TrainSeal) => Promise<RevealTask>;
  const stranger = new Wallet(`0x${'09'.repeat(32)}`);
  const cases: [string, RegExp, Wrong][] = [
    [
      'for a list that somebody else signed',
      /signed by 0x/,
      (task, own) => revealing(task, listOf(task, own), { signer: stranger }),
    ],
    [
      'for a list of another round',
      /signed by 0x/,
      (task, own) =>
        revealing(task, listOf(task, own), {
          signedFor: { ...task, opening: { ...task.opening, round: 9 } },
        }),
    ],
    [
      'without its own seal among them',
      /no seal of this runner/,
      (task) => revealing(task, [sealedBy(other, task, someRoot)]),
    ],
    ['with its seal twice', /there twice/, (task, own) => revealing(task, [entryOf(own), entryOf(own)])],
    [
      'with a seal that its runner did not sign',
      /signed by 0x/,
      (task, own) => revealing(task, ascending([entryOf(own), sealedBy(other, task, someRoot, stranger)])),
    ],
    [
      'with a seal for another opening',
      /signed by 0x/,
      (task, own) => {
        const elsewhere = {
          ...task,
          opening: { ...task.opening, openHash: `0x${'55'.repeat(32)}` as const },
        };
        return revealing(task, ascending([entryOf(own), sealedBy(other, elsewhere, someRoot)]));
      },
    ],
    [
      'with more seals than runners were selected',
      /3 seals, and 2 runners/,
      (task, own) => revealing(task, ascending([...listOf(task, own), sealedBy(stranger, task, someRoot)])),
    ],
    [
      'for what is no list',
      /cannot be read/,
      (task, own) => revealing(task, listOf(task, own), { bytes: canonicalBytes({ seals: [] }) }),
    ],
    [
      'for a list in another spelling',
      /canonical/,
      (task, own) =>
        revealing(task, listOf(task, own), {
          bytes: new TextEncoder().encode(JSON.stringify(listOf(task, own), null, 1)),
        }),
    ],
  ];
  test.each(cases)('%s', async (_, reason, wrong) => {
    const runner = await makeRunner(api);
    const task = taskOf(runner);
    const own = await sealOfTask(runner, task);
    const answer = await runner.reveal(await wrong(task, own));
    expect(answer).toMatchObject({ kind: 'refused', code: 'SEALS_REFUSED' });
    expect(answer.kind === 'refused' && answer.reason).toMatch(reason);
    expect(existsSync(join(roundFolder(runner.work, task), 'answer.json'))).toBe(false);
    expect(uploads()).toEqual([]);
  });

  test('what it has not sealed', async () => {
    const runner = await makeRunner(api);
    const task = taskOf(runner);
    const seals = [sealedBy(other, task, someRoot)];
    expect(await runner.reveal(await revealing(task, seals))).toMatchObject({ code: 'NOT_SEALED' });
  });

  test('while the list is not to be had, and does so later', async () => {
    const runner = await makeRunner(api);
    const task = taskOf(runner);
    const reveal = await revealing(task, listOf(task, await sealOfTask(runner, task)));
    api.fault = ({ url }) => (url.includes('/v1/artifacts/') ? new Response('', { status: 503 }) : null);
    await expect(runner.reveal(reveal)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(existsSync(join(roundFolder(runner.work, task), 'answer.json'))).toBe(false);
    api.fault = null;
    expect((await updateOf(runner.reveal(reveal))).salt).toBeDefined();
  });

  test('what is no task', async () => {
    const runner = await makeRunner(api);
    expect(await runner.reveal(taskOf(runner))).toMatchObject({ kind: 'refused', code: 'INVALID_INPUT' });
  });
});
