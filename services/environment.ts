import { z } from 'zod';
import { deployment } from '#contracts/deployment.js';
import { networkSettings } from './chain/networks.js';

/** JSON in an environment variable. @param what it should be, for the message */
export const jsonText = (what: string) =>
  z.string().transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue({ code: 'custom', message: what });
      return z.NEVER;
    }
  });

/** Texts in one variable, separated by commas. */
export const listText = z
  .string()
  .min(1)
  .transform((text) => text.split(',').map((entry) => entry.trim()));

/** Where Prometheus may fetch a process's metrics, as host:port; left out, nowhere. */
export const metricsAddress = z
  .string()
  .regex(/^[^\s/:]+:\d+$/, 'host:port')
  .optional();

/** What every process is told of the chain. */
export const chainVariables = {
  CHAIN_RPC_URLS: listText.pipe(z.array(z.url()).min(1)),
  CHAIN_DEPLOYMENT: jsonText('the JSON that deploying the contracts printed').pipe(deployment),
  /** What of the chain differs from the table of chain/networks.ts. */
  CHAIN_NETWORK: jsonText('a JSON object').prefault('{}').pipe(networkSettings),
};

/** What every process that calls Temporal is told of it. */
export const temporalVariables = {
  TEMPORAL_ADDRESS: z.string().regex(/^[^\s/]+:\d+$/, 'host:port'),
  TEMPORAL_NAMESPACE: z.string().min(1),
  /** Of functions: name or ARN of the secret in Secrets Manager. */
  TEMPORAL_CREDENTIALS_SECRET: z.string().min(1).optional(),
  /** Of processes. */
  TEMPORAL_CREDENTIALS_FILE: z.string().min(1).optional(),
};
