import {
  CfnOutput,
  Duration,
  RemovalPolicy,
  Stack,
  Validations,
  aws_ec2 as ec2,
  aws_ecs as ecs,
  aws_logs as logs,
  aws_rds as rds,
  type aws_secretsmanager as secrets,
} from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { watchDatabase } from './alarms.js';
import { createSecret, type NetworkStack } from './network.js';
import type { StageProps } from './plane.js';

/** One version for server and schema tools; upgrades go through every minor version, the schema first. */
export const temporalVersion = '1.29.1';

/**
 * Temporal's state in Aurora PostgreSQL Serverless v2, and the task that makes its schema. Apart from the servers,
 * which cannot start before the schema is there.
 */
export class DatabaseStack extends Stack {
  /** Of Temporal's servers; whoever may call the frontend is let in here. */
  readonly security: ec2.SecurityGroup;
  readonly log: logs.LogGroup;
  /** The servers' certificate, its key and their authority, each in base64; here, so that it has a value before they start. */
  readonly serverTls: secrets.Secret;
  /** Amazon's authorities for databases of this region, PEM: neither image carries them. */
  private readonly authority: secrets.Secret;
  private readonly database: rds.DatabaseCluster;

  constructor(scope: Construct, id: string, props: StageProps & { network: NetworkStack }) {
    super(scope, id, props);
    const { rules, network } = props;
    const { vpc } = network;
    const removalPolicy = rules.retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
    this.security = new ec2.SecurityGroup(this, 'Temporal', { vpc, description: 'Temporal servers' });
    this.database = this.createDatabase(vpc, rules.kind === 'production', removalPolicy);
    watchDatabase(this, network.alarms, this.database);
    this.database.connections.allowFrom(this.security, ec2.Port.tcp(databasePort), 'Temporal');
    this.log = new logs.LogGroup(this, 'Log', { retention: rules.logDays, removalPolicy });
    this.serverTls = createSecret(this, 'ServerTls', `roundtable/${props.stage}/temporal-server`, rules);
    this.authority = createSecret(
      this,
      'DatabaseAuthority',
      `roundtable/${props.stage}/database-authority`,
      rules,
    );
    this.createSchemaTask(this.database, this.log);
    new CfnOutput(this, 'TaskCluster', { value: network.cluster.clusterName });
  }

  /**
   * How Temporal's image is told of its database. It takes the authority from a file, and compares names with its
   * certificate only when told to: https://github.com/temporalio/temporal/blob/v1.29.1/docker/config_template.yaml
   */
  connection() {
    return {
      entryPoint: ['sh', '-ec'],
      command: [`${writeAuthority}exec /etc/temporal/entrypoint.sh`],
      environment: {
        DB: 'postgres12',
        DB_PORT: String(databasePort),
        POSTGRES_SEEDS: this.database.clusterEndpoint.hostname,
        POSTGRES_USER: databaseUser,
        SQL_TLS_ENABLED: 'true',
        SQL_CA: authorityFile,
        SQL_HOST_VERIFICATION: 'true',
      },
      secrets: {
        POSTGRES_PWD: passwordOf(this.database),
        DATABASE_AUTHORITY: ecs.Secret.fromSecretsManager(this.authority),
      },
    };
  }

  private createDatabase(vpc: ec2.Vpc, production: boolean, removalPolicy: RemovalPolicy) {
    const database = new rds.DatabaseCluster(this, 'Database', {
      engine: rds.DatabaseClusterEngine.auroraPostgres({ version: rds.AuroraPostgresEngineVersion.VER_16_6 }),
      vpc,
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
      port: databasePort,
      credentials: rds.Credentials.fromGeneratedSecret(databaseUser),
      storageEncrypted: true,
      serverlessV2MinCapacity: 0.5,
      serverlessV2MaxCapacity: production ? 8 : 2,
      writer: rds.ClusterInstance.serverlessV2('Writer', { enablePerformanceInsights: true }),
      readers: production ? [rds.ClusterInstance.serverlessV2('Standby', { scaleWithWriter: true })] : [],
      backup: { retention: Duration.days(production ? 14 : 1) },
      deletionProtection: production,
      cloudwatchLogsExports: ['postgresql'],
      parameters: { 'rds.force_ssl': '1' },
      removalPolicy,
    });
    Validations.of(database).acknowledge(
      {
        id: 'AwsSolutions-RDS6',
        reason: 'Temporal connects by password; it does not speak IAM tokens, which expire after 15 minutes.',
      },
      {
        id: 'AwsSolutions-SMG4',
        reason: 'Rotation restarts Temporal; docs/operations.md says how it is done by a person.',
      },
    );
    if (!production)
      Validations.of(database).acknowledge({
        id: 'AwsSolutions-RDS10',
        reason: 'A stage that is not production is removed whole.',
      });
    return database;
  }

  /** Run once before the servers start, and again at every upgrade: `aws ecs run-task`, see docs/operations.md. */
  private createSchemaTask(database: rds.DatabaseCluster, logGroup: logs.LogGroup): void {
    const task = new ecs.FargateTaskDefinition(this, 'SchemaTask', { cpu: 256, memoryLimitMiB: 512 });
    const steps = ['temporal', 'temporal_visibility'].flatMap((name) => {
      const tool = `temporal-sql-tool --db ${name}`;
      const versions = `/etc/temporal/schema/postgresql/v12/${name === 'temporal' ? 'temporal' : 'visibility'}/versioned`;
      return [
        `${tool} create-database`,
        // Fails when the tables are there already, which is what a second run finds.
        `${tool} setup-schema -v 0.0 || true`,
        `${tool} update-schema -d ${versions}`,
      ];
    });
    task.addContainer('schema', {
      image: ecs.ContainerImage.fromRegistry(`temporalio/admin-tools:${temporalVersion}`),
      logging: ecs.LogDrivers.awsLogs({ logGroup, streamPrefix: 'schema' }),
      entryPoint: ['sh', '-ec'],
      command: [writeAuthority + steps.join('\n')],
      environment: {
        SQL_PLUGIN: 'postgres12',
        SQL_HOST: database.clusterEndpoint.hostname,
        SQL_PORT: String(databasePort),
        SQL_USER: databaseUser,
        SQL_TLS: 'true',
        SQL_TLS_CA_FILE: authorityFile,
      },
      secrets: {
        SQL_PASSWORD: passwordOf(database),
        DATABASE_AUTHORITY: ecs.Secret.fromSecretsManager(this.authority),
      },
    });
    noSecretsIn(task);
    new CfnOutput(this, 'SchemaTaskDefinition', { value: task.taskDefinitionArn });
    new CfnOutput(this, 'TaskSecurityGroup', { value: this.security.securityGroupId });
  }
}

const databasePort = 5433;
const databaseUser = 'temporal';
const authorityFile = '/tmp/database-authority.pem';
const writeAuthority = `printf '%s\\n' "$DATABASE_AUTHORITY" > ${authorityFile}; `;

function passwordOf(database: rds.DatabaseCluster): ecs.Secret {
  if (!database.secret) throw new Error('The database has generated credentials.');
  return ecs.Secret.fromSecretsManager(database.secret, 'password');
}

/** For the rule that wants every variable from a store: what is secret is, names and addresses need not be. */
export function noSecretsIn(task: ecs.FargateTaskDefinition): void {
  Validations.of(task).acknowledge({
    id: 'AwsSolutions-ECS2',
    reason: 'Names, addresses and switches; everything secret comes from Secrets Manager.',
  });
}
