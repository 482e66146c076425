import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { findTemporal } from '#local/temporal/find.js';

/** A Temporal server of its own for one test file; whoever starts it tears it down. */
export async function startTemporal(): Promise<TestWorkflowEnvironment> {
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'ERROR' } } });
  const { path } = await findTemporal();
  return TestWorkflowEnvironment.createLocal({
    server: {
      executable: { type: 'existing-path', path },
      log: { format: 'json', level: 'error' },
      extraArgs: ['transfer', 'timer', 'visibility', 'outbound'].flatMap((name) => [
        '--dynamic-config-value',
        `history.${name}ProcessorMaxPollRPS=2000`,
      ]),
    },
  });
}
