import { Duration, Stack, aws_ec2 as ec2, aws_ecs as ecs, aws_iam as iam } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { tracing } from '../settings.js';
import { sumRules } from '../sumCost.js';
import { taskSizes } from '../tasks.js';
import { acknowledgeWildcards } from './acknowledge.js';
import { watchService } from './alarms.js';
import { take } from './contract.js';
import type { NetworkStack } from './network.js';
import {
  acknowledgeTask,
  callsTemporal,
  imageTag,
  ownImage,
  ownLog,
  startWithKeyFiles,
} from './ownProgram.js';
import type { StageProps } from './plane.js';
import type { TemporalService } from './temporal.js';

/**
 * The workflow worker. One at a time takes new work and sends its key's transactions, also during a deployment:
 * Temporal's histories carry the work over the minute without it. Beside it, `-c draining=TAG` keeps the build before
 * until the rounds that began on it are over.
 */
export class WorkerStack extends Stack {
  constructor(
    scope: Construct,
    id: string,
    private readonly props: StageProps & { network: NetworkStack; temporal: TemporalService },
  ) {
    super(scope, id, props);
    const { network, temporal } = props;
    const security = new ec2.SecurityGroup(this, 'Security', {
      vpc: network.vpc,
      description: 'The workflow worker',
    });
    callsTemporal(this, temporal, security, 'The workflow worker');
    const policy = this.createPolicy();
    this.createService(this, 'current', imageTag(this), security, policy);
    const draining: unknown = this.node.tryGetContext('draining');
    if (typeof draining === 'string')
      this.createService(new Construct(this, 'Draining'), 'draining', draining, security, policy);
  }

  private createService(
    scope: Construct,
    role: 'current' | 'draining',
    tag: string,
    security: ec2.SecurityGroup,
    policy: iam.Policy,
  ): void {
    const { stage, settings, rules, network, temporal } = this.props;
    const size = taskSizes(rules.kind).worker;
    const task = new ecs.FargateTaskDefinition(scope, 'Task', {
      cpu: 1024 * size.vcpu,
      memoryLimitMiB: 1024 * size.memory,
      ephemeralStorageGiB: 60,
      // The image is built for this; evaluation repeats to the bit only on like hardware.
      runtimePlatform: { cpuArchitecture: ecs.CpuArchitecture.X86_64 },
    });
    const paths = { scratch: '/scratch', keys: '/keys' };
    const container = task.addContainer('worker', {
      ...ownImage({ network, log: ownLog(scope, rules), program: 'worker', tag }),
      ...startWithKeyFiles('workflows', [
        'COORDINATOR_KEY',
        'COORDINATOR_SEALING_KEY',
        'ARWEAVE_KEY',
        'TEMPORAL_CREDENTIALS',
      ]),
      readonlyRootFilesystem: true,
      stopTimeout: Duration.seconds(60),
      environment: {
        AWS_REGION: settings.region,
        TABLE_NAME: take(this, stage, 'table/name'),
        BUCKET_NAME: take(this, stage, 'bucket/name'),
        CREDITS_QUEUE_URL: take(this, stage, 'credits-queue/url'),
        SUM_FUNCTION: take(this, stage, 'sum-function/name'),
        SUM_WORKER_VALUES: String(sumRules.most),
        SUM_FUNCTION_VALUES: String(sumRules.each),
        TEMPORAL_ADDRESS: temporal.address,
        TEMPORAL_NAMESPACE: temporal.namespace,
        TEMPORAL_CREDENTIALS_FILE: `${paths.keys}/temporal.json`,
        WORKER_BUILD_ID: tag,
        WORKER_ROLE: role,
        CHAIN_DEPLOYMENT: JSON.stringify(settings.deployment),
        CHAIN_NETWORK: JSON.stringify(settings.chainNetwork),
        ARWEAVE_GATEWAYS: settings.arweaveGateways.join(','),
        ARWEAVE_KEY_FILE: `${paths.keys}/arweave.json`,
        COORDINATOR_ADDRESS: settings.coordinator,
        COORDINATOR_KEY_FILE: `${paths.keys}/coordinator`,
        COORDINATOR_SEALING_KEY_FILE: `${paths.keys}/coordinator.x25519`,
        DISPUTE_WINDOW_SECONDS: String(settings.disputeWindowSeconds),
        WORKER_SCRATCH: paths.scratch,
        WORKFLOW_BUNDLE: 'dist/workflow-bundle.js',
        ...tracing(settings),
        TMPDIR: paths.scratch,
      },
      secrets: Object.fromEntries(
        (
          [
            'COORDINATOR_KEY',
            'COORDINATOR_SEALING_KEY',
            'ARWEAVE_KEY',
            'CHAIN_RPC_URLS',
            'TEMPORAL_CREDENTIALS',
          ] as const
        ).map((name) => [name, ecs.Secret.fromSecretsManager(network.secrets[name])]),
      ),
    });
    for (const [name, containerPath] of Object.entries(paths)) {
      task.addVolume({ name });
      container.addMountPoints({ sourceVolume: name, containerPath, readOnly: false });
    }
    acknowledgeTask(task);
    policy.attachToRole(task.taskRole);
    const service = new ecs.FargateService(scope, 'Service', {
      cluster: network.cluster,
      taskDefinition: task,
      desiredCount: size.count,
      minHealthyPercent: 0,
      maxHealthyPercent: 100,
      securityGroups: [security],
      circuitBreaker: { rollback: true },
    });
    watchService(scope, network.alarms, service, `The ${role} workflow worker`);
  }

  private createPolicy(): iam.Policy {
    const { stage } = this.props;
    const bucket = take(this, stage, 'bucket/arn');
    const table = take(this, stage, 'table/arn');
    const policy = new iam.Policy(this, 'May', {
      statements: [
        new iam.PolicyStatement({
          actions: [
            'dynamodb:GetItem',
            'dynamodb:BatchGetItem',
            'dynamodb:PutItem',
            'dynamodb:BatchWriteItem',
            'dynamodb:DeleteItem',
            'dynamodb:UpdateItem',
            'dynamodb:Query',
          ],
          resources: [table],
        }),
        new iam.PolicyStatement({ actions: ['dynamodb:Query'], resources: [`${table}/index/*`] }),
        new iam.PolicyStatement({
          actions: ['s3:GetObject', 's3:PutObject'],
          resources: [`${bucket}/sha256/*`],
        }),
        // Uploads that were checked, updates whose window has passed.
        new iam.PolicyStatement({
          actions: ['s3:GetObject', 's3:DeleteObject'],
          resources: [`${bucket}/incoming/*`, `${bucket}/updates/*`],
        }),
        // Which ranges of them a function is to add.
        new iam.PolicyStatement({ actions: ['s3:PutObject'], resources: [`${bucket}/updates/*`] }),
        new iam.PolicyStatement({
          actions: ['lambda:InvokeFunction'],
          resources: [take(this, stage, 'sum-function/arn')],
        }),
        new iam.PolicyStatement({ actions: ['s3:ListBucket'], resources: [bucket] }),
        new iam.PolicyStatement({
          actions: ['sqs:SendMessage'],
          resources: [take(this, stage, 'credits-queue/arn')],
        }),
      ],
    });
    acknowledgeWildcards(
      policy,
      [`${table}/index/*`, `${bucket}/sha256/*`, `${bucket}/incoming/*`, `${bucket}/updates/*`],
      "The table's indexes, objects under their content hashes, uploads not yet checked, updates: each is one set.",
    );
    return policy;
  }
}
