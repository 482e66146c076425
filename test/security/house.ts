import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { Table } from '#services/table.js';
import { ask } from '#test/gpu-runner/coordinator.js';
import { startTable } from '#test/services/realParts.js';
import { startGatekeeper, type TestGatekeeper } from '../support/gatekeeper.js';
import { startTemporal } from '../support/temporal.js';
import { enter, makeRunner, type TestRunner } from './runners.js';

/** A Temporal server, a table and a gatekeeper, all real, for one test file. */
export interface TestHouse {
  temporal: TestWorkflowEnvironment;
  table: Table;
  gatekeeper: TestGatekeeper;
  /** A runner that has entered. */
  guest(seconds?: number): Promise<TestRunner>;
  close(): Promise<void>;
  /** Gives a runner a task, as a workflow does. */
  ask(runner: TestRunner, options?: { heartbeatSeconds?: number; attempts?: number }): ReturnType<typeof ask>;
}

export async function openHouse(env: Record<string, string> = {}): Promise<TestHouse> {
  const [{ stores, table }, temporal] = await Promise.all([startTable(), startTemporal()]);
  const address = temporal.address ?? '';
  const gatekeeper = await startGatekeeper({
    temporal: address,
    table,
    dynamodb: stores.ports.dynamodb,
    folder: stores.folder,
    env,
  });
  return {
    temporal,
    table,
    gatekeeper,
    async guest(seconds) {
      const runner = await makeRunner(seconds);
      await enter(table, runner);
      return runner;
    },
    async close() {
      await gatekeeper.end('SIGKILL');
      await temporal.teardown();
      await stores.stop();
    },
    ask: ({ runner }, options = {}) => ask(address, { runner }, { codec: gatekeeper.codec, ...options }),
  };
}
