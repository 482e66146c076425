import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';

export interface GatewayEnvironment {
  /** On 127.0.0.1; 0 takes a free one, which the log names. */
  port: number;
  /** The folder that holds all data; made if missing. */
  folder: string;
}

const schema = z.object({
  GATEWAY_PORT: z.coerce.number().int().min(0).max(65535),
  GATEWAY_DATA: z.string().min(1),
});

/** @throws INVALID_INPUT naming each variable that is missing or wrong */
export function readEnvironment(): GatewayEnvironment {
  const parsed = schema.safeParse(process.env);
  if (!parsed.success)
    throw new RoundtableError(
      'INVALID_INPUT',
      `The gateway's environment is incomplete:\n${z.prettifyError(parsed.error)}`,
    );
  return { port: parsed.data.GATEWAY_PORT, folder: parsed.data.GATEWAY_DATA };
}
