import { RemovalPolicy, Stack, aws_ec2 as ec2, aws_ecr as ecr, aws_logs as logs } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { give } from './contract.js';
import type { StageProps } from './plane.js';

/** The network that Temporal, the worker, the fleet and three functions stand in; and the worker's image repository. */
export class NetworkStack extends Stack {
  readonly vpc: ec2.Vpc;
  /** Of the functions that talk to Temporal. */
  readonly functions: ec2.SecurityGroup;
  readonly images: ecr.Repository;

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

    give(this, stage, 'network/private-subnets', this.vpc.privateSubnets.map((it) => it.subnetId).join(','));
    give(this, stage, 'network/function-security-group', this.functions.securityGroupId);
  }
}
