import { z } from 'zod';
import { address, parseMessage } from '#core/schema.js';
import { chainVariables, listText, metricsAddress, temporalVariables } from '#services/environment.js';

const environment = z.object({
  TABLE_NAME: z.string().min(1),
  BUCKET_NAME: z.string().min(1),
  CREDITS_QUEUE_URL: z.url(),
  /** Name of functions/sum, which adds a range of updates that are larger than what the worker holds. */
  SUM_FUNCTION: z.string().min(1),
  /** Values up to which the worker adds by itself, 36 bytes for each; and how many one function adds at most, 28. */
  SUM_WORKER_VALUES: z.coerce
    .number()
    .int()
    .min(1)
    .default(2 ** 25),
  SUM_FUNCTION_VALUES: z.coerce
    .number()
    .int()
    .min(64)
    .default(2 ** 24),
  TEMPORAL_ADDRESS: temporalVariables.TEMPORAL_ADDRESS,
  TEMPORAL_NAMESPACE: temporalVariables.TEMPORAL_NAMESPACE,
  TEMPORAL_CREDENTIALS_FILE: temporalVariables.TEMPORAL_CREDENTIALS_FILE,
  /** This build of the workflows, where builds follow each other without a pause; see deployment.ts. */
  WORKER_BUILD_ID: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,128}$/)
    .optional(),
  /** `draining`: only finishes the rounds that began on this build; the newer worker does everything else. */
  WORKER_ROLE: z.enum(['current', 'draining']).default('current'),
  ...chainVariables,
  ARWEAVE_GATEWAYS: listText,
  ARWEAVE_KEY_FILE: z.string().min(1),
  COORDINATOR_ADDRESS: address,
  COORDINATOR_KEY_FILE: z.string().min(1),
  /** The member's X25519 private key, 0x and 64 hexadecimal digits: opens the runners' payloads and updates. */
  COORDINATOR_SEALING_KEY_FILE: z.string().min(1),
  DISPUTE_WINDOW_SECONDS: z.coerce.number().int().min(0),
  WORKER_SCRATCH: z.string().min(1),
  WORKFLOW_BUNDLE: z.string().min(1),
  METRICS_ADDRESS: metricsAddress,
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
});
export type Environment = z.output<typeof environment>;

/** The one place where the worker reads its environment. @throws INVALID_INPUT, all mistakes at once */
export function readEnvironment(): Environment {
  return parseMessage(environment, process.env, "The workflow worker's environment");
}
