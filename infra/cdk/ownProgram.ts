import { CfnParameter, RemovalPolicy, aws_ec2 as ec2, aws_ecs as ecs, aws_logs as logs } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { StageRules } from '../settings.js';
import { acknowledgeWildcards } from './acknowledge.js';
import { noSecretsIn } from './database.js';
import type { NetworkStack } from './network.js';
import { frontendPort, type TemporalService } from './temporal.js';

/** What the tasks that run our own image have in common: the worker's and the gatekeeper's. */

/** The tag of the image to run, which every deployment names; tags are never moved. */
export const imageTag = (scope: Construct): string =>
  new CfnParameter(scope, 'ImageTag', {
    type: 'String',
    description: 'Tag of the image in the repository, one for all our programs; tags are never moved',
    default: 'latest-not-set',
    allowedPattern: '^[A-Za-z0-9_.-]+$',
  }).valueAsString;

export interface OwnProgram {
  network: NetworkStack;
  log: logs.LogGroup;
  program: string;
  tag: string;
}

/** Where one of these programs writes its log. */
export const ownLog = (scope: Construct, rules: StageRules): logs.LogGroup =>
  new logs.LogGroup(scope, 'Log', {
    retention: rules.logDays,
    removalPolicy: rules.retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
  });

/** The image of a stack's own programs, and where it writes its log. */
export function ownImage({
  network,
  log,
  program,
  tag,
}: OwnProgram): Pick<ecs.ContainerDefinitionOptions, 'image' | 'logging'> {
  return {
    image: ecs.ContainerImage.fromEcrRepository(network.images, tag),
    logging: ecs.LogDrivers.awsLogs({ logGroup: log, streamPrefix: program }),
  };
}

/**
 * Starts dist/PROGRAM.js. It reads keys from files that only it can read; ECS hands secrets over as variables.
 * @param names variables that go into the files which NAME_FILE names, and are forgotten
 */
export function startWithKeyFiles(
  program: string,
  names: readonly string[],
): Pick<ecs.ContainerDefinitionOptions, 'entryPoint' | 'command'> {
  const write = names.map((name) => `printf '%s\\n' "$${name}" > "$${name}_FILE"; `).join('');
  const forget = `unset ${names.join(' ')}; `;
  return {
    entryPoint: ['sh', '-ec'],
    command: [`umask 077; ${write}${forget}exec node --enable-source-maps dist/${program}.js`],
  };
}

/** What cdk-nag wants to be told of such a task; after its container was added. */
export function acknowledgeTask(task: ecs.FargateTaskDefinition): void {
  noSecretsIn(task);
  acknowledgeWildcards(
    task.obtainExecutionRole(),
    ['*'],
    'ecr:GetAuthorizationToken knows no resources; pulling is allowed from one repository.',
  );
}

/** Lets a security group reach the frontend of a cluster of one's own. A rule of the caller's stack: the cluster's need not know of it. */
export function callsTemporal(
  scope: Construct,
  { security }: TemporalService,
  from: ec2.SecurityGroup,
  who: string,
): void {
  if (security !== null)
    new ec2.CfnSecurityGroupIngress(scope, 'CallsTemporal', {
      groupId: security.securityGroupId,
      sourceSecurityGroupId: from.securityGroupId,
      ipProtocol: 'tcp',
      fromPort: frontendPort,
      toPort: frontendPort,
      description: who,
    });
}
