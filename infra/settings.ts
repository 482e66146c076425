import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { deployment } from '#contracts/deployment.js';
import { RoundtableError } from '#core/errors.js';
import { stackEntrance } from '#core/entryMessages.js';
import { address, parseMessage, slug } from '#core/schema.js';
import { networkSettings } from '#services/chain/networks.js';
import { temporalVariables } from '#services/environment.js';

/** infra/stages/STAGE.json: what a member decides for one stage. Nothing in it is secret. */
const settingsFile = z.strictObject({
  account: z.string().regex(/^\d{12}$/, 'the 12 digits of an AWS account'),
  region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'an AWS region such as eu-central-1'),
  /** The member that this stack belongs to. */
  coordinator: address,
  /** Where the consortium's contracts are. */
  deployment,
  /** Where runners come in, as the member signed it; null until it has, and then no runner is let in. */
  entrance: stackEntrance.nullable().default(null),
  /** What of the chain differs from the table in docs/payments.md: fee caps, or a chain that is not in it. */
  chainNetwork: z
    .record(z.string(), z.union([z.string(), z.number()]))
    .default({})
    .refine(
      (given) => networkSettings.safeParse(given).success,
      'fields of CHAIN_NETWORK, see docs/payments.md',
    ),
  /** Temporal Cloud's address and namespace; null for a cluster of one's own. Credentials are a secret, not here. */
  temporal: z
    .strictObject({
      address: temporalVariables.TEMPORAL_ADDRESS,
      namespace: temporalVariables.TEMPORAL_NAMESPACE,
    })
    .nullable()
    .default(null),
  arweaveGateways: z.array(z.url({ protocol: /^https$/ })).min(1),
  /** Seconds a round stays open to dispute before it is paid. */
  disputeWindowSeconds: z.number().int().min(0),
  /** Where traces go by OTLP over HTTP, as an address that functions and worker reach; null for none. */
  tracesEndpoint: z
    .url({ protocol: /^https?$/ })
    .nullable()
    .default(null),
  /** Who is told when something is wrong. */
  alarmEmail: z.email(),
  /** GPU runners in the member's own cloud: one machine each, started when there are jobs. */
  runners: z.array(
    z.strictObject({ name: slug, instanceTypes: z.array(z.string().regex(/^g[56]\./)).min(1) }),
  ),
});
export type Settings = z.output<typeof settingsFile>;

/** What functions and worker are told about traces. */
export const tracing = ({ tracesEndpoint }: Settings): Record<string, string> =>
  tracesEndpoint === null ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: tracesEndpoint };

/** How careful a stage is. Every stage that is neither staging nor production is somebody's own. */
export interface StageRules {
  kind: 'personal' | 'staging' | 'production';
  /** Tables, buckets, databases and keys outlive the stack. */
  retain: boolean;
  /** Days that logs are kept; a value that CloudWatch offers. */
  logDays: 7 | 30 | 365;
}

export function stageRules(stage: string): StageRules {
  if (stage === 'production') return { kind: 'production', retain: true, logDays: 365 };
  if (stage === 'staging') return { kind: 'staging', retain: false, logDays: 30 };
  return { kind: 'personal', retain: false, logDays: 7 };
}

/** @throws INVALID_INPUT for a stage name that resources cannot carry */
export function checkStage(stage: string): void {
  if (!/^[a-z][a-z0-9-]{0,19}$/.test(stage))
    throw new RoundtableError(
      'INVALID_INPUT',
      `"${stage}" cannot name a stage: a lower-case letter, then at most 19 letters, digits and hyphens.`,
    );
}

/**
 * The settings of a stage, from the repository's root.
 * @throws INVALID_INPUT with every mistake, or when the file is missing
 */
export function readSettings(
  stage: string,
  folder = process.env['ROUNDTABLE_STAGES'] ?? 'infra/stages',
): Settings {
  checkStage(stage);
  const path = `${folder}/${stage}.json`;
  if (!existsSync(path))
    throw new RoundtableError(
      'INVALID_INPUT',
      `${path} does not exist. Copy infra/stages/example.json and fill in what is yours.`,
    );
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new RoundtableError('INVALID_INPUT', `${path} is not JSON: ${String(error)}`, { cause: error });
  }
  return parseMessage(settingsFile, json, path);
}
