import {
  CfnOutput,
  RemovalPolicy,
  Size,
  Stack,
  Tags,
  Validations,
  aws_autoscaling as autoscaling,
  aws_ec2 as ec2,
  aws_iam as iam,
  aws_secretsmanager as secrets,
} from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { acknowledgeWildcards } from './acknowledge.js';
import { take } from './contract.js';
import { runnerUserData } from './fleetBoot.js';
import { scaleWithJobs } from './fleetScaling.js';
import type { NetworkStack } from './network.js';
import type { StageProps } from './plane.js';

/**
 * Runners on spot machines with a GPU, for a member without machines. Each runner is an Auto Scaling group of none
 * or one, so that one identity never runs twice, and has a volume that outlives its machines: what it signed, its
 * checkpoints and its data are there again after an interruption.
 */
export class FleetStack extends Stack {
  constructor(scope: Construct, id: string, props: StageProps & { network: NetworkStack }) {
    super(scope, id, props);
    const { stage, settings, network } = props;
    const security = new ec2.SecurityGroup(this, 'Runners', {
      vpc: network.vpc,
      description: 'GPU runners: nothing comes in; people enter through SSM',
    });
    const given = {
      api: take(this, stage, 'api/url'),
      bucket: take(this, stage, 'bucket/name'),
      bucketArn: take(this, stage, 'bucket/arn'),
      jobsQueue: take(this, stage, 'jobs-queue/name'),
    };
    for (const runner of settings.runners) this.createRunner(runner, given, security, props);
  }

  private createRunner(
    runner: StageProps['settings']['runners'][number],
    given: { api: string; bucket: string; bucketArn: string; jobsQueue: string },
    security: ec2.SecurityGroup,
    props: StageProps & { network: NetworkStack },
  ): void {
    const { stage, settings, rules, network } = props;
    const { name } = runner;
    const removalPolicy = rules.retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
    // A volume belongs to one zone, and so does its runner.
    const zone = `${settings.region}a`;

    const volume = new ec2.Volume(this, `${name}-Home`, {
      availabilityZone: zone,
      size: Size.gibibytes(200),
      volumeType: ec2.EbsDeviceVolumeType.GP3,
      encrypted: true,
      removalPolicy,
    });
    Validations.of(volume).acknowledge({
      id: 'CloudFormation-Validate::W3010',
      reason: 'A volume must name its zone; that of the settings is known before the account is.',
    });
    const key = new secrets.Secret(this, `${name}-Key`, {
      secretName: `roundtable/${stage}/runner/${name}`,
      removalPolicy,
    });
    Validations.of(key).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: "A runner's key is its name on chain; another key is another runner.",
    });

    const role = new iam.Role(this, `${name}-Role`, {
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
      managedPolicies: [iam.ManagedPolicy.fromAwsManagedPolicyName('AmazonSSMManagedInstanceCore')],
    });
    Validations.of(role).acknowledge({
      id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonSSMManagedInstanceCore]',
      reason: "AWS's policy for its own agent, which follows the agent's needs.",
    });
    key.grantRead(role);
    network.secrets.CHAIN_RPC_URLS.grantRead(role);
    const readable = [`${given.bucketArn}/runner/*`, `${given.bucketArn}/runners/${name}/*`];
    const machines = this.formatArn({ service: 'ec2', resource: 'instance', resourceName: '*' });
    const policy = new iam.Policy(this, `${name}-May`, {
      roles: [role],
      statements: [
        new iam.PolicyStatement({
          actions: ['s3:GetObject'],
          resources: readable,
        }),
        new iam.PolicyStatement({
          actions: ['s3:ListBucket'],
          resources: [given.bucketArn],
          conditions: { StringLike: { 's3:prefix': `runners/${name}/*` } },
        }),
        new iam.PolicyStatement({
          actions: ['ec2:AttachVolume'],
          resources: [this.formatArn({ service: 'ec2', resource: 'volume', resourceName: volume.volumeId })],
        }),
        new iam.PolicyStatement({
          actions: ['ec2:AttachVolume'],
          resources: [machines],
          conditions: { StringEquals: { 'aws:ResourceTag/roundtable-runner': `${stage}/${name}` } },
        }),
      ],
    });
    acknowledgeWildcards(
      policy,
      [...readable, machines],
      "Machines of this runner only, by their tag; objects under the runner's own prefix.",
    );

    const template = new ec2.LaunchTemplate(this, `${name}-Template`, {
      machineImage: ec2.MachineImage.fromSsmParameter(gpuImage, { os: ec2.OperatingSystemType.LINUX }),
      userData: runnerUserData({
        runner: name,
        stage,
        settings,
        volume,
        key,
        rpcUrls: network.secrets.CHAIN_RPC_URLS,
        ...given,
      }),
      role,
      securityGroup: security,
      requireImdsv2: true,
      httpPutResponseHopLimit: 1,
      detailedMonitoring: true,
      blockDevices: [
        {
          deviceName: '/dev/xvda',
          volume: ec2.BlockDeviceVolume.ebs(100, {
            encrypted: true,
            volumeType: ec2.EbsDeviceVolumeType.GP3,
            deleteOnTermination: true,
          }),
        },
      ],
    });
    const group = new autoscaling.AutoScalingGroup(this, `${name}-Group`, {
      vpc: network.vpc,
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, availabilityZones: [zone] },
      minCapacity: 0,
      maxCapacity: 1,
      mixedInstancesPolicy: {
        launchTemplate: template,
        launchTemplateOverrides: runner.instanceTypes.map((type) => ({
          instanceType: new ec2.InstanceType(type),
        })),
        instancesDistribution: {
          onDemandPercentageAboveBaseCapacity: 0,
          spotAllocationStrategy: autoscaling.SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED,
        },
      },
    });
    Tags.of(group).add('roundtable-runner', `${stage}/${name}`);
    Validations.of(group).acknowledge(
      {
        id: 'AwsSolutions-AS3',
        reason: 'Machines come and go with jobs and spot prices; the stack shows which runners are seen.',
      },
      {
        id: 'AwsSolutions-EC26',
        reason:
          'The rule cannot follow a launch template in a policy of mixed instances; its disks are encrypted.',
      },
    );
    scaleWithJobs(group, given.jobsQueue, rules.kind === 'production' ? 60 : 30);
    new CfnOutput(this, `${name}-KeySecret`, { value: key.secretName });
  }
}

/** AWS's image with NVIDIA's driver and CUDA on Amazon Linux 2023, the newest at deployment. */
const gpuImage =
  '/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id';
