import { z } from 'zod';
import { deployment } from '#contracts/deployment.js';
import { parseMessage } from '#core/schema.js';

const port = z.coerce.number().int().min(0).max(65_535);
const file = z.string().min(1);

const environment = z.object({
  GATEKEEPER_HOST: z.string().min(1).default('127.0.0.1'),
  GATEKEEPER_PORT: port,
  /** Of 127.0.0.1. */
  GATEKEEPER_HEALTH_PORT: port,
  /** PEM; runners know it by its fingerprint, which the member signed for. */
  GATEKEEPER_CERTIFICATE_FILE: file,
  GATEKEEPER_KEY_FILE: file,
  /** One or two secrets that bind task tokens to runners, see taskTokens.ts. */
  GATEKEEPER_SECRETS_FILE: file,
  TEMPORAL_ADDRESS: z.string().regex(/^[^\s/]+:\d+$/, 'host:port'),
  TEMPORAL_NAMESPACE: z.string().min(1),
  TABLE_NAME: z.string().min(1),
  CHAIN_RPC_URLS: z
    .string()
    .transform((list) => list.split(',').map((url) => url.trim()))
    .pipe(z.array(z.url()).min(1)),
  CHAIN_DEPLOYMENT: z
    .string()
    .transform((json, context): unknown => {
      try {
        return JSON.parse(json);
      } catch {
        context.addIssue({ code: 'custom', message: 'the JSON that deploying the contracts printed' });
        return z.NEVER;
      }
    })
    .pipe(deployment),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});
export type Environment = z.output<typeof environment>;

/** @throws INVALID_INPUT with every variable that is missing or wrong */
export function readEnvironment(): Environment {
  return parseMessage(environment, process.env, "The gatekeeper's environment");
}
