import { figuresNamespace, gatekeeperFigures } from '../figures.js';
import { functions as shapes, type FunctionName } from '../functions.js';
import type { Functions } from './functions.js';
import type { Queues } from './queues.js';

/** One screen that says whether work comes in, is done, and where it stands still. */
export function createDashboard(parts: {
  region: string;
  functions: Functions;
  queues: Queues;
  table: sst.aws.Dynamo;
  api: sst.aws.ApiGatewayV2;
}): void {
  const { region, functions, queues, table, api } = parts;
  const names = Object.keys(shapes) as FunctionName[];
  const ofFunctions = (metric: string): Metric[] =>
    names.map((name) => ['AWS/Lambda', metric, 'FunctionName', functions[name].name]);
  const ofQueues = (metric: string, which: 'queue' | 'dead'): Metric[] =>
    Object.values(queues).map((pair) => ['AWS/SQS', metric, 'QueueName', pair[which].nodes.queue.name]);
  const ofApi = (metric: string): Metric => ['AWS/ApiGateway', metric, 'ApiId', api.nodes.api.id];
  const ofTable = (metric: string): Metric => ['AWS/DynamoDB', metric, 'TableName', table.name];

  const rows: [title: string, statistic: string, metrics: Metric[]][] = [
    ['Requests to the API', 'Sum', [ofApi('Count'), ofApi('4xx'), ofApi('5xx')]],
    ['Milliseconds of the API', 'p95', [ofApi('Latency')]],
    ['Messages that wait', 'Maximum', ofQueues('ApproximateNumberOfMessagesVisible', 'queue')],
    ['Age of the oldest message, s', 'Maximum', ofQueues('ApproximateAgeOfOldestMessage', 'queue')],
    ['Dead letters', 'Maximum', ofQueues('ApproximateNumberOfMessagesVisible', 'dead')],
    ['Calls of functions', 'Sum', ofFunctions('Invocations')],
    ['Errors of functions', 'Sum', ofFunctions('Errors')],
    ['Milliseconds of functions', 'p95', ofFunctions('Duration')],
    [
      'Table, capacity used',
      'Sum',
      [ofTable('ConsumedReadCapacityUnits'), ofTable('ConsumedWriteCapacityUnits')],
    ],
    ['Runners and open polls of a gatekeeper', 'Average', [ofGatekeepers('runners'), ofGatekeepers('polls')]],
    ['Refused by the gatekeepers', 'Sum', [ofGatekeepers('refused')]],
    ["Days until the gatekeepers' certificate ends", 'Minimum', [ofGatekeepers('certificateDays')]],
    ['Table, throttled', 'Sum', [ofTable('ReadThrottleEvents'), ofTable('WriteThrottleEvents')]],
  ];
  new aws.cloudwatch.Dashboard('Dashboard', {
    dashboardName: `roundtable-${$app.stage}`,
    dashboardBody: $jsonStringify({
      widgets: rows.map(([title, stat, metrics], index) => ({
        type: 'metric',
        x: 12 * (index % 2),
        y: 6 * Math.floor(index / 2),
        width: 12,
        height: 6,
        properties: { title, stat, metrics, region, period: 300, view: 'timeSeries' },
      })),
    }),
  });
}

const ofGatekeepers = (figure: keyof typeof gatekeeperFigures): Metric => [
  figuresNamespace($app.stage),
  gatekeeperFigures[figure],
];

type Metric =
  | [namespace: string, metric: string]
  | [namespace: string, metric: string, dimension: string, value: $util.Input<string>];
