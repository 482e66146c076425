import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { tableName } from '#core/names.js';
import { awsEnvironment } from '#local/environment.js';
import { readPorts } from '#local/supervisor/ports.js';
import { openRestoration, type Restoration } from '#services/table.js';
import { UsageError, type Context } from '../command.js';

/**
 * The table that is named, as AWS's settings say (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_DYNAMODB); without a name,
 * that of the stack on this machine.
 * @throws UsageError without a name where there is no stack
 */
export function openLostTable(
  context: Context,
  name: string | undefined,
): { table: string; restoration: Restoration; close: () => void } {
  const client = name === undefined ? localClient(context) : new DynamoDBClient({});
  const table = name ?? tableName;
  return { table, restoration: openRestoration({ table, client }), close: () => client.destroy() };
}

function localClient(context: Context): DynamoDBClient {
  const { dynamodb, s3, sqs } = readPorts(context.state);
  if (dynamodb === undefined)
    throw new UsageError(`There is no stack in ${context.state}; name a stage's table with --table.`);
  const local = awsEnvironment({ dynamodb, s3: s3 ?? 0, sqs: sqs ?? 0 });
  return new DynamoDBClient({
    region: local['AWS_REGION'] ?? '',
    endpoint: local['AWS_ENDPOINT_URL_DYNAMODB'] ?? '',
    credentials: {
      accessKeyId: local['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: local['AWS_SECRET_ACCESS_KEY'] ?? '',
    },
  });
}
