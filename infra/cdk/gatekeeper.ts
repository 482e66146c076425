import {
  CfnOutput,
  CfnParameter,
  Duration,
  RemovalPolicy,
  Stack,
  Validations,
  aws_ec2 as ec2,
  aws_ecs as ecs,
  aws_elasticloadbalancingv2 as balancing,
  aws_iam as iam,
  aws_logs as logs,
} from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { taskSizes } from '../tasks.js';
import { acknowledgeWildcards } from './acknowledge.js';
import { take } from './contract.js';
import { noSecretsIn, type DatabaseStack } from './database.js';
import type { NetworkStack } from './network.js';
import type { StageProps } from './plane.js';
import { frontendPort, temporalNamespace, type TemporalStack } from './temporal.js';

/**
 * The gatekeepers: the only ones in this network that strangers can reach. The load balancer passes TCP through, so
 * TLS ends in the gatekeeper, which sees each runner's certificate and address.
 */
export class GatekeeperStack extends Stack {
  constructor(
    scope: Construct,
    id: string,
    props: StageProps & { network: NetworkStack; database: DatabaseStack; temporal: TemporalStack },
  ) {
    super(scope, id, props);
    const { stage, settings, rules, network, database, temporal } = props;
    const removalPolicy = rules.retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;

    const image = new CfnParameter(this, 'ImageTag', {
      type: 'String',
      description: "Tag of the image in the repository, the same as the worker's",
      default: 'latest-not-set',
      allowedPattern: '^[A-Za-z0-9_.-]+$',
    });
    const size = taskSizes(rules.kind).gatekeeper;
    const task = new ecs.FargateTaskDefinition(this, 'Task', {
      cpu: 1024 * size.vcpu,
      memoryLimitMiB: 1024 * size.memory,
    });
    const secrets = {
      GATEKEEPER_CERTIFICATE: network.secrets.GATEKEEPER_CERTIFICATE,
      GATEKEEPER_KEY: network.secrets.GATEKEEPER_KEY,
      GATEKEEPER_SECRETS: network.secrets.GATEKEEPER_SECRETS,
    };
    const names = Object.keys(secrets);
    const container = task.addContainer('gatekeeper', {
      image: ecs.ContainerImage.fromEcrRepository(network.images, image.valueAsString),
      logging: ecs.LogDrivers.awsLogs({
        logGroup: new logs.LogGroup(this, 'Log', { retention: rules.logDays, removalPolicy }),
        streamPrefix: 'gatekeeper',
      }),
      // It reads keys from files only it can read; ECS hands secrets over as variables.
      entryPoint: ['sh', '-ec'],
      command: [
        'umask 077; ' +
          names.map((name) => `printf '%s\\n' "$${name}" > "$${name}_FILE"; `).join('') +
          `unset ${names.join(' ')}; exec node --enable-source-maps dist/gatekeeper.js`,
      ],
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
        TEMPORAL_NAMESPACE: temporalNamespace,
        CHAIN_DEPLOYMENT: JSON.stringify(settings.deployment),
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
    noSecretsIn(task);
    acknowledgeWildcards(
      task.obtainExecutionRole(),
      ['*'],
      'ecr:GetAuthorizationToken knows no resources; pulling is allowed from one repository.',
    );
    const table = take(this, stage, 'table/arn');
    new iam.Policy(this, 'May', {
      roles: [task.taskRole],
      statements: [
        new iam.PolicyStatement({
          actions: ['dynamodb:GetItem', 'dynamodb:UpdateItem', 'dynamodb:Query'],
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
    new ec2.CfnSecurityGroupIngress(this, 'CallsTemporal', {
      groupId: database.security.securityGroupId,
      sourceSecurityGroupId: security.securityGroupId,
      ipProtocol: 'tcp',
      fromPort: frontendPort,
      toPort: frontendPort,
      description: 'The gatekeepers',
    });
    const service = new ecs.FargateService(this, 'Service', {
      cluster: database.cluster,
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
    balancer.addListener('Listener', { port: publicPort }).addTargets('Gatekeepers', {
      port,
      targets: [service.loadBalancerTarget({ containerName: 'gatekeeper', containerPort: port })],
      preserveClientIp: true,
      deregistrationDelay: Duration.seconds(10),
      healthCheck: { interval: Duration.seconds(10) },
    });
    new CfnOutput(this, 'Address', { value: `${balancer.loadBalancerDnsName}:${publicPort}` });
  }
}

/** What most firewalls of runners' owners let out. */
const publicPort = 443;
const port = 7443;
const healthPort = 7444;
