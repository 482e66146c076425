import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { sealedEncoding } from '#services/runnerPayloads.js';
import { fakeCodec } from './fakes.js';

const folder = 'test/workflows/histories';
const histories = readdirSync(folder).map((file) => ({
  file,
  history: JSON.parse(readFileSync(`${folder}/${file}`, 'utf8')) as unknown,
}));

describe('workflows replay what earlier versions of them recorded', () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });

  test('there are histories of jobs, rounds and settlements', () => {
    expect(histories.map(({ file }) => file)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^job-..-completed/),
        expect.stringMatching(/^job-..-round-1-completed/),
        expect.stringMatching(/^settlement/),
      ]),
    );
  });

  test.each(histories)('$file', async ({ history }) => {
    const workflowBundle = { code: readFileSync('dist/workflow-bundle.js', 'utf8') };
    // Histories from before payloads were encrypted are to be read as they are.
    const sealed = JSON.stringify(history).includes(Buffer.from(sealedEncoding).toString('base64'));
    const dataConverter = { payloadCodecs: sealed ? [fakeCodec()] : [] };
    await Worker.runReplayHistory({ workflowBundle, dataConverter }, history, workflowIdOf(history));
  });
});

/** Encrypted payloads are bound to it. */
function workflowIdOf(history: unknown): string {
  const { events } = history as {
    events: { workflowExecutionStartedEventAttributes?: { workflowId?: string } }[];
  };
  return events[0]?.workflowExecutionStartedEventAttributes?.workflowId ?? 'unknown';
}
