import {
  Duration,
  aws_cloudwatch as cloudwatch,
  aws_cloudwatch_actions as actions,
  type aws_ecs as ecs,
  type aws_elasticloadbalancingv2 as balancing,
  aws_iam as iam,
  aws_kms as kms,
  type aws_rds as rds,
  aws_sns as sns,
  aws_sns_subscriptions as subscriptions,
} from 'aws-cdk-lib';
import type { Construct } from 'constructs';

/** Whom the compute plane tells when something needs a person; encrypted, over TLS only. */
export function createTopic(scope: Construct, stage: string, email: string): sns.Topic {
  const key = new kms.Key(scope, 'AlarmsKey', {
    description: `Roundtable ${stage}: alarms of the compute plane`,
    enableKeyRotation: true,
  });
  // CloudWatch may write to an encrypted topic only when the key's policy says so.
  key.grantEncryptDecrypt(new iam.ServicePrincipal('cloudwatch.amazonaws.com'));
  const topic = new sns.Topic(scope, 'Alarms', { masterKey: key, enforceSSL: true });
  topic.addSubscription(new subscriptions.EmailSubscription(email));
  return topic;
}

/** Fewer tasks than there should be for ten minutes, or memory that runs out. */
export function watchService(
  scope: Construct,
  topic: sns.Topic,
  service: ecs.FargateService,
  what: string,
): void {
  const running = new cloudwatch.Metric({
    namespace: 'ECS/ContainerInsights',
    metricName: 'RunningTaskCount',
    dimensionsMap: { ClusterName: service.cluster.clusterName, ServiceName: service.serviceName },
    statistic: 'Minimum',
    period: Duration.minutes(5),
  });
  raise(topic, running, scope, 'Running', {
    description: `${what}: no task runs`,
    threshold: 1,
    comparison: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
    periods: 2,
    // A service that is not there at all reports nothing.
    missing: cloudwatch.TreatMissingData.BREACHING,
  });
  raise(
    topic,
    service.metricMemoryUtilization({ statistic: 'Maximum', period: Duration.minutes(5) }),
    scope,
    'Memory',
    {
      description: `${what}: more than 90% of its memory is in use`,
      threshold: 90,
      periods: 2,
    },
  );
}

/** A database at the upper end of what it may grow to. */
export function watchDatabase(scope: Construct, topic: sns.Topic, database: rds.DatabaseCluster): void {
  raise(
    topic,
    database.metricACUUtilization({ statistic: 'Maximum', period: Duration.minutes(5) }),
    scope,
    'Capacity',
    {
      description: "Temporal's database: more than 90% of its greatest capacity is in use",
      threshold: 90,
      periods: 3,
    },
  );
}

/** Nobody comes in any more. */
export function watchTargets(
  scope: Construct,
  topic: sns.Topic,
  targets: balancing.NetworkTargetGroup,
): void {
  raise(
    topic,
    targets.metrics.healthyHostCount({ statistic: 'Minimum', period: Duration.minutes(1) }),
    scope,
    'Healthy',
    {
      description: 'The gatekeepers: none is healthy, so no runner comes in',
      threshold: 1,
      comparison: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
      periods: 5,
      missing: cloudwatch.TreatMissingData.BREACHING,
    },
  );
}

/** Two weeks are enough to put another one: runners have to learn of it first. */
export function watchCertificate(scope: Construct, topic: sns.Topic, daysLeft: cloudwatch.Metric): void {
  raise(topic, daysLeft, scope, 'Certificate', {
    description: 'The gatekeepers: the certificate that runners are shown ends within 14 days',
    threshold: 14,
    comparison: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
    periods: 1,
  });
}

function raise(
  topic: sns.Topic,
  metric: cloudwatch.IMetric,
  scope: Construct,
  id: string,
  rule: {
    description: string;
    threshold: number;
    periods: number;
    comparison?: cloudwatch.ComparisonOperator;
    missing?: cloudwatch.TreatMissingData;
  },
): void {
  const alarm = new cloudwatch.Alarm(scope, `${id}Alarm`, {
    metric: metric as cloudwatch.Metric,
    alarmDescription: rule.description,
    threshold: rule.threshold,
    evaluationPeriods: rule.periods,
    comparisonOperator: rule.comparison ?? cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
    treatMissingData: rule.missing ?? cloudwatch.TreatMissingData.NOT_BREACHING,
  });
  alarm.addAlarmAction(new actions.SnsAction(topic));
  alarm.addOkAction(new actions.SnsAction(topic));
}
