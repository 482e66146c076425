import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { NativeConnection } from '@temporalio/worker';
import { coordinatorQueue, jobWorkflowId, roundWorkflowId } from '#core/names.js';
import { becomeCurrent } from '#workflows/deployment.js';
import { startTemporal } from '../support/temporal.js';
import { until } from '../support/until.js';
import { answering, fakeSpec, fakeStack, hash, runnerAddress, type FakeRunner } from './fakes.js';

let environment: TestWorkflowEnvironment;
beforeAll(async () => {
  environment = await startTemporal();
});
afterAll(async () => {
  await environment.teardown();
});

const becomes = (buildId: string) =>
  becomeCurrent(
    environment.nativeConnection,
    { namespace: 'default', buildId, identity: `worker of ${buildId}` },
    AbortSignal.timeout(30_000),
  );

/** The build that a workflow's last task ran on. */
async function buildOf(workflowId: string): Promise<string | undefined> {
  const { raw } = await environment.client.workflow.getHandle(workflowId).describe();
  return raw.workflowExecutionInfo?.versioningInfo?.deploymentVersion?.buildId ?? undefined;
}

test('a running round ends on the build it began on, its job goes on with the next, and the old one may go', async () => {
  const job = hash('a');
  const spec = fakeSpec({ rounds: 2, quorum: 2, deadlineSeconds: 60 });
  const runners = [runnerAddress(1), runnerAddress(2)] as const;
  let asked = false;
  const gate = new AbortController();
  const released = new Promise<void>((resolve) => gate.signal.addEventListener('abort', () => resolve()));
  const waiting: FakeRunner = async (task) => {
    if (task.opening.round === 1) {
      asked = true;
      await released;
    }
    return answering(1)(task);
  };
  const other = await NativeConnection.connect({ address: environment.address });
  const stackOf = (build: string, connection = environment.nativeConnection) =>
    fakeStack(environment, {
      spec,
      runners: { [runners[0]]: waiting, [runners[1]]: answering(1) },
      build,
      connection,
    });

  const old = await stackOf('build-1');
  const next = await stackOf('build-2', other);
  let roundOver = false;
  const oldRuns = old.run(async () => {
    await becomes('build-1');
    await environment.client.workflow.start('trainingJob', {
      workflowId: jobWorkflowId(job),
      taskQueue: coordinatorQueue,
      args: [{ job }],
    });
    await until(() => roundOver, 'the end of the round', 30);
  });
  await until(() => asked, 'a task', 30);
  await next.run(async () => {
    await becomes('build-2');
    gate.abort();
    const round = environment.client.workflow.getHandle(roundWorkflowId(job, 1));
    await round.result();
    roundOver = true;
    await oldRuns;
    await environment.client.workflow.getHandle(jobWorkflowId(job)).result();
  });
  await other.close();

  expect(await buildOf(roundWorkflowId(job, 1))).toBe('build-1');
  expect(await buildOf(roundWorkflowId(job, 2))).toBe('build-2');
  expect(await buildOf(jobWorkflowId(job))).toBe('build-2');
  // What closes a round is projected by the build that runs it.
  const phases = (seen: typeof old.seen, round: number) =>
    seen.rounds.filter((view) => view.round === round).map(({ phase }) => phase);
  expect(phases(old.seen, 1)).toContain('done');
  expect(phases(old.seen, 2)).toEqual([]);
  expect(phases(next.seen, 1)).toEqual([]);
  expect(phases(next.seen, 2)).toContain('done');
}, 120_000);
