import {
  CfnOutput,
  Duration,
  Stack,
  Validations,
  aws_cloudwatch as cloudwatch,
  aws_ec2 as ec2,
  aws_ecs as ecs,
  aws_elasticloadbalancingv2 as balancing,
  aws_iam as iam,
  aws_logs as logs,
} from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { figuresNamespace, gatekeeperFigures } from '../figures.js';
import { taskSizes } from '../tasks.js';
import { watchCertificate, watchService, watchTargets } from './alarms.js';
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
 * The gatekeepers: the only ones in this network that strangers can reach. The load balancer passes TCP through, so
 * TLS ends in the gatekeeper, which sees each runner's certificate and address.
 */
export class GatekeeperStack extends Stack {
  constructor(
    scope: Construct,
    id: string,
    props: StageProps & { network: NetworkStack; temporal: TemporalService },
  ) {
    super(scope, id, props);
    const { stage, settings, rules, network, temporal } = props;

    const log = ownLog(this, rules);
    const size = taskSizes(rules.kind).gatekeeper;
    const task = new ecs.FargateTaskDefinition(this, 'Task', {
      cpu: 1024 * size.vcpu,
      memoryLimitMiB: 1024 * size.memory,
    });
    const secrets = {
      GATEKEEPER_CERTIFICATE: network.secrets.GATEKEEPER_CERTIFICATE,
      GATEKEEPER_KEY: network.secrets.GATEKEEPER_KEY,
      GATEKEEPER_SECRETS: network.secrets.GATEKEEPER_SECRETS,
      TEMPORAL_CREDENTIALS: network.secrets.TEMPORAL_CREDENTIALS,
    };
    const names = Object.keys(secrets);
    const container = task.addContainer('gatekeeper', {
      ...ownImage({ network, log, program: 'gatekeeper', tag: imageTag(this) }),
      ...startWithKeyFiles('gatekeeper', names),
      healthCheck: {
        command: [
          'CMD',
          'node',
          '-e',
          `fetch('http://127.0.0.1:${healthPort}/health').then((it)=>process.exit(it.ok?0:1),()=>process.exit(1))`,
        ],
        interval: Duration.seconds(15),
      },
      readonlyRootFilesystem: true,
      stopTimeout: Duration.seconds(30),
      portMappings: [{ containerPort: port }],
      environment: {
        AWS_REGION: settings.region,
        TABLE_NAME: take(this, stage, 'table/name'),
        TEMPORAL_ADDRESS: temporal.address,
        TEMPORAL_NAMESPACE: temporal.namespace,
        CHAIN_DEPLOYMENT: JSON.stringify(settings.deployment),
        CHAIN_NETWORK: JSON.stringify(settings.chainNetwork),
        GATEKEEPER_HOST: '0.0.0.0',
        GATEKEEPER_PORT: String(port),
        GATEKEEPER_HEALTH_PORT: String(healthPort),
        ...Object.fromEntries(names.map((name) => [`${name}_FILE`, `/keys/${name.toLowerCase()}`])),
      },
      secrets: {
        ...Object.fromEntries(
          Object.entries(secrets).map(([name, secret]) => [name, ecs.Secret.fromSecretsManager(secret)]),
        ),
        CHAIN_RPC_URLS: ecs.Secret.fromSecretsManager(network.secrets.CHAIN_RPC_URLS),
      },
    });
    task.addVolume({ name: 'keys' });
    container.addMountPoints({ sourceVolume: 'keys', containerPath: '/keys', readOnly: false });
    acknowledgeTask(task);
    const table = take(this, stage, 'table/arn');
    new iam.Policy(this, 'May', {
      roles: [task.taskRole],
      statements: [
        new iam.PolicyStatement({
          actions: ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:UpdateItem', 'dynamodb:Query'],
          resources: [table],
        }),
      ],
    });

    const { vpc } = network;
    const front = new ec2.SecurityGroup(this, 'Front', { vpc, description: 'Runners of all members' });
    front.addIngressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(publicPort), 'Runners, wherever they are');
    Validations.of(front).acknowledge({
      id: 'AwsSolutions-EC23',
      reason:
        'Runners of other organisations come from anywhere; the gatekeeper asks each for its certificate.',
    });
    const security = new ec2.SecurityGroup(this, 'Security', { vpc, description: 'The gatekeepers' });
    security.addIngressRule(front, ec2.Port.tcp(port), 'The load balancer');
    callsTemporal(this, temporal, security, 'The gatekeepers');
    const service = new ecs.FargateService(this, 'Service', {
      cluster: network.cluster,
      taskDefinition: task,
      desiredCount: size.count,
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      securityGroups: [security],
      circuitBreaker: { rollback: true },
    });
    const balancer = new balancing.NetworkLoadBalancer(this, 'Balancer', {
      vpc,
      internetFacing: true,
      crossZoneEnabled: true,
      securityGroups: [front],
    });
    Validations.of(balancer).acknowledge({
      id: 'AwsSolutions-ELB2',
      reason:
        'A load balancer writes access logs for TLS that it ends itself; here the gatekeeper writes them.',
    });
    const targets = balancer.addListener('Listener', { port: publicPort }).addTargets('Gatekeepers', {
      port,
      targets: [service.loadBalancerTarget({ containerName: 'gatekeeper', containerPort: port })],
      preserveClientIp: true,
      deregistrationDelay: Duration.seconds(10),
      healthCheck: { interval: Duration.seconds(10) },
    });
    watchService(this, network.alarms, service, 'The gatekeepers');
    watchTargets(this, network.alarms, targets);
    watchCertificate(this, network.alarms, this.createFigures(stage, log));
    new CfnOutput(this, 'Address', { value: `${balancer.loadBalancerDnsName}:${publicPort}` });
  }

  /** Figures out of the log, which needs no collector beside the task. @returns days until the certificate ends */
  private createFigures(stage: string, logGroup: logs.LogGroup): cloudwatch.Metric {
    for (const [field, metricName] of Object.entries(gatekeeperFigures))
      logGroup.addMetricFilter(metricName, {
        metricNamespace: figuresNamespace(stage),
        metricName,
        filterPattern: logs.FilterPattern.stringValue('$.msg', '=', 'standing'),
        metricValue: `$.${field}`,
      });
    return new cloudwatch.Metric({
      namespace: figuresNamespace(stage),
      metricName: gatekeeperFigures.certificateDays,
      statistic: 'Minimum',
      period: Duration.hours(1),
    });
  }
}

/** What most firewalls of runners' owners let out. */
const publicPort = 443;
const port = 7443;
const healthPort = 7444;
