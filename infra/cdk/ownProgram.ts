import { CfnParameter, RemovalPolicy, aws_ec2 as ec2, aws_ecs as ecs, aws_logs as logs } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { StageRules } from '../settings.js';
import { acknowledgeWildcards } from './acknowledge.js';
import { noSecretsIn, type DatabaseStack } from './database.js';
import type { NetworkStack } from './network.js';
import { frontendPort } from './temporal.js';

/** What the tasks that run our own image have in common: the worker's and the gatekeeper's. */

/** The image of a stack's own programs, by the tag that the deployment names, and where it writes its log. */
export function ownImage(
  scope: Construct,
  { network, rules, program }: { network: NetworkStack; rules: StageRules; program: string },
): Pick<ecs.ContainerDefinitionOptions, 'image' | 'logging'> {
  const tag = new CfnParameter(scope, 'ImageTag', {
    type: 'String',
    description: 'Tag of the image in the repository, one for all our programs; tags are never moved',
    default: 'latest-not-set',
    allowedPattern: '^[A-Za-z0-9_.-]+$',
  });
  const removalPolicy = rules.retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
  const logGroup = new logs.LogGroup(scope, 'Log', { retention: rules.logDays, removalPolicy });
  return {
    image: ecs.ContainerImage.fromEcrRepository(network.images, tag.valueAsString),
    logging: ecs.LogDrivers.awsLogs({ logGroup, streamPrefix: program }),
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

/** Lets a security group reach Temporal's frontend. A rule of its own stack: the database's need not know of it. */
export function callsTemporal(
  scope: Construct,
  database: DatabaseStack,
  from: ec2.SecurityGroup,
  who: string,
) {
  return new ec2.CfnSecurityGroupIngress(scope, 'CallsTemporal', {
    groupId: database.security.securityGroupId,
    sourceSecurityGroupId: from.securityGroupId,
    ipProtocol: 'tcp',
    fromPort: frontendPort,
    toPort: frontendPort,
    description: who,
  });
}
