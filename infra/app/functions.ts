import { tracing, type Settings, type StageRules } from '../settings.js';
import {
  functions,
  isInNetwork,
  type FunctionName,
  type FunctionShape,
  type Variable,
} from '../functions.js';
import type { ComputeParameters } from './parameters.js';
import { permissionsOf } from './permissions.js';
import type { Queues } from './queues.js';

export interface FunctionParts {
  settings: Settings;
  rules: StageRules;
  compute: ComputeParameters;
  secrets: { chainRpcUrls: sst.Secret };
  table: sst.aws.Dynamo;
  bucket: sst.aws.Bucket;
  queues: Queues;
}

export type Functions = Record<FunctionName, sst.aws.Function>;

/** Every function from the bundle that the local stack runs, with a role, a log group and a trace of its own. */
export function createFunctions(parts: FunctionParts): Functions {
  const values = valuesOf(parts);
  const created = Object.fromEntries(
    Object.entries(functions).map(([name, shape]) => [name, createFunction(name, shape, values, parts)]),
  ) as Functions;

  parts.queues.jobs.queue.subscribe(created.dispatch.arn, { batch: { size: 10, partialResponses: true } });
  parts.queues.credits.queue.subscribe(created.reward.arn, { batch: { size: 10, partialResponses: true } });
  return created;
}

function createFunction(
  name: string,
  shape: FunctionShape,
  values: Record<Variable, $util.Input<string>>,
  parts: FunctionParts,
) {
  const title = name.replace(/^./, (letter) => letter.toUpperCase());
  const { compute, rules } = parts;
  const log = new aws.cloudwatch.LogGroup(`${title}Log`, {
    name: `/roundtable/${$app.stage}/${name}`,
    retentionInDays: rules.logDays,
  });
  return new sst.aws.Function(title, {
    description: `Roundtable ${$app.stage}: ${name}`,
    bundle: `dist/lambda/${name}`,
    handler: 'index.handler',
    runtime: 'nodejs24.x',
    architecture: 'arm64',
    memory: `${shape.memory} MB`,
    timeout: `${shape.timeout} seconds`,
    environment: {
      ...Object.fromEntries(shape.variables.map((variable) => [variable, values[variable]])),
      ...tracing(parts.settings),
    },
    logging: { logGroup: log.name, format: 'json' },
    permissions: permissionsOf(shape, log.arn, parts),
    ...(isInNetwork(shape)
      ? {
          vpc: {
            privateSubnets: compute['network/private-subnets'].apply((list) => list.split(',')),
            securityGroups: [compute['network/function-security-group']],
          },
        }
      : {}),
    transform: {
      function: { tracingConfig: { mode: 'Active' } },
      role: {
        // SST 4.17 lets everybody of the account assume a function's role, for its live mode, in every mode.
        assumeRolePolicy: aws.iam.assumeRolePolicyForPrincipal({ Service: 'lambda.amazonaws.com' }),
        // AWS's managed policies allow writing to every log group of the account; permissions.ts names this one.
        managedPolicyArns: [],
      },
    },
  });
}

/** The same names that local/parts.ts gives the processes of one machine. */
function valuesOf(parts: FunctionParts): Record<Variable, $util.Input<string>> {
  const { settings, compute, secrets, table, bucket, queues } = parts;
  return {
    TABLE_NAME: table.name,
    BUCKET_NAME: bucket.name,
    JOBS_QUEUE_URL: queues.jobs.queue.url,
    JOBS_DEAD_URL: queues.jobs.dead.url,
    CREDITS_QUEUE_URL: queues.credits.queue.url,
    CREDITS_DEAD_URL: queues.credits.dead.url,
    TEMPORAL_ADDRESS: compute['temporal/address'],
    TEMPORAL_NAMESPACE: compute['temporal/namespace'],
    TEMPORAL_CREDENTIALS_SECRET: compute['temporal/credentials-secret'],
    COORDINATOR_ADDRESS: settings.coordinator,
    CHAIN_RPC_URLS: secrets.chainRpcUrls.value,
    CHAIN_DEPLOYMENT: JSON.stringify(settings.deployment),
    STACK_ENTRANCE: JSON.stringify(settings.entrance),
    CHAIN_NETWORK: JSON.stringify(settings.chainNetwork),
  };
}
