import { aws_autoscaling as autoscaling, aws_cloudwatch as cloudwatch, Duration } from 'aws-cdk-lib';

/**
 * From none to one when somebody rings for a job, back to none after an idle while. A machine needs some minutes
 * to come up, so the job that rang may begin without it.
 */
export function scaleWithJobs(
  group: autoscaling.AutoScalingGroup,
  jobsQueue: string,
  idleMinutes: number,
): void {
  const rung = new cloudwatch.Metric({
    namespace: 'AWS/SQS',
    metricName: 'NumberOfMessagesSent',
    dimensionsMap: { QueueName: jobsQueue },
    statistic: 'Sum',
    period: Duration.minutes(1),
  }).createAlarm(group, 'Rung', {
    alarmDescription: 'A job was queued',
    threshold: 1,
    evaluationPeriods: 1,
    treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
  });
  const idle = new cloudwatch.Metric({
    namespace: 'AWS/EC2',
    metricName: 'CPUUtilization',
    dimensionsMap: { AutoScalingGroupName: group.autoScalingGroupName },
    statistic: 'Maximum',
    period: Duration.minutes(5),
  }).createAlarm(group, 'Idle', {
    alarmDescription: 'The runner has done nothing for a while',
    comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
    threshold: 5,
    evaluationPeriods: idleMinutes / 5,
    treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
  });
  rung.addAlarmAction(exactly(group, 'Start', 1));
  idle.addAlarmAction(exactly(group, 'Stop', 0));
}

function exactly(group: autoscaling.AutoScalingGroup, id: string, capacity: 0 | 1): cloudwatch.IAlarmAction {
  const policy = new autoscaling.CfnScalingPolicy(group, id, {
    autoScalingGroupName: group.autoScalingGroupName,
    policyType: 'StepScaling',
    adjustmentType: 'ExactCapacity',
    stepAdjustments: [
      capacity === 1
        ? { metricIntervalLowerBound: 0, scalingAdjustment: 1 }
        : { metricIntervalUpperBound: 0, scalingAdjustment: 0 },
    ],
  });
  return { bind: () => ({ alarmActionArn: policy.ref }) };
}
