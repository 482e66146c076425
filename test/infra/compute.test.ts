import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { appGives, computeGives, parameterName } from '#infra/contract.js';
import { gatekeeperFigures } from '#infra/figures.js';
import { synthesiseCompute, type Template } from '#infra/synthesis.js';
import { withExample } from './appPlane.js';

type Plane = Record<string, Template>;

const synthesise = (stage: string): Promise<Plane> =>
  withExample(stage, (folder) => synthesiseCompute(stage, { root: process.cwd(), folder }));

let personal: Plane;
let production: Plane;
beforeAll(async () => {
  personal = await synthesise('ada');
  production = await synthesise('production');
}, 240_000);

function resources(plane: Plane, type: string) {
  return Object.values(plane)
    .flatMap((template) => Object.values(template.Resources))
    .filter((resource) => resource.Type === type);
}

/** The inputs of the one resource of a type. */
function one(plane: Plane, type: string): Record<string, unknown> {
  const found = resources(plane, type);
  const [only] = found;
  if (!only || found.length > 1) throw new Error(`There are ${found.length} of ${type}, not one.`);
  return only.Properties;
}

test('every stack of every stage passes the strict validation and AwsSolutions', () => {
  expect(Object.keys(production).sort()).toEqual([
    'Database',
    'Fleet',
    'Gatekeeper',
    'Network',
    'Temporal',
    'Worker',
  ]);
  expect(Object.keys(personal).sort()).toEqual([
    'Database',
    'Fleet',
    'Gatekeeper',
    'Network',
    'Temporal',
    'Worker',
  ]);
});

test('the compute plane gives and takes exactly what the contract names', () => {
  const given = resources(production, 'AWS::SSM::Parameter').map(({ Properties }) =>
    String(Properties['Name']),
  );
  expect(given.sort()).toEqual(computeGives.map((name) => parameterName('production', name)).sort());
  const taken = Object.values(production)
    .flatMap(({ Parameters }) => Object.values(Parameters ?? {}))
    .map((parameter) => String(parameter.Default))
    .filter((name) => name.startsWith('/roundtable/'));
  expect([...new Set(taken)].sort()).toEqual(
    appGives.map((name) => parameterName('production', name)).sort(),
  );
});

test('what must be deployed before the app plane takes nothing from it', () => {
  for (const name of ['Network', 'Database', 'Temporal'])
    expect(JSON.stringify(production[name]?.Parameters ?? {})).not.toContain('/roundtable/');
});

describe('the network', () => {
  test('nobody is let in but other groups, and by the load balancer whoever wants to the gatekeepers', () => {
    const open = resources(production, 'AWS::EC2::SecurityGroup').flatMap(({ Properties }) =>
      ((Properties['SecurityGroupIngress'] ?? []) as Record<string, unknown>[])
        .filter((rule) => rule['CidrIp'] !== undefined)
        .map((rule) => [Properties['GroupDescription'], rule['FromPort'], rule['ToPort']]),
    );
    expect(open).toEqual([['Runners of all members', 443, 443]]);
    for (const { Properties } of resources(production, 'AWS::EC2::SecurityGroupIngress')) {
      expect(Properties['CidrIp']).toBeUndefined();
      expect(Properties['SourceSecurityGroupId']).toBeDefined();
    }
  });

  test('nothing is given a public address', () => {
    for (const { Properties } of resources(production, 'AWS::EC2::Subnet'))
      expect(Properties['MapPublicIpOnLaunch']).toBe(false);
    for (const { Properties } of resources(production, 'AWS::ECS::Service'))
      expect(JSON.stringify(Properties['NetworkConfiguration'])).toContain('"AssignPublicIp":"DISABLED"');
  });
});

describe('Temporal', () => {
  test('compares the database’s certificate and its name with the authority in a secret', () => {
    for (const [stack, name] of [
      ['Temporal', 'frontend'],
      ['Database', 'schema'],
    ] as const) {
      const [definition] = resources(part(stack), 'AWS::ECS::TaskDefinition')
        .flatMap(({ Properties }) => Properties['ContainerDefinitions'] as Record<string, unknown>[])
        .filter((container) => JSON.stringify(container).includes(`"awslogs-stream-prefix":"${name}"`));
      if (!definition) throw new Error(`No container of ${stack} logs as ${name}.`);
      const variables = definition['Environment'] as { Name: string; Value: unknown }[];
      const value = (of: string) => variables.find(({ Name }) => Name === of)?.Value;
      const file = value(stack === 'Temporal' ? 'SQL_CA' : 'SQL_TLS_CA_FILE');
      expect(String(definition['Command'])).toContain(`"$DATABASE_AUTHORITY" > ${String(file)}`);
      expect(namesIn(definition, 'Secrets')).toContain('DATABASE_AUTHORITY');
      // The server compares names only when asked to, its schema tool unless it is told not to.
      if (stack === 'Temporal') expect(value('SQL_HOST_VERIFICATION')).toBe('true');
      expect(variables.map(({ Name }) => Name)).not.toContain('SQL_TLS_DISABLE_HOST_VERIFICATION');
    }
  });

  test('its database is encrypted, speaks TLS only, and outlives a production stack', () => {
    expect(one(production, 'AWS::RDS::DBCluster')).toMatchObject({
      StorageEncrypted: true,
      DeletionProtection: true,
      BackupRetentionPeriod: 14,
    });
    expect(JSON.stringify(one(production, 'AWS::RDS::DBClusterParameterGroup'))).toContain(
      '"rds.force_ssl":"1"',
    );
    expect([databasePolicy(production), databasePolicy(personal)]).toEqual(['Retain', 'Delete']);
  });

  test('production runs each role twice, a personal stage all in one task', () => {
    expect(services(production)).toEqual([2, 2, 2, 2]);
    expect(services(personal)).toEqual([1]);
  });

  test('speaks TLS with certificates among its servers and towards everybody, by one name', () => {
    for (const { Properties } of resources({ Temporal: template('Temporal') }, 'AWS::ECS::TaskDefinition')) {
      const [only] = Properties['ContainerDefinitions'] as Record<string, unknown>[];
      if (only?.['Name'] !== 'temporal') continue;
      expect(only['Environment']).toEqual(
        expect.arrayContaining([
          { Name: 'TEMPORAL_TLS_REQUIRE_CLIENT_AUTH', Value: 'true' },
          { Name: 'TEMPORAL_TLS_INTERNODE_SERVER_NAME', Value: 'temporal.production.roundtable.internal' },
        ]),
      );
      expect(namesIn(only, 'Secrets')).toEqual(
        expect.arrayContaining(
          [
            'SERVER_CA_CERT',
            'SERVER_CERT',
            'SERVER_KEY',
            'FRONTEND_CERT',
            'FRONTEND_KEY',
            'CLIENT1_CA_CERT',
          ].map((name) => `TEMPORAL_TLS_${name}_DATA`),
        ),
      );
    }
  });
});

describe('the gatekeepers', () => {
  test('are told every variable that they read, and what is secret as secrets only', () => {
    const gatekeeper = container('Gatekeeper');
    const source = readFileSync('gatekeeper/environment.ts', 'utf8');
    const read = [...source.matchAll(/^ {2}([A-Z_]+): /gm)].map(([, name]) => String(name));
    const told = new Set([...namesIn(gatekeeper, 'Environment'), ...namesIn(gatekeeper, 'Secrets')]);
    // Nobody fetches metrics from a task that has no collector beside it.
    const optional = ['LOG_LEVEL', 'METRICS_ADDRESS'];
    expect(read.filter((name) => !optional.includes(name) && !told.has(name))).toEqual([]);
    expect(namesIn(gatekeeper, 'Secrets').sort()).toEqual([
      'CHAIN_RPC_URLS',
      'GATEKEEPER_CERTIFICATE',
      'GATEKEEPER_KEY',
      'GATEKEEPER_SECRETS',
      'TEMPORAL_CREDENTIALS',
    ]);
  });

  test('have figures in CloudWatch, which it makes of a line of their log', () => {
    const filters = resources(part('Gatekeeper'), 'AWS::Logs::MetricFilter').map(
      ({ Properties }) => Properties,
    );
    expect(filters).toHaveLength(Object.keys(gatekeeperFigures).length);
    for (const [field, MetricName] of Object.entries(gatekeeperFigures))
      expect(filters).toContainEqual(
        expect.objectContaining({
          FilterPattern: '{ $.msg = "standing" }',
          MetricTransformations: [
            { MetricName, MetricNamespace: 'Roundtable/production', MetricValue: `$.${field}` },
          ],
        }),
      );
  });

  test('end TLS themselves, see who comes, and are never all away', () => {
    expect(one(part('Gatekeeper'), 'AWS::ElasticLoadBalancingV2::Listener')['Protocol']).toBe('TCP');
    const { TargetGroupAttributes: attributes } = one(
      part('Gatekeeper'),
      'AWS::ElasticLoadBalancingV2::TargetGroup',
    );
    expect(attributes).toContainEqual({ Key: 'preserve_client_ip.enabled', Value: 'true' });
    const service = one(part('Gatekeeper'), 'AWS::ECS::Service');
    expect(service['DesiredCount']).toBe(2);
    expect(service['DeploymentConfiguration']).toMatchObject({ MinimumHealthyPercent: 100 });
  });
});

describe('the worker', () => {
  test('runs once, and is stopped before the next is started, since it is the only sender of its key', () => {
    const service = one(part('Worker'), 'AWS::ECS::Service');
    expect(service['DesiredCount']).toBe(1);
    expect(service['DeploymentConfiguration']).toMatchObject({
      MaximumPercent: 100,
      MinimumHealthyPercent: 0,
    });
  });

  test('is told every variable that it reads, and its keys as secrets only', () => {
    const names = (list: string) =>
      (container()[list] as { Name: string }[])
        .map(({ Name }) => Name)
        .filter((name) => name !== 'AWS_REGION');
    const source = readFileSync('workflows/environment.ts', 'utf8');
    const read = [...source.matchAll(/^ {2}([A-Z_]+): /gm)].map(([, name]) => String(name));
    const told = new Set([...names('Environment'), ...names('Secrets')]);
    // Nobody fetches metrics from a task that has no collector beside it.
    const optional = ['LOG_LEVEL', 'METRICS_ADDRESS'];
    expect(read.filter((name) => !optional.includes(name) && !told.has(name))).toEqual([]);
    expect(names('Secrets').sort()).toEqual([
      'ARWEAVE_KEY',
      'CHAIN_RPC_URLS',
      'COORDINATOR_KEY',
      'COORDINATOR_SEALING_KEY',
      'TEMPORAL_CREDENTIALS',
    ]);
    expect(container()['ReadonlyRootFilesystem']).toBe(true);
  });
});

describe('the GPU fleet', () => {
  test('is none or one machine for each runner, on spot, and none without jobs', () => {
    const group = one(part('Fleet'), 'AWS::AutoScaling::AutoScalingGroup');
    expect(group).toMatchObject({ MinSize: '0', MaxSize: '1' });
    expect(group['DesiredCapacity']).toBeUndefined();
    expect(JSON.stringify(group['MixedInstancesPolicy'])).toContain(
      '"OnDemandPercentageAboveBaseCapacity":0',
    );
    const steps = resources(part('Fleet'), 'AWS::AutoScaling::ScalingPolicy').map(
      ({ Properties }) =>
        (Properties['StepAdjustments'] as { ScalingAdjustment: number }[])[0]?.ScalingAdjustment,
    );
    expect(steps.sort()).toEqual([0, 1]);
  });

  test('asks for IMDSv2, lets nobody in, and keeps its home on an encrypted volume', () => {
    const template = one(part('Fleet'), 'AWS::EC2::LaunchTemplate')['LaunchTemplateData'] as Record<
      string,
      unknown
    >;
    expect(template['MetadataOptions']).toMatchObject({ HttpTokens: 'required', HttpPutResponseHopLimit: 1 });
    expect(template['KeyName']).toBeUndefined();
    expect(one(part('Fleet'), 'AWS::EC2::SecurityGroup')['SecurityGroupIngress']).toBeUndefined();
    expect(one(part('Fleet'), 'AWS::EC2::Volume')['Encrypted']).toBe(true);
  });
});

test('alarms on every service, the database and the entrance reach one encrypted topic that takes TLS only', () => {
  const alarms = resources(production, 'AWS::CloudWatch::Alarm')
    .filter(({ Properties }) => Properties['OKActions'] !== undefined)
    .map(({ Properties }) => String(Properties['AlarmDescription']));
  expect(alarms).toHaveLength(2 * resources(production, 'AWS::ECS::Service').length + 3);
  for (const what of [
    'The current workflow worker',
    'The gatekeepers',
    "Temporal's frontend",
    "Temporal's database",
  ])
    expect(alarms.filter((text) => text.startsWith(what)).length).toBeGreaterThan(0);
  expect(one(production, 'AWS::SNS::Topic')['KmsMasterKeyId']).toBeDefined();
  expect(one(production, 'AWS::KMS::Key')['EnableKeyRotation']).toBe(true);
  expect(JSON.stringify(one(production, 'AWS::SNS::TopicPolicy'))).toContain('"aws:SecureTransport":"false"');
});

test('every log group of the compute plane forgets after the days of its stage', () => {
  for (const [plane, days] of [
    [personal, 7],
    [production, 365],
  ] as const)
    for (const { Properties } of resources(plane, 'AWS::Logs::LogGroup'))
      expect(Properties['RetentionInDays']).toBe(days);
});

/** One stack of production, alone. */
const part = (name: string): Plane => ({ [name]: template(name) });

function template(name: string, plane = production): Template {
  const found = plane[name];
  if (!found) throw new Error(`There is no stack ${name}.`);
  return found;
}

const services = ({ Temporal: servers }: Plane) =>
  resources(servers ? { servers } : {}, 'AWS::ECS::Service').map(
    ({ Properties }) => Properties['DesiredCount'],
  );

const namesIn = (of: Record<string, unknown>, list: string): string[] =>
  (of[list] as { Name: string }[]).map(({ Name }) => Name);

function container(name = 'Worker'): Record<string, unknown> {
  const [only] = one(part(name), 'AWS::ECS::TaskDefinition')['ContainerDefinitions'] as Record<
    string,
    unknown
  >[];
  if (!only) throw new Error('The task has no container.');
  return only;
}

const databasePolicy = (plane: Plane) => resources(plane, 'AWS::RDS::DBCluster')[0]?.DeletionPolicy;
