import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { Wallet } from 'ethers';
import { toHex, type Hex } from '#core/hex.js';
import { trainAnswer, type ModelRef, type TrainTask } from '#core/messages.js';
import { policySchema } from '#gpu-runner/policy.js';
import { homePaths, runnerConfig, writeRunnerHome } from '#gpu-runner/runnerHome.js';
import { runnerKey } from '#gpu-runner/runnerKey.js';
import { findStacks } from '#gpu-runner/stackFinder.js';
import { readDecisions, verifyDecisions } from '#gpu-runner/verifyDecisions.js';
import { findTemporal } from '#local/temporal/find.js';
import { temporalPart } from '#local/temporal/part.js';
import { until } from '../support/until.js';
import { chain, member, sealing, startApi, type TestApi } from './api.js';
import { ask } from './coordinator.js';
import { writeData } from './data.js';
import { temporaryFolder } from './folder.js';
import { freePort, startPart } from './parts.js';
import { startRunner } from './runnerProcess.js';
import { makeTask, smallModel, smallSpec, storeModel } from './task.js';
import type { TestGatekeeper } from '../support/gatekeeper.js';

const north = `0x${'11'.repeat(20)}` as const;
const harbour = `0x${'22'.repeat(20)}` as const;
const river = `0x${'33'.repeat(20)}` as const;

const written = (change: object, rpcUrl = 'https://node.example') =>
  runnerConfig.parse({
    name: 'north-1',
    member,
    chain: { ...chain, rpcUrls: [rpcUrl] },
    ...change,
  });
const allowing = (...coordinators: Hex[]) =>
  policySchema.parse({ allow: [{ coordinators, jobs: ['*'], data: ['digits'] }] });

describe('the stacks of a runner', () => {
  const members = [
    { member: north, name: 'north', url: 'https://north.example/stack/' },
    { member: harbour, name: 'harbour', url: '' },
    { member: river, name: 'river', url: 'http://169.254.169.254/latest' },
  ];
  const onChain = () => Promise.resolve(members);

  test('are, unless told otherwise, those of the members that its policy allows, where the chain says', async () => {
    const { stacks, lost } = await findStacks(written({}), allowing(north, harbour, river), onChain);
    expect(stacks).toMatchObject([{ coordinator: north, api: 'https://north.example/stack', found: true }]);
    expect(lost.map(({ coordinator, error }) => [coordinator, error.code])).toEqual([
      [harbour, 'NOT_FOUND'],
      [river, 'URL_REFUSED'],
    ]);
    expect((await findStacks(written({}), policySchema.parse({}), onChain)).stacks).toEqual([]);
  });

  test('are not looked for on chain when the owner wrote their URLs, wherever they lie', async () => {
    const stacks = [{ coordinator: river, api: 'http://10.0.0.7:8080' }];
    const found = await findStacks(written({ stacks }), policySchema.parse({}), () =>
      Promise.reject(new Error('asked')),
    );
    expect(found.stacks).toMatchObject([{ coordinator: river, api: 'http://10.0.0.7:8080', found: false }]);
  });

  test('in a private network are dialled on the word of the chain only if the owner names the host', async () => {
    const privateStack = [{ member: north, name: 'north', url: 'http://10.0.0.7:8080' }];
    const find = (change: object) =>
      findStacks(written({ stacks: [north], ...change }), policySchema.parse({}), () =>
        Promise.resolve(privateStack),
      );
    expect((await find({})).lost[0]?.error.code).toBe('URL_REFUSED');
    expect((await find({ privateHosts: ['10.0.0.7:8080'] })).stacks).toHaveLength(1);
  });

  test('on this machine count only where its chain is on this machine too', async () => {
    const local = [{ member: north, name: 'north', url: 'http://127.0.0.1:4000' }];
    const find = (rpcUrl: string) =>
      findStacks(written({ stacks: [north] }, rpcUrl), policySchema.parse({}), () => Promise.resolve(local));
    expect((await find('http://127.0.0.1:8545')).stacks).toHaveLength(1);
    expect((await find('https://node.example')).stacks).toHaveLength(0);
  });
});

interface TestStack {
  api: TestApi;
  temporal: string;
  gatekeeper: TestGatekeeper;
  model: ModelRef;
}

describe('a runner that serves two stacks, of which a third is dead', () => {
  let stacks: [TestStack, TestStack];
  let folder: string;
  const privateKey = `0x${'77'.repeat(32)}` as const;
  const { address } = runnerKey(privateKey);

  beforeAll(async () => {
    const { path: binary } = await findTemporal();
    const start = async (key: string): Promise<TestStack> => {
      const [port, httpPort, stateDir] = await Promise.all([freePort(), freePort(), temporaryFolder()]);
      const [api] = await Promise.all([
        startApi({ wallet: new Wallet(key) }),
        startPart(temporalPart({ binary, port, httpPort, uiPort: null, stateDir })),
      ]);
      api.registered.add(address);
      const temporal = `127.0.0.1:${port}`;
      const gatekeeper = await api.openGatekeeper(temporal);
      return { api, temporal, gatekeeper, model: await storeModel(api.artifacts, smallModel()) };
    };
    stacks = [await start(`0x${'c1'.repeat(32)}`), await start(`0x${'c2'.repeat(32)}`)];
    folder = join(await temporaryFolder(), 'home');
    const [first, second] = stacks.map(({ api: { coordinator, url } }) => ({ coordinator, api: url }));
    const paths = await writeRunnerHome(folder, {
      config: {
        name: 'north-1',
        member,
        chain: { ...chain, rpcUrls: [] },
        stacks: [
          { coordinator: river, api: 'http://127.0.0.1:1' },
          ...(first && second ? [first, second] : []),
        ],
      },
      key: privateKey,
      policy: {
        allow: [
          { coordinators: stacks.map(({ api }) => api.coordinator), jobs: ['digits*'], data: ['digits'] },
        ],
        throttle: 15,
      },
    });
    await writeData(join(paths.data, 'digits.safetensors'), 40);
  }, 60_000);

  const give = async ({ temporal, gatekeeper }: TestStack, task: TrainTask) => {
    const { outcome } = await ask(temporal, task, { codec: gatekeeper.codec, heartbeatSeconds: 10 });
    const ended = await outcome;
    if (ended.kind !== 'answered') throw new Error(`not answered: ${JSON.stringify(ended)}`);
    return trainAnswer.parse(ended.answer);
  };
  const taskOf = ({ api, model }: TestStack, written = smallSpec()): TrainTask => {
    const recipients = [{ member: api.coordinator, publicKey: toHex(sealing.publicKey) }];
    const spec = { ...written, updates: { recipients } };
    return { ...makeTask(address, model, { spec }), coordinator: api.coordinator };
  };

  test('does the tasks of both, one at a time, and notes each decision', async () => {
    const runner = startRunner(folder);
    await until(
      () => runner.lines.filter((line) => line === 'waiting for tasks').length >= 2,
      'both connections',
    );
    const [first, second] = stacks;
    const longer = smallSpec({ training: { epochs: 100 } });
    const tasks = [taskOf(first, longer), taskOf(second, longer)] as const;
    const answers = await Promise.all([give(first, tasks[0]), give(second, tasks[1])]);
    expect(answers.map(({ kind }) => kind)).toEqual(['update', 'update']);
    for (const { api } of stacks) {
      const view = await api.table.getRunner(address);
      expect(view).toMatchObject({ name: 'north-1', data: [{ name: 'digits' }] });
    }

    // A stack gives tasks of its own member only, whatever the policy allows others.
    const foreign = await give(second, taskOf(first));
    expect(foreign).toMatchObject({ kind: 'refused', code: 'TASK_NOT_MINE' });

    const paths = homePaths(folder);
    const records = await readDecisions(paths);
    expect(records.filter(({ kind }) => kind === 'enrolled').map((record) => record['coordinator'])).toEqual(
      expect.arrayContaining(stacks.map(({ api }) => api.coordinator)),
    );
    expect(records.filter(({ kind }) => kind === 'allowed').map((record) => record['job'])).toEqual(
      expect.arrayContaining(tasks.map(({ opening }) => opening.job)),
    );
    expect(records.filter(({ kind }) => kind === 'sent')).toHaveLength(2);
    expect(records.filter(({ kind }) => kind === 'refused')).toMatchObject([{ code: 'TASK_NOT_MINE' }]);
    await runner.kill('SIGTERM');
    expect(await verifyDecisions(paths, address)).toMatchObject({ broken: null, torn: 0, lost: 0 });
  }, 60_000);
});
