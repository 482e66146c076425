import { z } from 'zod';
import { stackEntrance } from '#core/entryMessages.js';
import { address, parseMessage } from '#core/schema.js';
import { chainVariables, jsonText, metricsAddress, temporalVariables } from '#services/environment.js';
import { limitSettings } from './limits.js';
import { pageSettings } from './page.js';

/** What the functions and their node server read from the environment; each names what it needs, all is checked at once. */
const variables = {
  TABLE_NAME: z.string().min(1),
  BUCKET_NAME: z.string().min(1),
  JOBS_QUEUE_URL: z.url(),
  JOBS_DEAD_URL: z.url(),
  CREDITS_QUEUE_URL: z.url(),
  CREDITS_DEAD_URL: z.url(),
  ...temporalVariables,
  /** This stack's member. */
  COORDINATOR_ADDRESS: z.string().toLowerCase().pipe(address),
  ...chainVariables,
  /** Where runners come in, as the stack's member signed it: the JSON itself, or a file with it. */
  STACK_ENTRANCE: jsonText('the JSON that signing the entrance printed')
    .pipe(stackEntrance.nullable())
    .optional(),
  STACK_ENTRANCE_FILE: z.string().min(1).optional(),
  /** Folder of the built page; without it none is served. */
  WEB_FOLDER: z.string().min(1).optional(),
  /** What the page is told besides the stack's own facts, as JSON; anybody can read it. */
  WEB_CONFIG: jsonText('a JSON object').prefault('{}').pipe(pageSettings),
  /** Other rates and quotas than limits.ts has, as JSON. */
  API_LIMITS: jsonText('a JSON object').prefault('{}').pipe(limitSettings),
  API_HOST: z.string().min(1).default('127.0.0.1'),
  METRICS_ADDRESS: metricsAddress,
  PORT: z.coerce.number().int().min(0).max(65_535),
};
type Variables = typeof variables;
export type Environment = { [Name in keyof Variables]: z.output<Variables[Name]> };

/** @throws INVALID_INPUT with every variable that is missing or wrong; values are never shown */
export function readEnvironment<Name extends keyof Variables>(...names: Name[]): Pick<Environment, Name> {
  const shape = Object.fromEntries(names.map((name) => [name, variables[name]]));
  return parseMessage(z.object(shape), process.env, 'The environment') as Pick<Environment, Name>;
}
