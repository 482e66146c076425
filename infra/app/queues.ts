import { mostDeliveries } from '../../core/names.js';
import { functions, type FunctionName } from '../functions.js';

export type Queues = ReturnType<typeof createQueues>;

/** The two doorbells, each with a dead-letter queue of its own. */
export function createQueues() {
  return { jobs: createQueue('Jobs', 'dispatch'), credits: createQueue('Credits', 'reward') };
}

function createQueue(name: string, taker: FunctionName) {
  const dead = new sst.aws.Queue(`${name}Dead`, {
    transform: { queue: { ...encrypted, messageRetentionSeconds: 14 * 86_400 } },
  });
  const queue = new sst.aws.Queue(name, {
    // As AWS asks for: six times the function's time-out, so that no message is delivered twice at once.
    visibilityTimeout: `${6 * functions[taker].timeout} seconds`,
    dlq: { queue: dead.arn, retry: mostDeliveries },
    transform: { queue: { ...encrypted, messageRetentionSeconds: 4 * 86_400 } },
  });
  for (const [suffix, each] of [
    ['', queue],
    ['Dead', dead],
  ] as const)
    new aws.sqs.QueuePolicy(`${name}${suffix}TlsOnly`, {
      queueUrl: each.url,
      policy: aws.iam.getPolicyDocumentOutput({
        statements: [
          {
            effect: 'Deny',
            principals: [{ type: '*', identifiers: ['*'] }],
            actions: ['sqs:*'],
            resources: [each.arn],
            conditions: [{ test: 'Bool', variable: 'aws:SecureTransport', values: ['false'] }],
          },
        ],
      }).json,
    });
  return { queue, dead };
}

const encrypted = { sqsManagedSseEnabled: true };
