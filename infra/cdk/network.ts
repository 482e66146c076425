import {
  CfnOutput,
  RemovalPolicy,
  Stack,
  Validations,
  aws_ec2 as ec2,
  aws_ecr as ecr,
  aws_ecs as ecs,
  aws_logs as logs,
  aws_secretsmanager as secrets,
  type aws_sns as sns,
} from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { StageRules } from '../settings.js';
import { createTopic } from './alarms.js';
import { give } from './contract.js';
import type { StageProps } from './plane.js';

type SecretName =
  | 'COORDINATOR_KEY'
  | 'COORDINATOR_SEALING_KEY'
  | 'ARWEAVE_KEY'
  | 'CHAIN_RPC_URLS'
  | 'GATEKEEPER_CERTIFICATE'
  | 'GATEKEEPER_KEY'
  | 'GATEKEEPER_SECRETS'
  | 'TEMPORAL_CREDENTIALS';

/** The network that Temporal, the worker, the fleet and three functions stand in; and the image repository of worker and gatekeepers. */
export class NetworkStack extends Stack {
  readonly vpc: ec2.Vpc;
  /** Of the functions that talk to Temporal. */
  readonly functions: ec2.SecurityGroup;
  readonly images: ecr.Repository;
  /** What all tasks run in. */
  readonly cluster: ecs.Cluster;
  /** Who is told when something needs a person. */
  readonly alarms: sns.Topic;
  /** Of worker and gatekeepers; here, so that a person has put the values before they start. */
  readonly secrets: Record<SecretName, secrets.Secret>;

  constructor(scope: Construct, id: string, props: StageProps) {
    super(scope, id, props);
    const { stage, settings, rules } = props;

    this.vpc = new ec2.Vpc(this, 'Vpc', {
      // Named, not looked up: synthesis needs no account.
      availabilityZones: ['a', 'b'].map((zone) => `${settings.region}${zone}`),
      natGateways: rules.kind === 'production' ? 2 : 1,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [
        { name: 'public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 24, mapPublicIpOnLaunch: false },
        { name: 'private', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
        { name: 'data', subnetType: ec2.SubnetType.PRIVATE_ISOLATED, cidrMask: 24 },
      ],
      // Models and rows do not go through the NAT gateway, which charges by the gigabyte.
      gatewayEndpoints: {
        S3: { service: ec2.GatewayVpcEndpointAwsService.S3 },
        DynamoDB: { service: ec2.GatewayVpcEndpointAwsService.DYNAMODB },
      },
      flowLogs: {
        Rejected: {
          trafficType: ec2.FlowLogTrafficType.REJECT,
          destination: ec2.FlowLogDestination.toCloudWatchLogs(
            new logs.LogGroup(this, 'FlowLog', {
              retention: rules.logDays,
              removalPolicy: rules.retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
            }),
          ),
        },
      },
    });
    this.functions = new ec2.SecurityGroup(this, 'Functions', {
      vpc: this.vpc,
      description: 'Functions that talk to Temporal',
    });
    this.images = new ecr.Repository(this, 'WorkerImages', {
      repositoryName: `roundtable-${stage}-worker`,
      imageScanOnPush: true,
      imageTagMutability: ecr.TagMutability.IMMUTABLE,
      encryption: ecr.RepositoryEncryption.AES_256,
      emptyOnDelete: !rules.retain,
      removalPolicy: rules.retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
      lifecycleRules: [{ maxImageCount: 20 }],
    });
    new CfnOutput(this, 'Images', { value: this.images.repositoryUri });

    const secret = (id: string, name: string) => createSecret(this, id, `roundtable/${stage}/${name}`, rules);
    this.secrets = {
      COORDINATOR_KEY: secret('CoordinatorKey', 'coordinator-key'),
      COORDINATOR_SEALING_KEY: secret('CoordinatorSealingKey', 'coordinator-sealing-key'),
      ARWEAVE_KEY: secret('ArweaveKey', 'arweave-key'),
      CHAIN_RPC_URLS: secret('ChainRpcUrls', 'chain-rpc-urls'),
      GATEKEEPER_CERTIFICATE: secret('GatekeeperCertificate', 'gatekeeper-certificate'),
      GATEKEEPER_KEY: secret('GatekeeperKey', 'gatekeeper-key'),
      GATEKEEPER_SECRETS: secret('GatekeeperSecrets', 'gatekeeper-secrets'),
      TEMPORAL_CREDENTIALS: secret('TemporalCredentials', 'temporal-credentials'),
    };
    this.alarms = createTopic(this, stage, settings.alarmEmail);
    this.cluster = new ecs.Cluster(this, 'Cluster', {
      vpc: this.vpc,
      containerInsightsV2: ecs.ContainerInsights.ENABLED,
    });

    give(this, stage, 'network/private-subnets', this.vpc.privateSubnets.map((it) => it.subnetId).join(','));
    give(this, stage, 'network/function-security-group', this.functions.securityGroupId);
    give(this, stage, 'temporal/credentials-secret', this.secrets.TEMPORAL_CREDENTIALS.secretArn);
    if (settings.temporal) {
      give(this, stage, 'temporal/address', settings.temporal.address);
      give(this, stage, 'temporal/namespace', settings.temporal.namespace);
    }
  }
}

/** Made with a random value that works for nothing. */
export function createSecret(
  scope: Construct,
  id: string,
  secretName: string,
  rules: StageRules,
): secrets.Secret {
  const removalPolicy = rules.retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
  const secret = new secrets.Secret(scope, id, { secretName, removalPolicy });
  Validations.of(secret).acknowledge({
    id: 'AwsSolutions-SMG4',
    reason:
      'A signing key is an identity on a chain, and access to a node or to Temporal is given by others: people rotate them.',
  });
  return secret;
}
