import {
  Duration,
  Stack,
  aws_ec2 as ec2,
  aws_ecs as ecs,
  aws_servicediscovery as discovery,
} from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { taskSizes, temporalServices } from '../tasks.js';
import { give } from './contract.js';
import { noSecretsIn, temporalVersion, type DatabaseStack } from './database.js';
import type { NetworkStack } from './network.js';
import type { StageProps } from './plane.js';

export const frontendPort = 7233;
export const temporalNamespace = 'default';

/** Temporal's servers: ECS services on Fargate. */
export class TemporalStack extends Stack {
  readonly address: string;

  constructor(
    scope: Construct,
    id: string,
    props: StageProps & { network: NetworkStack; database: DatabaseStack },
  ) {
    super(scope, id, props);
    const { stage, rules, network, database } = props;
    const { vpc } = network;
    const production = rules.kind === 'production';

    const { security } = database;
    security.addIngressRule(security, ec2.Port.tcpRange(6933, 7239), 'Temporal among itself');
    security.addIngressRule(network.functions, ec2.Port.tcp(frontendPort), 'Functions');
    const domain = new discovery.PrivateDnsNamespace(this, 'Domain', {
      vpc,
      name: `${stage}.roundtable.internal`,
    });
    this.address = `temporal.${domain.namespaceName}:${frontendPort}`;

    const connection = database.connection();
    const size = taskSizes(rules.kind).temporal;
    for (const services of temporalServices(rules.kind)) {
      const name = services.length > 1 ? 'server' : services.join();
      const task = new ecs.FargateTaskDefinition(this, `Task-${name}`, {
        cpu: 1024 * size.vcpu,
        memoryLimitMiB: 1024 * size.memory,
      });
      task.addContainer('temporal', {
        image: ecs.ContainerImage.fromRegistry(`temporalio/server:${temporalVersion}`),
        logging: ecs.LogDrivers.awsLogs({ logGroup: database.log, streamPrefix: name }),
        environment: {
          ...connection.environment,
          SERVICES: services.join(','),
          NUM_HISTORY_SHARDS: '512',
          PUBLIC_FRONTEND_ADDRESS: this.address,
        },
        secrets: connection.secrets,
        portMappings: services.includes('frontend') ? [{ containerPort: frontendPort }] : [],
      });
      noSecretsIn(task);
      new ecs.FargateService(this, `Service-${name}`, {
        cluster: database.cluster,
        taskDefinition: task,
        desiredCount: size.count,
        minHealthyPercent: production ? 50 : 0,
        maxHealthyPercent: 200,
        securityGroups: [security],
        circuitBreaker: { rollback: true },
        ...(services.includes('frontend')
          ? { cloudMapOptions: { name: 'temporal', cloudMapNamespace: domain, dnsTtl: Duration.seconds(10) } }
          : {}),
      });
    }

    give(this, stage, 'temporal/address', this.address);
    give(this, stage, 'temporal/namespace', temporalNamespace);
  }
}
