import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { ensureBucket } from '#services/artifacts.js';
import { ensureTable } from '#services/table.js';

/** Creates table and bucket on the emulators; queues are made by whoever polls them. */
export async function prepareStores(
  environment: Record<string, string>,
  names: { table: string; bucket: string },
): Promise<void> {
  const common = {
    region: environment['AWS_REGION'] ?? '',
    credentials: {
      accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? '',
    },
  };
  const dynamodb = new DynamoDBClient({
    ...common,
    endpoint: environment['AWS_ENDPOINT_URL_DYNAMODB'] ?? '',
  });
  const s3 = new S3Client({
    ...common,
    endpoint: environment['AWS_ENDPOINT_URL_S3'] ?? '',
    forcePathStyle: true,
  });
  await Promise.all([
    ensureTable({ table: names.table, client: dynamodb }),
    ensureBucket({ bucket: names.bucket, client: s3 }),
  ]);
  dynamodb.destroy();
  s3.destroy();
}
