import type { Settings } from '../settings.js';
import { functions as shapes } from '../functions.js';
import type { Functions } from './functions.js';
import type { Queues } from './queues.js';

/** Everything that needs a person, to one topic. */
export function createAlarms(parts: {
  settings: Settings;
  functions: Functions;
  queues: Queues;
  table: sst.aws.Dynamo;
  api: sst.aws.ApiGatewayV2;
}): void {
  const { settings, functions, queues, table, api } = parts;
  const topic = createTopic(settings);

  const alarm = (name: string, what: Alarm) =>
    new aws.cloudwatch.MetricAlarm(name, {
      alarmDescription: `Roundtable ${$app.stage}: ${what.meaning}`,
      namespace: what.namespace,
      metricName: what.metric,
      dimensions: what.of,
      statistic: what.statistic,
      period: 300,
      evaluationPeriods: 1,
      comparisonOperator: 'GreaterThanThreshold',
      threshold: what.above,
      treatMissingData: 'notBreaching',
      alarmActions: [topic.arn],
      okActions: [topic.arn],
    });

  for (const [name, { queue, dead }] of Object.entries({ Jobs: queues.jobs, Credits: queues.credits })) {
    alarm(`${name}DeadAlarm`, {
      meaning: `messages that could not be processed lie in the dead-letter queue of ${name.toLowerCase()}`,
      namespace: 'AWS/SQS',
      metric: 'ApproximateNumberOfMessagesVisible',
      of: { QueueName: dead.nodes.queue.name },
      statistic: 'Maximum',
      above: 0,
    });
    alarm(`${name}AgeAlarm`, {
      meaning: `messages have been waiting in the queue of ${name.toLowerCase()} for 15 minutes`,
      namespace: 'AWS/SQS',
      metric: 'ApproximateAgeOfOldestMessage',
      of: { QueueName: queue.nodes.queue.name },
      statistic: 'Maximum',
      above: 900,
    });
  }

  for (const name of Object.keys(shapes) as (keyof Functions)[])
    for (const metric of ['Errors', 'Throttles'] as const)
      alarm(`${name.replace(/^./, (letter) => letter.toUpperCase())}${metric}Alarm`, {
        meaning: metric === 'Errors' ? `the ${name} function fails` : `the ${name} function is throttled`,
        namespace: 'AWS/Lambda',
        metric,
        of: { FunctionName: functions[name].name },
        statistic: 'Sum',
        above: 2,
      });

  alarm('ApiFailuresAlarm', {
    meaning: 'the API answers 5xx',
    namespace: 'AWS/ApiGateway',
    metric: '5xx',
    of: { ApiId: api.nodes.api.id },
    statistic: 'Sum',
    above: 5,
  });
  for (const metric of ['ReadThrottleEvents', 'WriteThrottleEvents'])
    alarm(`Table${metric}Alarm`, {
      meaning: 'DynamoDB throttles the table',
      namespace: 'AWS/DynamoDB',
      metric,
      of: { TableName: table.name },
      statistic: 'Sum',
      above: 10,
    });
}

interface Alarm {
  meaning: string;
  namespace: string;
  metric: string;
  of: Record<string, $util.Input<string>>;
  statistic: 'Sum' | 'Maximum';
  above: number;
}

/** CloudWatch may write to an encrypted topic only when the key's policy says so; AWS's own key for SNS does not. */
function createTopic(settings: Settings) {
  const inAccount = [{ test: 'StringEquals', variable: 'aws:SourceAccount', values: [settings.account] }];
  const cloudwatch = [{ type: 'Service', identifiers: ['cloudwatch.amazonaws.com'] }];
  const key = new aws.kms.Key('AlarmsKey', {
    description: `Roundtable ${$app.stage}: alarms`,
    enableKeyRotation: true,
    policy: aws.iam.getPolicyDocumentOutput({
      statements: [
        {
          principals: [{ type: 'AWS', identifiers: [`arn:aws:iam::${settings.account}:root`] }],
          actions: ['kms:*'],
          resources: ['*'],
        },
        {
          principals: cloudwatch,
          actions: ['kms:Decrypt', 'kms:GenerateDataKey*'],
          resources: ['*'],
          conditions: inAccount,
        },
      ],
    }).json,
  });
  const topic = new aws.sns.Topic('Alarms', { kmsMasterKeyId: key.id });
  new aws.sns.TopicPolicy('AlarmsPolicy', {
    arn: topic.arn,
    policy: aws.iam.getPolicyDocumentOutput({
      statements: [
        {
          principals: cloudwatch,
          actions: ['sns:Publish'],
          resources: [topic.arn],
          conditions: inAccount,
        },
        {
          effect: 'Deny',
          principals: [{ type: '*', identifiers: ['*'] }],
          actions: ['sns:Publish'],
          resources: [topic.arn],
          conditions: [{ test: 'Bool', variable: 'aws:SecureTransport', values: ['false'] }],
        },
      ],
    }).json,
  });
  new aws.sns.TopicSubscription('AlarmsEmail', {
    topic: topic.arn,
    protocol: 'email',
    endpoint: settings.alarmEmail,
  });
  return topic;
}
