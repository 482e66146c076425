import { z } from 'zod';
import { parseMessage } from '#core/schema.js';
import { chainVariables, metricsAddress, temporalVariables } from '#services/environment.js';

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
  TEMPORAL_ADDRESS: temporalVariables.TEMPORAL_ADDRESS,
  TEMPORAL_NAMESPACE: temporalVariables.TEMPORAL_NAMESPACE,
  TEMPORAL_CREDENTIALS_FILE: temporalVariables.TEMPORAL_CREDENTIALS_FILE,
  TABLE_NAME: z.string().min(1),
  ...chainVariables,
  METRICS_ADDRESS: metricsAddress,
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});
export type Environment = z.output<typeof environment>;

/** @throws INVALID_INPUT with every variable that is missing or wrong */
export function readEnvironment(): Environment {
  return parseMessage(environment, process.env, "The gatekeeper's environment");
}
