import { bucketFolders, isInNetwork, type FunctionShape } from '../functions.js';
import type { FunctionParts } from './functions.js';

interface Permission {
  actions: string[];
  resources: $util.Input<string>[];
}

/**
 * What a function's role allows, and nothing besides. SST's links are not used for this: they grant `dynamodb:*`
 * and `s3:*` on what they link.
 */
export function permissionsOf(
  shape: FunctionShape,
  logGroup: $util.Output<string>,
  { table, bucket, queues, compute }: Pick<FunctionParts, 'table' | 'bucket' | 'queues' | 'compute'>,
): Permission[] {
  const { may } = shape;
  const onObjects = (may.bucket ?? []).filter((action) => action !== 's3:ListBucket');
  return [
    allow(may.table, table.arn),
    ...(may.indexes ? [allow(['dynamodb:Query'], $interpolate`${table.arn}/index/*`)] : []),
    ...(may.folders ?? bucketFolders).map((folder) =>
      allow(onObjects, $interpolate`${bucket.arn}/${folder}/*`),
    ),
    ...(may.bucket?.includes('s3:ListBucket') ? [allow(['s3:ListBucket'], bucket.arn)] : []),
    allow(may.jobs ?? [], queues.jobs.queue.arn),
    ...(may.takes
      ? [allow(taking, queues[may.takes].queue.arn), allow(['sqs:SendMessage'], queues[may.takes].dead.arn)]
      : []),
    ...(may.redrives
      ? Object.values(queues).flatMap(({ queue, dead }) => [
          allow(['sqs:GetQueueAttributes', 'sqs:SendMessage'], queue.arn),
          allow(taking, dead.arn),
        ])
      : []),
    allow(['logs:CreateLogStream', 'logs:PutLogEvents'], $interpolate`${logGroup}:*`),
    allow(tracing, '*'),
    ...(isInNetwork(shape)
      ? [
          allow(['secretsmanager:GetSecretValue'], compute['temporal/credentials-secret']),
          allow(networking, '*'),
        ]
      : []),
  ].filter(({ actions }) => actions.length > 0);
}

const allow = (actions: readonly string[], resource: $util.Input<string>): Permission => ({
  actions: [...actions],
  resources: [resource],
});

const taking = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'];

/** X-Ray knows no resources to name. */
const tracing = ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'];

/** Lambda makes the function's network interfaces by these; they cannot be bound to interfaces not yet made. */
const networking = [
  'ec2:CreateNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSubnets',
  'ec2:DeleteNetworkInterface',
  'ec2:AssignPrivateIpAddresses',
  'ec2:UnassignPrivateIpAddresses',
];
