import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { id, Wallet } from 'ethers';
import { accuse } from '#audit/dispute.js';
import { fileAccusation } from '#audit/report.js';
import { auditAll, auditVersion, type AuditOptions } from '#audit/audit.js';
import { readLineage } from '#audit/lineage.js';
import { findParent } from '#audit/place.js';
import type { Hex } from '#core/hex.js';
import { sha256 } from '#services/sha256.js';
import { giveEther, startChainStack, type ChainStack } from '#test/services/chainStack.js';
import { prepareCoordinator, updatesOf, writeHistory, type History } from './history.js';

/** Jobs that go on from versions of other jobs, that make the same versions, and that pretend to. */
let stack: ChainStack;
let main: History;
/** Goes on from the first round of `main`. */
let fork: History;

beforeAll(async () => {
  stack = await startChainStack();
  await prepareCoordinator(stack);
  main = await writeHistory(stack, 'main');
  fork = await goOn('fork', main, 1);
});
afterAll(() => stack.stop());

function goOn(name: string, from: History, round: number, start?: (params: Int32Array) => void) {
  const [version, model] = [from.versions[round], from.models[round]];
  if (!version || !model) throw new Error(`there is no round ${round}`);
  return writeHistory(stack, name, start ? { start } : {}, { parent: { version, model } });
}

function audit(history: History, version: Hex | undefined, options: AuditOptions = {}) {
  const updateSource = updatesOf({
    updates: new Map([...main.updates, ...fork.updates, ...history.updates]),
  });
  const sources = { chain: stack.chain, archive: history.archive, hash: sha256, updateSource };
  return auditVersion(sources, version ?? '0x', options);
}

describe('a job that goes on from a version of another', () => {
  test('is verified with the line that it comes from', async () => {
    const { wrong, rounds } = await audit(fork, fork.versions[2]);
    expect(wrong).toBeNull();
    expect(rounds.map(({ job, round, recomputed }) => [job, round, recomputed])).toEqual([
      [main.job, 1, true],
      [fork.job, 1, true],
      [fork.job, 2, true],
    ]);
  });

  test('is not of the main line, and is found when it is presented as such', async () => {
    const { wrong } = await audit(fork, fork.versions[2], { job: main.job });
    expect(wrong).toMatchObject({ check: 'of the line of the job', place: { job: fork.job, round: 2 } });
    expect(wrong?.detail).toBe(
      `version ${fork.versions[2]} is not of the line of job ${main.job}: it is round 2 of job ${fork.job}`,
    );
    expect((await audit(main, main.versions[2], { job: main.job })).wrong).toBeNull();
  });

  test('with other parameters than its parent has, the first of them is named', async () => {
    const pretender = await goOn('pretender', main, 2, (params) => void (params[20] = (params[20] ?? 0) + 1));
    const { wrong } = await audit(pretender, pretender.versions[2]);
    expect([wrong?.subject, wrong?.check]).toEqual(['start', 'descent']);
    expect(wrong?.place).toEqual({
      job: pretender.job,
      round: 0,
      tensor: 'fc1.weight',
      index: 15,
      parameter: 20,
    });
  });

  test('from a fork that never came onto the chain, its parent is unknown', async () => {
    const [model] = main.models;
    if (!model) throw new Error('there is no model');
    const parent = { version: id('a fork that nobody anchored') as Hex, model };
    const orphan = await writeHistory(stack, 'orphan', {}, { parent });
    const { wrong } = await audit(orphan, orphan.versions[1]);
    expect([wrong?.subject, wrong?.place]).toEqual(['parent version', { job: orphan.job }]);
    expect(wrong?.detail).toMatch(/^the chain knew no version 0x\w+ when job/);
  });

  test('does not descend from a version that came after it', async () => {
    const { chain } = stack;
    const job = await chain.job(fork.job);
    if (!job) throw new Error('there is no job');
    expect(await findParent(chain, job)).toMatchObject({ job: main.job, round: 1 });
    await expect(findParent(chain, { ...job, parentVersion: fork.versions[2] ?? null })).rejects.toThrow(
      /^the chain knew no version/,
    );
    const later = { ...job, parentVersion: main.versions[2] ?? null, block: job.block - 100 };
    await expect(findParent(chain, later)).rejects.toThrow(/^the chain knew no version/);
  });
});

describe('one version that two jobs made', () => {
  let twins: History[];
  beforeAll(async () => {
    twins = [];
    for (const name of ['one twin', 'other twin'])
      twins.push(await writeHistory(stack, name, {}, { salt: 77 }));
  });

  test('has two histories: both are named, and neither is chosen for the reader', async () => {
    const [one, other] = twins;
    if (!one || !other) throw new Error('there are no twins');
    expect(one.versions).toEqual(other.versions);
    await expect(audit(one, one.versions[2])).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(`round 2 of job ${one.job} and round 2 of job ${other.job}`),
    });
  });

  test('is verified in the job that is named, and the other one is told of', async () => {
    const [one, other] = twins;
    const { wrong, rounds, checks } = await audit(other ?? main, other?.versions[2], {
      job: other?.job ?? '0x',
    });
    expect(wrong).toBeNull();
    expect(rounds.map(({ job }) => job)).toEqual([other?.job, other?.job]);
    expect(checks[0]?.detail).toBe(`round 2 of job ${other?.job}; also round 2 of job ${one?.job}`);
  });
});

describe('a round that was declared void', () => {
  let lying: History;
  beforeAll(async () => {
    lying = await writeHistory(stack, 'convicted', {
      params: (params) => void (params[3] = (params[3] ?? 0) + 1),
    });
    const sources = {
      chain: stack.chain,
      archive: lying.archive,
      hash: sha256,
      updateSource: updatesOf(lying),
    };
    const [accusation] = (await accuse(sources, lying.job, 2)).accusations;
    if (!accusation) throw new Error('Nothing was found wrong.');
    const reporter = new Wallet(id('a reporter'));
    await giveEther(stack.anvil, reporter);
    await fileAccusation(stack.chain, stack.sender(reporter), accusation);
  });

  test('is no version any more; what came before it stands', async () => {
    const { wrong } = await audit(lying, lying.versions[2]);
    expect(wrong?.detail).toBe(
      `version ${lying.versions[2]} is round 2 of job ${lying.job}, which is void: its coordinator was convicted`,
    );
    expect(wrong?.place).toEqual({ job: lying.job, round: 2 });
    expect((await audit(lying, lying.versions[1])).wrong).toBeNull();
    expect((await stack.chain.rounds(lying.job)).map(({ round }) => round)).toEqual([1]);
    expect((await stack.chain.voidRounds(lying.job)).map(({ closing }) => closing?.versionId)).toEqual([
      lying.versions[2],
    ]);
  });

  test('is void in the lineage, where rounds whose window has passed are final', async () => {
    await stack.anvil.provider.send('evm_increaseTime', [60]);
    await stack.anvil.provider.send('evm_mine', []);
    const fresh = await goOn('fresh', main, 2);
    const { versions, problems } = await readLineage({
      chain: stack.chain,
      archive: main.archive,
      hash: sha256,
    });
    expect(problems).toEqual([
      { job: id('orphan'), problem: expect.stringMatching(/^the chain knew no version/) },
    ]);
    const of = ({ job }: History) => versions.filter((version) => version.job === job);
    expect(of(lying).map(({ round, state }) => [round, state])).toEqual([
      [0, 'final'],
      [1, 'final'],
      [2, 'void'],
    ]);
    expect(of(fresh).map(({ round, state, number, parent }) => [round, state, number, parent])).toEqual([
      [0, 'final', 2, `${main.job}/2`],
      [1, 'disputable', 3, `${fresh.job}/0`],
      [2, 'disputable', 4, `${fresh.job}/1`],
    ]);
    expect(of(fork).map(({ number, parent }) => [number, parent])).toEqual([
      [1, `${main.job}/1`],
      [2, `${fork.job}/0`],
      [3, `${fork.job}/1`],
    ]);
    const [, first] = of(main);
    expect(first).toMatchObject({ lineage: 'audited', accuracy: null, coordinator: main.payer });
    expect(first?.contributors).toEqual(main.runners.map(({ address }) => address.toLowerCase()));
    expect(first?.archive).toMatchObject({
      manifest: main.archived['manifest 1'],
      model: main.archived['model 1'],
    });
  });
});

test('all jobs of a chain with forks hold, but for those that lie', async () => {
  const { wrong } = await auditAll({ chain: stack.chain, archive: main.archive, hash: sha256 });
  // The oldest lie on this chain.
  expect(wrong).toMatchObject({ check: 'descent', subject: 'start' });
});
