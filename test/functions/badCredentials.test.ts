import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { SQSEvent } from 'aws-lambda';
import { jobMessage } from '#core/messages.js';
import { handleBatch } from '#functions/batch.js';
import { openTemporal } from '#functions/temporal.js';
import { openLog } from '#services/log.js';
import { noTelemetry } from '#services/telemetry/telemetry.js';
import { temporalPlace } from '#services/temporal.js';
import { hashOf } from '#test/services/views.js';
import { startAws, type TestAws } from '#test/support/aws.js';

/** A message meets a stage whose settings are wrong: it must still be there when somebody has mended them. */
const secret = 'roundtable/ada/temporal-credentials';
let aws: TestAws;
beforeEach(async () => {
  aws = await startAws({ secrets: { 'roundtable/ada/other': 'hunter2' } });
});
afterEach(() => aws.close());

const ring = { type: 'job', job: hashOf('job') };
const event = {
  Records: [
    { messageId: 'message', body: JSON.stringify(ring), attributes: { ApproximateReceiveCount: '1' } },
  ],
} as unknown as SQSEvent;

/** What dispatch does with a message when its credentials are in that secret. */
async function dispatch(name: string) {
  const temporal = openTemporal(
    temporalPlace({
      TEMPORAL_ADDRESS: 'temporal.ada.roundtable.internal:7233',
      TEMPORAL_NAMESPACE: 'default',
      TEMPORAL_CREDENTIALS_SECRET: name,
    }),
  );
  const laidAside: unknown[] = [];
  let failure: unknown;
  const { batchItemFailures } = await handleBatch(
    event,
    jobMessage,
    ({ job }) =>
      temporal.startJob(job).catch((error: unknown) => {
        failure = error;
        throw error;
      }),
    {
      name: 'dispatch',
      dead: {
        bury: async (message) => {
          laidAside.push(message);
        },
      },
      telemetry: noTelemetry,
      log: openLog('test', 'silent'),
    },
  );
  return { failed: batchItemFailures.map(({ itemIdentifier }) => itemIdentifier), laidAside, failure };
}

test('a secret that is missing, or not put yet, is named, and the message comes again', async () => {
  for (const value of [undefined, null]) {
    if (value === null) aws.state.secrets[secret] = value;
    const { failed, laidAside, failure } = await dispatch(secret);
    expect([failed, laidAside]).toEqual([['message'], []]);
    expect(failure).toMatchObject({
      code: 'TEMPORAL_REFUSED',
      message: expect.stringMatching(new RegExp(`no secret ${secret} in eu-central-1`)),
    });
  }
});

test('the random value that a secret has before anybody puts one is no credentials; it is not shown', async () => {
  const { failed, laidAside, failure } = await dispatch('roundtable/ada/other');
  expect([failed, laidAside]).toEqual([['message'], []]);
  expect(failure).toMatchObject({
    code: 'TEMPORAL_REFUSED',
    message: expect.stringContaining('roundtable/ada/other'),
  });
  expect(String(failure)).not.toContain('hunter2');
});

test('a permission that the function lacks is said in AWS’s words, and the message comes again', async () => {
  aws.state.denied.push('GetSecretValue');
  const { failed, laidAside, failure } = await dispatch(secret);
  expect([failed, laidAside]).toEqual([['message'], []]);
  expect(failure).toMatchObject({
    code: 'TEMPORAL_REFUSED',
    message: expect.stringMatching(/AWS refuses: secretsmanager: AccessDeniedException/),
  });
});
