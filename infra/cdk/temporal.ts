import {
  CfnOutput,
  Duration,
  Stack,
  aws_ec2 as ec2,
  aws_ecs as ecs,
  aws_servicediscovery as discovery,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { taskSizes, temporalServices } from '../tasks.js';
import { watchService } from './alarms.js';
import { give } from './contract.js';
import { noSecretsIn, temporalVersion, type DatabaseStack } from './database.js';
import type { NetworkStack } from './network.js';
import type { StageProps } from './plane.js';

export const frontendPort = 7233;
const namespace = 'default';

/** Where worker and gatekeepers find Temporal: a cluster of one's own, or Temporal Cloud. */
export interface TemporalService {
  address: string;
  namespace: string;
  /** Callers are let in here; null for Temporal Cloud, which stands elsewhere. */
  security: ec2.SecurityGroup | null;
}

/** Temporal's servers: ECS services on Fargate, with TLS and certificates among them and towards everybody. */
export class TemporalStack extends Stack implements TemporalService {
  readonly address: string;
  readonly namespace = namespace;
  readonly security: ec2.SecurityGroup;

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
    this.security = security;
    security.addIngressRule(security, ec2.Port.tcpRange(6933, 7239), 'Temporal among itself');
    security.addIngressRule(network.functions, ec2.Port.tcp(frontendPort), 'Functions');
    const domain = new discovery.PrivateDnsNamespace(this, 'Domain', {
      vpc,
      name: `${stage}.roundtable.internal`,
    });
    const host = `temporal.${stage}.roundtable.internal`;
    this.address = `${host}:${frontendPort}`;

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
        entryPoint: connection.entryPoint,
        command: connection.command,
        logging: ecs.LogDrivers.awsLogs({ logGroup: database.log, streamPrefix: name }),
        environment: {
          ...connection.environment,
          SERVICES: services.join(','),
          NUM_HISTORY_SHARDS: '512',
          PUBLIC_FRONTEND_ADDRESS: this.address,
          ...tlsNames(host),
        },
        secrets: { ...connection.secrets, ...tlsSecrets(database) },
        portMappings: services.includes('frontend') ? [{ containerPort: frontendPort }] : [],
      });
      noSecretsIn(task);
      const service = new ecs.FargateService(this, `Service-${name}`, {
        cluster: network.cluster,
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
      watchService(new Construct(this, `Watch-${name}`), network.alarms, service, `Temporal's ${name}`);
    }

    give(this, stage, 'temporal/address', this.address);
    give(this, stage, 'temporal/namespace', namespace);
    this.createNamespaceTask(props);
  }

  /** Run once when the servers run: `aws ecs run-task`, see docs/operations.md. */
  private createNamespaceTask({
    network,
    database,
  }: {
    network: NetworkStack;
    database: DatabaseStack;
  }): void {
    const task = new ecs.FargateTaskDefinition(this, 'NamespaceTask', { cpu: 256, memoryLimitMiB: 512 });
    const credentials = network.secrets.TEMPORAL_CREDENTIALS;
    const temporal = 'temporal operator namespace';
    const files = { CA: '/tmp/ca.pem', CERTIFICATE: '/tmp/certificate.pem', KEY: '/tmp/key.pem' };
    task.addContainer('namespace', {
      image: ecs.ContainerImage.fromRegistry(`temporalio/admin-tools:${temporalVersion}`),
      logging: ecs.LogDrivers.awsLogs({ logGroup: database.log, streamPrefix: 'namespace' }),
      entryPoint: ['sh', '-ec'],
      command: [
        [
          // The command takes PEM from files only.
          'umask 077',
          ...Object.entries(files).map(([name, file]) => `printf '%s\\n' "$${name}" > ${file}`),
          `${temporal} describe -n ${namespace} || ${temporal} create -n ${namespace} --retention 30d`,
        ].join('\n'),
      ],
      environment: {
        TEMPORAL_ADDRESS: this.address,
        TEMPORAL_TLS: 'true',
        TEMPORAL_TLS_SERVER_CA_CERT_PATH: files.CA,
        TEMPORAL_TLS_CLIENT_CERT_PATH: files.CERTIFICATE,
        TEMPORAL_TLS_CLIENT_KEY_PATH: files.KEY,
      },
      secrets: Object.fromEntries(
        Object.keys(files).map((name) => [
          name,
          ecs.Secret.fromSecretsManager(credentials, name.toLowerCase()),
        ]),
      ),
    });
    noSecretsIn(task);
    new CfnOutput(this, 'NamespaceTaskDefinition', { value: task.taskDefinitionArn });
  }
}

/** One certificate for all servers, so all are called by its name, whatever machine they are on. */
const tlsNames = (host: string) => ({
  TEMPORAL_TLS_REQUIRE_CLIENT_AUTH: 'true',
  TEMPORAL_TLS_INTERNODE_SERVER_NAME: host,
  TEMPORAL_TLS_FRONTEND_SERVER_NAME: host,
});

/** What the image's configuration template reads: https://docs.temporal.io/references/server-options */
function tlsSecrets({ serverTls }: DatabaseStack): Record<string, ecs.Secret> {
  const field = (name: 'ca' | 'certificate' | 'key') => ecs.Secret.fromSecretsManager(serverTls, name);
  return {
    TEMPORAL_TLS_SERVER_CA_CERT_DATA: field('ca'),
    TEMPORAL_TLS_SERVER_CERT_DATA: field('certificate'),
    TEMPORAL_TLS_SERVER_KEY_DATA: field('key'),
    TEMPORAL_TLS_FRONTEND_CERT_DATA: field('certificate'),
    TEMPORAL_TLS_FRONTEND_KEY_DATA: field('key'),
    TEMPORAL_TLS_CLIENT1_CA_CERT_DATA: field('ca'),
  };
}
