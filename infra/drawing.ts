import type { AppPlane, AppResource, Template } from './synthesis.js';

/**
 * docs/stack.svg: what both planes create, drawn from the synthesised resources. Places are given here; what stands in
 * a box, how much of it, and who may reach what is read from the resources. A function, queue, store or service that
 * has no place stops the drawing, so that none is forgotten.
 */
export function drawStack(compute: Readonly<Record<string, Template>>, app: AppPlane): string {
  const boxes = [...appBoxes(app), ...computeBoxes(compute)];
  const unplaced = boxes.filter(({ id }) => !(id in places)).map(({ id }) => id);
  if (unplaced.length > 0) throw new Error(`No place in the drawing for ${unplaced.join(', ')}.`);
  const drawn = boxes.map((box) => drawBox(box));
  const lines = edges(app, compute)
    .filter(([from, to]) => [from, to].every((end) => end in outside || boxes.some(({ id }) => id === end)))
    .map(([from, to, label]) => drawEdge(from, to, label));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    '<title>A stack in a member’s AWS account</title>',
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#56616f"/></marker></defs>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    plane(170, 16, 970, 430, 'App plane: SST', '#f4f7fb'),
    plane(170, 480, 970, 270, 'Compute plane: CDK, in a VPC of two zones', '#f7f6f0'),
    ...lines,
    ...Object.entries(outside).map(([id, title]) => drawOutside(id, title)),
    ...drawn,
    legend(),
    '</svg>',
    '',
  ].join('\n');
}

interface Box {
  id: string;
  title: string;
  lines: string[];
  /** Stands in the VPC although it belongs to the app plane. */
  inNetwork?: boolean;
}

const [width, height] = [1160, 800];

/** Left upper corners; boxes are of one size. */
const places: Record<string, [x: number, y: number]> = {
  Page: [190, 60],
  Gateway: [190, 150],
  SweepSchedule: [190, 260],
  SettleSchedule: [190, 345],
  webhook: [380, 60],
  api: [380, 150],
  sweep: [380, 260],
  settle: [380, 345],
  Jobs: [570, 60],
  JobsDead: [570, 150],
  Credits: [570, 260],
  CreditsDead: [570, 345],
  dispatch: [760, 60],
  reward: [760, 260],
  sum: [760, 345],
  Table: [950, 60],
  Artifacts: [950, 150],
  Alarms: [950, 260],
  Dashboard: [950, 345],
  Balancer: [190, 530],
  Gatekeeper: [380, 530],
  Temporal: [570, 530],
  Database: [760, 530],
  Secrets: [950, 530],
  Fleet: [190, 650],
  Images: [380, 650],
  Worker: [570, 650],
  Parameters: [950, 650],
};
const [boxWidth, boxHeight] = [165, 66];

const outside: Record<string, string> = {
  Visitors: 'visitors of the page',
  Callers: 'webhooks, members, runners',
  Runners: 'runners of all members',
};
const outsidePlaces: Record<string, [x: number, y: number]> = {
  Visitors: [10, 60],
  Callers: [10, 150],
  Runners: [10, 530],
};

function appBoxes(app: AppPlane): Box[] {
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
      `${(inputs['globalSecondaryIndexes'] as unknown[]).length} indexes, restore to a second`,
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
      lines: ['CloudFront on a bucket', `${count('aws:s3/bucketObjectv2:BucketObjectv2')} files, CSP`],
    })),
    ...of('aws:scheduler/schedule:Schedule').map(({ name, inputs }): Box => ({
      id: name,
      title: String(inputs['scheduleExpression']).replace(/^rate\((.*)\)$/, 'every $1'),
      lines: ['EventBridge schedule'],
    })),
    {
      id: 'Alarms',
      title: `${count('aws:cloudwatch/metricAlarm:MetricAlarm')} alarms`,
      lines: ['CloudWatch to SNS, encrypted', 'mail to a person'],
    },
    {
      id: 'Dashboard',
      title: `${count('aws:cloudwatch/dashboard:Dashboard')} dashboard`,
      lines: [`${count('aws:cloudwatch/logGroup:LogGroup')} log groups`, 'traces of every call'],
    },
  ];
}

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

function computeBoxes(compute: Readonly<Record<string, Template>>): Box[] {
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
          stack === 'Temporal' ? `${services.length} services, TLS among all` : 'TLS to Temporal',
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
      lines: [`${n} × none or one spot machine`, 'starts with jobs, ends idle'],
    })),
    ...some('AWS::ECR::Repository', () => ({
      id: 'Images',
      title: 'images',
      lines: ['ECR, tags never move', 'worker and gatekeepers'],
    })),
    ...some('AWS::SSM::Parameter', (n) => ({
      id: 'Parameters',
      title: 'what the planes hand over',
      lines: [`${n} parameters from here`, 'infra/contract.ts names all'],
    })),
  ];
}

type Edge = [from: string, to: string, label?: string];

/** From routes, event sources, schedules, dead-letter policies, send permissions and security groups. */
function edges(app: AppPlane, compute: Readonly<Record<string, Template>>): Edge[] {
  const of = (type: string): AppResource[] => app.resources.filter((resource) => resource.type === type);
  const last = (arn: unknown): string => String(arn).split(':').at(-1) ?? '';
  const sources = of('aws:lambda/eventSourceMapping:EventSourceMapping').map(({ inputs }): Edge => [
    last(inputs['eventSourceArn']).replace(/Queue$/, ''),
    functionName(last(inputs['functionName'])),
  ]);
  const scheduled = of('aws:scheduler/schedule:Schedule').map(({ name, inputs }): Edge => [
    name,
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
    ['CreditsDead', 'Temporal', `${inNetwork.join(', ')} → Temporal`],
  ];
}

const temporalPort = 7233;

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const plane = (x: number, y: number, w: number, h: number, title: string, fill: string): string =>
  `<rect x="${x}" y="${y}" width="${w}" height="${h}" rx="10" fill="${fill}" stroke="#c6ced8"/>` +
  `<text x="${x + 16}" y="${y + 24}" font-weight="600" font-size="14" fill="#27303b">${escape(title)}</text>`;

function drawBox({ id, title, lines, inNetwork }: Box): string {
  const [x, y] = places[id] ?? [0, 0];
  const stroke = inNetwork ? '#b8860b' : '#7d8a99';
  const text = lines.map(
    (line, index) =>
      `<text x="${x + 10}" y="${y + 40 + 16 * index}" font-size="11" fill="#46505c">${escape(line)}</text>`,
  );
  return (
    `<g><rect x="${x}" y="${y}" width="${boxWidth}" height="${boxHeight}" rx="6" fill="#fff" stroke="${stroke}"${inNetwork ? ' stroke-width="2"' : ''}/>` +
    `<text x="${x + 10}" y="${y + 21}" font-weight="600" fill="#1c232b">${escape(title)}</text>${text.join('')}</g>`
  );
}

function drawOutside(id: string, title: string): string {
  const [x, y] = outsidePlaces[id] ?? [0, 0];
  const words = title.split(/(?<=,|of) /);
  return words
    .map(
      (word, index) =>
        `<text x="${x}" y="${y + 28 + 15 * index}" fill="#1c232b" font-style="italic">${escape(word)}</text>`,
    )
    .join('');
}

/** Straight where both stand in a row or column, else along a bend between the columns. */
function drawEdge(from: string, to: string, label?: string): string {
  const [ax, ay] = places[from] ?? outsidePlaces[from] ?? [0, 0];
  const [bx, by] = places[to] ?? [0, 0];
  const middle = (y: number) => y + boxHeight / 2;
  const startX = from in outside ? ax + 140 : ax + boxWidth;
  const path =
    ax === bx
      ? by > ay
        ? `M${ax + boxWidth / 2} ${ay + boxHeight}V${by}`
        : `M${ax + boxWidth / 2} ${ay}V${by + boxHeight}`
      : ay === by
        ? `M${startX} ${middle(ay)}H${bx}`
        : `M${startX} ${middle(ay)}H${bx - 12}V${middle(by)}H${bx}`;
  const text = label
    ? `<text x="${ax + boxWidth / 2 + 8}" y="${(ay + boxHeight + by) / 2 + 8}" font-size="11" fill="#46505c">${escape(label)}</text>`
    : '';
  return `<path d="${path}" fill="none" stroke="#56616f" stroke-width="1.3" marker-end="url(#tip)"/>${text}`;
}

const legend = (): string =>
  `<rect x="190" y="768" width="16" height="12" rx="3" fill="#fff" stroke="#b8860b" stroke-width="2"/>` +
  `<text x="214" y="778" font-size="11" fill="#46505c">a function that stands in the VPC and reads Temporal’s credentials. Drawn from the synthesised resources of a production stage; not drawn: roles, log groups, subnets.</text>`;
