import {
  CreateTableCommand,
  UpdateTimeToLiveCommand,
  waitUntilTableExists,
  type CreateTableCommandInput,
  type DynamoDBClient,
} from '@aws-sdk/client-dynamodb';

/**
 * The one table, everywhere. Keys `pk` and `sk` give strongly consistent reads. Two sparse indexes:
 *   lists    everything of one kind in a person's order (`list`, `order`)
 *   waiting  rows that some part has yet to act on, oldest first (`waiting`, `since`)
 */
export const tableDefinition: Omit<CreateTableCommandInput, 'TableName'> = {
  AttributeDefinitions: ['pk', 'sk', 'list', 'order', 'waiting', 'since'].map((AttributeName) => ({
    AttributeName,
    AttributeType: 'S' as const,
  })),
  KeySchema: keys('pk', 'sk'),
  GlobalSecondaryIndexes: [
    { IndexName: 'lists', KeySchema: keys('list', 'order'), Projection: { ProjectionType: 'ALL' } },
    {
      IndexName: 'waiting',
      KeySchema: keys('waiting', 'since'),
      Projection: { ProjectionType: 'KEYS_ONLY' },
    },
  ],
  BillingMode: 'PAY_PER_REQUEST',
};

/** Seconds since 1970 after which DynamoDB may delete an item. Used-up signatures and quotas carry it. */
export const expiryAttribute = 'expires';

/** Creates the table if it is not there; for the local stack (in the cloud, infra does). */
export async function ensureTable(options: { table: string; client: DynamoDBClient }): Promise<void> {
  const { table, client } = options;
  try {
    await client.send(new CreateTableCommand({ TableName: table, ...tableDefinition }));
  } catch (error) {
    if (error instanceof Error && error.name === 'ResourceInUseException') return;
    throw error;
  }
  await waitUntilTableExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 2 }, { TableName: table });
  await client.send(
    new UpdateTimeToLiveCommand({
      TableName: table,
      TimeToLiveSpecification: { AttributeName: expiryAttribute, Enabled: true },
    }),
  );
}

function keys(hash: string, range: string) {
  return [
    { AttributeName: hash, KeyType: 'HASH' as const },
    { AttributeName: range, KeyType: 'RANGE' as const },
  ];
}
