import { delimiter } from 'node:path';
import { z } from 'zod';
import { parseMessage } from '#core/schema.js';

/** All that the runner's process takes from its environment; everything else stands in its home folder. */
const environment = z.object({
  /** One home folder, or several of runners that share the machine, separated as in PATH. */
  RUNNER_HOME: z
    .string()
    .min(1, 'the path of the home folder, with runner.yaml in it')
    .transform((paths) => paths.split(delimiter).filter(Boolean)),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});

/** @throws INVALID_INPUT */
export function readEnvironment(variables: NodeJS.ProcessEnv): z.output<typeof environment> {
  return parseMessage(environment, variables, "The runner's environment");
}
