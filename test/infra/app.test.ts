import { beforeAll, describe, expect, test } from '@jest/globals';
import { tableDefinition } from '#services/table/definition.js';
import { appGives, computeGives, parameterName } from '#infra/contract.js';
import { mostDeliveries } from '#core/names.js';
import { functions, isInNetwork, type FunctionName } from '#infra/functions.js';
import { readAppPlane, statementsOf, type ReadPlane, type Statement } from './appPlane.js';

let personal: ReadPlane;
let production: ReadPlane;
/** The first run may install SST's platform. */
const minutes = 6 * 60_000;

beforeAll(async () => {
  personal = await readAppPlane('ada');
  production = await readAppPlane('production');
}, minutes);

const names = Object.keys(functions) as FunctionName[];
const title = (name: string) => name.replace(/^./, (letter) => letter.toUpperCase());

function policiesOf(plane: ReadPlane, role: string): Statement[] {
  return (plane.one('aws:iam/role:Role', role)['inlinePolicies'] as { policy: string }[]).flatMap(
    ({ policy }) => statementsOf(policy),
  );
}

describe('access', () => {
  /** Why an action has no resource to name; everything that is not listed here may not say "*". */
  const wildcards: Record<string, string> = {
    'xray:PutTraceSegments': 'X-Ray has no resources',
    'xray:PutTelemetryRecords': 'X-Ray has no resources',
    'ec2:CreateNetworkInterface': 'Lambda makes the interface of a function in a network',
    'ec2:DescribeNetworkInterfaces': 'Describe calls have no resources',
    'ec2:DescribeSubnets': 'Describe calls have no resources',
    'ec2:DeleteNetworkInterface': 'Lambda removes what it made',
    'ec2:AssignPrivateIpAddresses': 'Lambda gives the interface its address',
    'ec2:UnassignPrivateIpAddresses': 'Lambda takes it back',
  };

  test('no role allows a wildcard action, and none a wildcard resource but those listed with a reason', () => {
    const roles = production.of('aws:iam/role:Role');
    expect(roles).toHaveLength(names.length + 2);
    for (const { name } of roles)
      for (const { effect, actions, resources } of policiesOf(production, name)) {
        expect(effect ?? 'Allow').toBe('Allow');
        for (const action of actions) {
          expect(action).not.toContain('*');
          if (resources.includes('*')) expect(wildcards).toHaveProperty([action]);
        }
      }
  });

  test('no role carries a managed policy, and only its service may assume it', () => {
    for (const { name, inputs } of production.of('aws:iam/role:Role')) {
      expect(inputs['managedPolicyArns'] ?? []).toEqual([]);
      const trusted = JSON.stringify(inputs['assumeRolePolicy']);
      expect(trusted).toContain(
        name.endsWith('ScheduleRole') ? 'scheduler.amazonaws.com' : 'lambda.amazonaws.com',
      );
      expect(trusted).not.toContain('arn:aws:iam');
    }
  });

  test('every function has a role of its own, and only those that talk to Temporal stand in its network', () => {
    const made = production.of('aws:lambda/function:Function');
    expect(new Set(made.map(({ inputs }) => inputs['role'])).size).toBe(names.length);
    for (const name of names) {
      const lambda = made.find((resource) => resource.name === `${title(name)}Function`);
      expect(lambda?.inputs['vpcConfig'] !== undefined).toBe(isInNetwork(functions[name]));
    }
  });

  test('only the API and the sum reach the bucket, each only what it is for', () => {
    for (const name of names) {
      const s3 = policiesOf(production, `${title(name)}Role`).filter(({ actions }) =>
        actions.some((action) => action.startsWith('s3:')),
      );
      if (name === 'sum')
        expect(s3).toEqual([
          expect.objectContaining({
            actions: ['s3:GetObject', 's3:PutObject'],
            resources: [expect.stringMatching(/ArtifactsBucket\/updates\/\*$/)],
          }),
        ]);
      else if (name !== 'api') expect(s3).toEqual([]);
      else
        expect(s3.find(({ actions }) => actions.includes('s3:PutObject'))?.resources).toEqual([
          expect.stringMatching(/ArtifactsBucket\/sha256\/\*$/),
        ]);
    }
  });

  test('besides the worker only the API sends credits, to put dead letters back', () => {
    expect(senders('Credits')).toEqual(['api']);
    expect(senders('CreditsDead')).toEqual(['reward']);
    expect(senders('JobsDead')).toEqual(['dispatch']);
  });
});

describe('what is kept', () => {
  test('the bucket is closed, encrypted, versioned, TLS only, and forgets what nobody needs', () => {
    const access = production.one(
      'aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock',
      'ArtifactsPublicAccessBlock',
    );
    expect(access).toMatchObject({
      blockPublicAcls: true,
      blockPublicPolicy: true,
      ignorePublicAcls: true,
      restrictPublicBuckets: true,
    });
    const encryption = production.one(
      'aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration',
      'ArtifactsEncryption',
    );
    expect(encryption['rules']).toEqual([{ applyServerSideEncryptionByDefault: { sseAlgorithm: 'AES256' } }]);
    const versioning = production.one('aws:s3/bucketVersioning:BucketVersioning');
    expect(versioning['versioningConfiguration']).toEqual({ status: 'Enabled' });
    const policy = production.one('aws:s3/bucketPolicy:BucketPolicy', 'ArtifactsPolicy');
    expect(statementsOf(String(policy['policy']))).toEqual([
      expect.objectContaining({
        effect: 'Deny',
        actions: ['s3:*'],
        conditions: [{ test: 'Bool', variable: 'aws:SecureTransport', values: ['false'] }],
      }),
    ]);
    expect(production.of('aws:s3/bucketCorsConfiguration:BucketCorsConfiguration')).toEqual([]);
    const lifecycle = production.one('aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration');
    const rules = lifecycle['rules'] as Record<string, unknown>[];
    expect(rules.some((rule) => rule['abortIncompleteMultipartUpload'])).toBe(true);
    expect(rules.some((rule) => rule['noncurrentVersionExpiration'])).toBe(true);
    // Content that is named by a manifest must never expire.
    const expiring = rules.filter((rule) => rule['expiration']);
    expect(expiring.map(({ filter, expiration }) => [filter, expiration])).toEqual([
      // Only what a deletion leaves behind: the worker alone knows when a round's updates may go.
      [{ prefix: 'updates/' }, { expiredObjectDeleteMarker: true }],
      [{ prefix: 'incoming/' }, { days: 2 }],
    ]);
  });

  test('the table is the one that the code defines, with backups and an expiry', () => {
    const table = production.one('aws:dynamodb/table:Table');
    expect(table).toMatchObject({
      hashKey: 'pk',
      rangeKey: 'sk',
      billingMode: 'PAY_PER_REQUEST',
      pointInTimeRecovery: { enabled: true },
      serverSideEncryption: { enabled: true },
      ttl: { attributeName: 'expires', enabled: true },
    });
    const indexes = table['globalSecondaryIndexes'] as Record<string, string>[];
    expect(
      indexes.map(({ name, hashKey, rangeKey, projectionType }) => [name, hashKey, rangeKey, projectionType]),
    ).toEqual(
      (tableDefinition.GlobalSecondaryIndexes ?? []).map(({ IndexName, KeySchema, Projection }) => [
        IndexName,
        KeySchema?.[0]?.AttributeName,
        KeySchema?.[1]?.AttributeName,
        Projection?.ProjectionType,
      ]),
    );
  });

  test('production is protected and outlives its stack; a personal stage is removed whole', () => {
    expect(production.app).toMatchObject({ removal: 'retain', protect: true });
    expect(personal.app).toMatchObject({ removal: 'remove', protect: false });
    expect(flags(production)).toEqual([true, false]);
    expect(flags(personal)).toEqual([false, true]);
  });
});

/** Functions that may send to a queue. */
function senders(queue: string): FunctionName[] {
  return names.filter((name) =>
    policiesOf(production, `${title(name)}Role`).some(
      ({ actions, resources }) =>
        actions.includes('sqs:SendMessage') && resources.some((arn) => arn.endsWith(`${queue}Queue`)),
    ),
  );
}

describe('events', () => {
  test('every queue is encrypted, TLS only, and has a dead-letter queue after five deliveries', () => {
    const queues = production.of('aws:sqs/queue:Queue');
    expect(queues.map(({ name }) => name).sort()).toEqual([
      'CreditsDeadQueue',
      'CreditsQueue',
      'JobsDeadQueue',
      'JobsQueue',
    ]);
    for (const { name, inputs } of queues) {
      expect(inputs['sqsManagedSseEnabled']).toBe(true);
      if (name.includes('Dead')) expect(inputs['messageRetentionSeconds']).toBe(14 * 86_400);
      else
        expect(JSON.parse(String(inputs['redrivePolicy']))).toEqual({
          deadLetterTargetArn: `arn:aws:mock:aws:sqs/queue:Queue:${name.replace('Queue', 'DeadQueue')}`,
          maxReceiveCount: mostDeliveries,
        });
    }
    expect(production.of('aws:sqs/queuePolicy:QueuePolicy')).toHaveLength(4);
  });

  test('a message stays hidden for six times the time its function may take, and failures are reported singly', () => {
    const visibility = (queue: string) =>
      production.of('aws:sqs/queue:Queue').find(({ name }) => name === queue)?.inputs[
        'visibilityTimeoutSeconds'
      ];
    expect(visibility('JobsQueue')).toBe(6 * functions.dispatch.timeout);
    expect(visibility('CreditsQueue')).toBe(6 * functions.reward.timeout);
    const mappings = production.of('aws:lambda/eventSourceMapping:EventSourceMapping');
    expect(mappings).toHaveLength(2);
    for (const { inputs } of mappings)
      expect(inputs['functionResponseTypes']).toEqual(['ReportBatchItemFailures']);
  });

  test('the sweeper and the settlement are on schedules', () => {
    const schedules = production
      .of('aws:scheduler/schedule:Schedule')
      .map(({ inputs }) => [
        inputs['scheduleExpression'],
        (inputs['target'] as { arn: string }).arn.split(':').at(-1),
      ]);
    expect(schedules.sort()).toEqual([
      ['rate(1 hour)', 'SettleFunction'],
      ['rate(1 minute)', 'SweepFunction'],
    ]);
  });

  test('webhooks go to their function, everything else to the API, at a limited rate', () => {
    expect(
      production
        .of('aws:apigatewayv2/route:Route')
        .map(({ inputs }) => inputs['routeKey'])
        .sort(),
    ).toEqual(['$default', 'POST /webhooks/{trigger}']);
    const stage = production.one('aws:apigatewayv2/stage:Stage');
    expect(stage['defaultRouteSettings']).toMatchObject({ throttlingRateLimit: 100 });
    expect(stage['accessLogSettings']).toBeDefined();
  });
});

describe('what is seen', () => {
  test('every log group forgets after the days of its stage', () => {
    expect(production.of('aws:cloudwatch/logGroup:LogGroup')).toHaveLength(names.length + 1);
    expect(days(production)).toEqual(new Set([365]));
    expect(days(personal)).toEqual(new Set([7]));
  });

  test('every function is traced, runs on Node 24 and writes to the log group that its role names', () => {
    for (const { name, inputs } of production.of('aws:lambda/function:Function')) {
      const short = name.replace('Function', '').toLowerCase();
      expect(inputs).toMatchObject({
        tracingConfig: { mode: 'Active' },
        runtime: 'nodejs24.x',
        handler: 'index.handler',
        loggingConfig: { logFormat: 'JSON', logGroup: `/roundtable/production/${short}` },
      });
    }
  });

  test('alarms on every dead-letter queue, queue, function, the API and the table reach one encrypted topic', () => {
    const alarms = production.of('aws:cloudwatch/metricAlarm:MetricAlarm');
    const named = new Set(alarms.map(({ name }) => name));
    for (const name of names)
      for (const metric of ['Errors', 'Throttles']) expect(named).toContain(`${title(name)}${metric}Alarm`);
    for (const queue of ['Jobs', 'Credits'])
      for (const what of ['Dead', 'Age']) expect(named).toContain(`${queue}${what}Alarm`);
    expect(named).toContain('ApiFailuresAlarm');
    for (const { inputs } of alarms)
      expect(inputs['alarmActions']).toEqual([expect.stringContaining(':Alarms')]);
    const topic = production.one('aws:sns/topic:Topic');
    expect(topic['kmsMasterKeyId']).toBe('AlarmsKey-id');
    expect(production.one('aws:kms/key:Key')['enableKeyRotation']).toBe(true);
  });
});

test('the app plane takes and gives exactly what the contract names', () => {
  expect([...production.taken].sort()).toEqual(full(computeGives));
  const given = production.of('aws:ssm/parameter:Parameter');
  expect(given.map(({ inputs }) => String(inputs['name'])).sort()).toEqual(full(appGives));
  for (const { inputs } of given) expect(inputs['value']).toEqual(expect.any(String));
});

test('a function is told exactly the variables of its shape', () => {
  for (const name of names) {
    const lambda = production.one('aws:lambda/function:Function', `${title(name)}Function`);
    const told = Object.keys((lambda['environment'] as { variables: object }).variables);
    expect(told.filter((variable) => !variable.startsWith('SST_')).sort()).toEqual(
      [...functions[name].variables].sort(),
    );
  }
});

const flags = (plane: ReadPlane) => [
  plane.one('aws:dynamodb/table:Table')['deletionProtectionEnabled'],
  plane.one('aws:s3/bucket:Bucket', 'ArtifactsBucket')['forceDestroy'],
];
const days = (plane: ReadPlane) =>
  new Set(plane.of('aws:cloudwatch/logGroup:LogGroup').map(({ inputs }) => inputs['retentionInDays']));
const full = (list: readonly (typeof appGives | typeof computeGives)[number][]) =>
  list.map((name) => parameterName('production', name)).sort();
