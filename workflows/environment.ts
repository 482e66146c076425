import { z } from 'zod';
import { networkSettings } from '#services/chain/networks.js';
import { address, parseMessage } from '#core/schema.js';

const list = z
  .string()
  .min(1)
  .transform((text) => text.split(',').map((entry) => entry.trim()));

const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'JSON' });
    return z.NEVER;
  }
});

const environment = z.object({
  TABLE_NAME: z.string().min(1),
  BUCKET_NAME: z.string().min(1),
  CREDITS_QUEUE_URL: z.url(),
  TEMPORAL_ADDRESS: z.string().min(1),
  TEMPORAL_NAMESPACE: z.string().min(1).default('default'),
  CHAIN_RPC_URLS: list,
  CHAIN_DEPLOYMENT: json,
  CHAIN_NETWORK: json.pipe(networkSettings).default({}),
  ARWEAVE_GATEWAYS: list,
  ARWEAVE_KEY_FILE: z.string().min(1),
  COORDINATOR_ADDRESS: address,
  COORDINATOR_KEY_FILE: z.string().min(1),
  /** The member's X25519 private key, 0x and 64 hexadecimal digits. */
  COORDINATOR_SEALING_KEY_FILE: z.string().min(1),
  DISPUTE_WINDOW_SECONDS: z.coerce.number().int().min(0),
  WORKER_SCRATCH: z.string().min(1),
  WORKFLOW_BUNDLE: z.string().min(1),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
});
export type Environment = z.output<typeof environment>;

/** The one place where the worker reads its environment. @throws INVALID_INPUT, all mistakes at once */
export function readEnvironment(): Environment {
  return parseMessage(environment, process.env, "The workflow worker's environment");
}
