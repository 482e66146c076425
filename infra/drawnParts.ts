import type { AppPlane, AppResource, Template } from './synthesis.js';

/** What of the synthesised resources is drawn, and who reaches whom: of functions, queues and services every one. */

export interface Box {
  id: string;
  title: string;
  lines: string[];
  /** Stands in the VPC although it belongs to the app plane. */
  inNetwork?: boolean;
}

export function appBoxes(app: AppPlane): Box[] {
  const of = (type: string) => app.resources.filter((resource) => resource.type === type);
  const count = (type: string) => of(type).length;
  const functions = of('aws:lambda/function:Function').map(({ name, inputs }): Box => ({
    id: functionName(name),
    title: `${functionName(name)}()`,
    lines: [`Lambda, ${String(inputs['memorySize'])} MB, ${String(inputs['timeout'])} s`, reachOf(app, name)],
    inNetwork: inputs['vpcConfig'] !== undefined,
  }));
  const queues = of('aws:sqs/queue:Queue').map(({ name, inputs }): Box => {
    const id = name.replace(/Queue$/, '');
    const days = Number(inputs['messageRetentionSeconds']) / 86_400;
    return {
      id,
      title: id.endsWith('Dead') ? `${id.replace('Dead', '')}: dead letters` : `${id} queue`,
      lines: ['SQS, encrypted', `kept for ${days} days`],
    };
  });
  const tables = of('aws:dynamodb/table:Table').map(({ inputs }): Box => ({
    id: 'Table',
    title: 'table',
    lines: [
      'DynamoDB, on demand',
      `${(inputs['globalSecondaryIndexes'] as unknown[]).length} indexes, point-in-time restore`,
    ],
  }));
  const buckets = of('aws:s3/bucket:Bucket')
    .filter(({ name }) => !name.startsWith('Page'))
    .map(({ name }): Box => ({
      id: name.replace(/Bucket$/, ''),
      title: 'artifacts',
      lines: ['S3, versioned, private', 'sha256, incoming, updates'],
    }));
  return [
    ...functions,
    ...queues,
    ...tables,
    ...buckets,
    ...of('aws:apigatewayv2/api:Api').map((): Box => ({
      id: 'Gateway',
      title: 'HTTP API',
      lines: ['API Gateway', `${count('aws:apigatewayv2/route:Route')} routes, limited rate`],
    })),
    ...of('aws:cloudfront/distribution:Distribution').map((): Box => ({
      id: 'Page',
      title: 'page',
      lines: ['CloudFront on a bucket', 'strict content policy'],
    })),
    ...of('aws:scheduler/schedule:Schedule').map(({ name, inputs }): Box => ({
      id: scheduleName(name),
      title: String(inputs['scheduleExpression'])
        .replace(/^rate\((.*)\)$/, 'every $1')
        .replace('every 1 ', 'every '),
      lines: ['EventBridge schedule'],
    })),
    {
      id: 'Alarms',
      title: `${count('aws:cloudwatch/metricAlarm:MetricAlarm')} alarms`,
      lines: ['CloudWatch, mailed by SNS', 'encrypted topic'],
    },
    {
      id: 'Dashboard',
      title: `${count('aws:cloudwatch/dashboard:Dashboard')} dashboard`,
      lines: [`${count('aws:cloudwatch/logGroup:LogGroup')} log groups`, 'traces of every call'],
    },
  ];
}

const scheduleName = (resource: string): string => resource.replace(/Schedule$/, '');
const functionName = (resource: string): string =>
  resource.replace(/Function$/, '').replace(/^./, (letter) => letter.toLowerCase());

/** What the role of a function allows on table, bucket and queues. */
function reachOf(app: AppPlane, name: string): string {
  const role = app.resources.find(
    (resource) =>
      resource.type === 'aws:iam/role:Role' && resource.name === name.replace(/Function$/, 'Role'),
  );
  const policies = (role?.inputs['inlinePolicies'] ?? []) as { policy: string }[];
  const resources = policies.flatMap(({ policy }) =>
    (JSON.parse(policy) as { Statement: { resources: string[] }[] }).Statement.flatMap(
      (each) => each.resources,
    ),
  );
  const reached = [
    ['table', /Table:TableTable$|dynamodb\/table:Table/],
    ['bucket', /ArtifactsBucket/],
    ['jobs', /:JobsQueue$/],
    ['credits', /:CreditsQueue$/],
  ] as const;
  return `may: ${reached.flatMap(([what, arn]) => (resources.some((resource) => arn.test(resource)) ? [what] : [])).join(', ')}`;
}

export function computeBoxes(compute: Readonly<Record<string, Template>>): Box[] {
  const all = Object.values(compute).flatMap(({ Resources }) => Object.values(Resources));
  const count = (type: string) => all.filter((resource) => resource.Type === type).length;
  const tasks = (stack: string): Box[] => {
    const resources = Object.values(compute[stack]?.Resources ?? {});
    const services = resources.filter(({ Type }) => Type === 'AWS::ECS::Service');
    if (services.length === 0) return [];
    const copies = services.reduce((sum, { Properties }) => sum + Number(Properties['DesiredCount']), 0);
    const task = resources.find(
      ({ Type, Properties }) =>
        Type === 'AWS::ECS::TaskDefinition' && !JSON.stringify(Properties).includes('admin-tools'),
    );
    const { Cpu, Memory } = task?.Properties ?? {};
    return [
      {
        id: stack,
        title: { Gatekeeper: 'gatekeepers', Worker: 'workflow worker' }[stack] ?? stack,
        lines: [
          `Fargate, ${copies} × ${Number(Cpu) / 1024} vCPU, ${Number(Memory) / 1024} GB`,
          stack === 'Temporal' ? `${services.length} services, TLS among all` : reachOfTask(resources),
        ],
      },
    ];
  };
  const some = (type: string, box: (n: number) => Box): Box[] => (count(type) > 0 ? [box(count(type))] : []);
  return [
    ...tasks('Gatekeeper'),
    ...tasks('Temporal'),
    ...tasks('Worker'),
    ...some('AWS::ElasticLoadBalancingV2::LoadBalancer', () => ({
      id: 'Balancer',
      title: 'network load balancer',
      lines: ['TCP 443, passed through', 'the only open door'],
    })),
    ...some('AWS::RDS::DBCluster', () => ({
      id: 'Database',
      title: 'Aurora PostgreSQL',
      lines: [`Serverless v2, ${count('AWS::RDS::DBInstance')} instances`, 'encrypted, TLS only'],
    })),
    ...some('AWS::SecretsManager::Secret', (n) => ({
      id: 'Secrets',
      title: `${n} secrets`,
      lines: ['Secrets Manager', 'keys never leave their task'],
    })),
    ...some('AWS::AutoScaling::AutoScalingGroup', (n) => ({
      id: 'Fleet',
      title: 'GPU fleet',
      lines: [`${n} × one spot machine, or none`, 'starts with jobs, ends idle'],
    })),
    ...some('AWS::ECR::Repository', () => ({
      id: 'Images',
      title: 'images',
      lines: ['ECR, tags never move', 'worker and gatekeepers'],
    })),
    ...some('AWS::SSM::Parameter', (n) => ({
      id: 'Parameters',
      title: 'hand-over',
      lines: [`${n} parameters from here`, 'infra/contract.ts names all'],
    })),
  ];
}

/** By the actions of its role. */
function reachOfTask(resources: Template['Resources'][string][]): string {
  const policies = JSON.stringify(
    resources.filter(({ Type }) => Type === 'AWS::IAM::Policy').map(({ Properties }) => Properties),
  );
  const reached = [
    ['table', 'dynamodb:'],
    ['bucket', 's3:'],
    ['credits', 'sqs:SendMessage'],
    ['sum', 'lambda:InvokeFunction'],
  ] as const;
  return `may: ${reached.flatMap(([what, action]) => (policies.includes(`"${action}`) ? [what] : [])).join(', ')}`;
}

export type Edge = [from: string, to: string, label?: string];

/** From routes, event sources, schedules, dead-letter policies, send permissions and security groups. */
export function edges(app: AppPlane, compute: Readonly<Record<string, Template>>): Edge[] {
  const of = (type: string): AppResource[] => app.resources.filter((resource) => resource.type === type);
  const sources = of('aws:lambda/eventSourceMapping:EventSourceMapping').map(({ inputs }): Edge => [
    last(inputs['eventSourceArn']).replace(/Queue$/, ''),
    functionName(last(inputs['functionName'])),
  ]);
  const scheduled = of('aws:scheduler/schedule:Schedule').map(({ name, inputs }): Edge => [
    scheduleName(name),
    functionName(last((inputs['target'] as { arn: string }).arn)),
  ]);
  const dead = of('aws:sqs/queue:Queue').flatMap(({ name, inputs }): Edge[] => {
    const policy = inputs['redrivePolicy'];
    if (policy === undefined) return [];
    const { deadLetterTargetArn } = JSON.parse(String(policy)) as { deadLetterTargetArn: string };
    return [[name.replace(/Queue$/, ''), last(deadLetterTargetArn).replace(/Queue$/, '')]];
  });
  const inNetwork = of('aws:lambda/function:Function')
    .filter(({ inputs }) => inputs['vpcConfig'] !== undefined)
    .map(({ name }) => functionName(name));
  const ingress = Object.entries(compute).flatMap(([stack, { Resources }]): Edge[] =>
    Object.values(Resources).some(
      ({ Type, Properties }) =>
        Type === 'AWS::EC2::SecurityGroupIngress' && Properties['FromPort'] === temporalPort,
    )
      ? [[stack, 'Temporal']]
      : [],
  );
  return [
    ['Visitors', 'Page'],
    ['Callers', 'Gateway'],
    ['Page', 'Gateway'],
    ['Gateway', 'webhook'],
    ['Gateway', 'api'],
    ['webhook', 'Jobs'],
    ...scheduled,
    ...sources,
    ...dead,
    ['Runners', 'Balancer'],
    ['Balancer', 'Gatekeeper'],
    ...ingress.filter(([from]) => from !== 'Temporal'),
    ['Temporal', 'Database'],
    ['AppPlane', 'Temporal', `from ${inNetwork.sort().join(', ')}`],
  ];
}

const last = (arn: unknown): string => String(arn).split(':').at(-1) ?? '';

const temporalPort = 7233;
