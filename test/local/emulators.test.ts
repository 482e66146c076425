import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  CreateTableCommand,
  DynamoDBClient,
  GetItemCommand,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateQueueCommand, ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { JsonRpcProvider } from 'ethers';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageBinary } from '#local/emulators/binary.js';
import { chainPart, localChainId, restoreState } from '#local/emulators/chain.js';
import { dynamodbPart } from '#local/emulators/dynamodb.js';
import { s3Part } from '#local/emulators/s3.js';
import { sqsPart } from '#local/emulators/sqs.js';
import { awsEnvironment } from '#local/environment.js';
import { Supervisor } from '#local/supervisor/supervisor.js';
import { until } from '../support/until.js';
import { inFolder } from './folder.js';

let folder = '';
let supervisor: Supervisor;
let ports: Record<'dynamodb' | 's3' | 'sqs' | 'chain', number>;
const before = { ...process.env };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'roundtable-test-'));
  supervisor = await Supervisor.open(folder);
  ({ ports } = await supervisor.choosePorts({ dynamodb: null, s3: null, sqs: null, chain: null }));
  Object.assign(process.env, awsEnvironment(ports));
  await supervisor.start(
    dynamodbPart({ port: ports.dynamodb, stateDir: folder }),
    s3Part({ port: ports.s3, stateDir: folder }),
    sqsPart({ port: ports.sqs }),
    chainPart({ port: ports.chain, stateDir: folder }),
  );
});

afterAll(async () => {
  await supervisor.stopAll();
  process.env = before;
  rmSync(folder, { recursive: true });
});

/** Kills a part and waits until the supervisor has brought it back. */
async function killPart(name: string): Promise<void> {
  const part = () => supervisor.status().find((status) => status.name === name);
  const { pid, restarts } = part() ?? {};
  if (pid === undefined || pid === null || restarts === undefined) throw new Error(`${name} does not run`);
  process.kill(pid, 'SIGKILL');
  await until(() => part()?.restarts === restarts + 1 && part()?.state === 'ready', `${name} is back`);
}

(existsSync('/proc/net/tcp') ? test : test.skip)('every part listens on 127.0.0.1 only', () => {
  for (const [name, port] of Object.entries(ports))
    expect([name, listeners(port)]).toEqual([name, ['127.0.0.1']]);
});

describe('DynamoDB', () => {
  test('answers the SDK, takes transactions, and keeps what it has through a kill', async () => {
    const dynamodb = new DynamoDBClient();
    await dynamodb.send(
      new CreateTableCommand({
        TableName: 'things',
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
        BillingMode: 'PAY_PER_REQUEST',
      }),
    );
    await dynamodb.send(new TransactWriteItemsCommand({ TransactItems: [put('a'), put('b')] }));
    const again = dynamodb.send(new TransactWriteItemsCommand({ TransactItems: [put('c'), put('a')] }));
    await expect(again).rejects.toMatchObject({ name: 'TransactionCanceledException' });
    await killPart('dynamodb');
    const get = async (id: string) =>
      (
        await dynamodb.send(
          new GetItemCommand({ TableName: 'things', Key: { id: { S: id } }, ConsistentRead: true }),
        )
      ).Item;
    expect(await get('b')).toEqual({ id: { S: 'b' } });
    expect(await get('c')).toBeUndefined();
  });
});

describe('S3', () => {
  test('answers the SDK, refuses a wrong key, and keeps objects through a kill', async () => {
    const s3 = new S3Client();
    await s3.send(new CreateBucketCommand({ Bucket: 'things' }));
    await s3.send(new PutObjectCommand({ Bucket: 'things', Key: 'folder/key', Body: 'kept' }));
    const stranger = new S3Client({ credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'wrong' } });
    const put = stranger.send(new PutObjectCommand({ Bucket: 'things', Key: 'other', Body: 'x' }));
    await expect(put).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' });
    await killPart('s3');
    const answer = await s3.send(new GetObjectCommand({ Bucket: 'things', Key: 'folder/key' }));
    expect(await answer.Body?.transformToString()).toBe('kept');
  });
});

describe('SQS', () => {
  test('answers the SDK, and forgets its queues when killed', async () => {
    const sqs = new SQSClient({ useQueueUrlAsEndpoint: false });
    await sqs.send(new CreateQueueCommand({ QueueName: 'bell' }));
    expect((await sqs.send(new ListQueuesCommand({}))).QueueUrls).toHaveLength(1);
    await killPart('sqs');
    expect((await sqs.send(new ListQueuesCommand({}))).QueueUrls ?? []).toEqual([]);
  });
});

describe('the chain', () => {
  test('mines at once, keeps its state on disk, and comes back from a whole copy when the file was cut short', async () => {
    const state = join(folder, 'chain.json');
    expect(await rpc((provider) => provider.send('eth_chainId', []))).toBe(`0x${localChainId.toString(16)}`);
    await payOnce();
    expect(await balance()).toBe(1n);
    await until(
      () => holdsPayment(state) && holdsPayment(`${state}.copy`),
      'the payment is on disk and in the copy',
    );

    await killPart('chain');
    expect(await balance()).toBe(1n);

    await supervisor.stop('chain');
    const size = readFileSync(state).length;
    truncateSync(state, Math.floor(size / 2));
    await supervisor.start(chainPart({ port: ports.chain, stateDir: folder }));
    expect(await balance()).toBe(1n);
  });

  test('its log shows no keys', () => {
    const log = readFileSync(join(folder, 'logs', 'chain.log'), 'utf8');
    expect(log).not.toMatch(/0x[0-9a-f]{64}/);
  });

  test('a state that is damaged together with its copy is an error, and is not overwritten', () =>
    inFolder(async (other) => {
      const state = join(other, 'chain.json');
      await restoreState(state);
      expect(existsSync(state)).toBe(false);
      writeFileSync(state, '{"cut');
      writeFileSync(`${state}.copy`, '{"also');
      await expect(restoreState(state)).rejects.toMatchObject({ code: 'CHAIN_STATE_DAMAGED' });
      expect(readFileSync(state, 'utf8')).toBe('{"cut');
    }));
});

test('a platform without a program is told what to do', () => {
  expect(findNothing).toThrow(/@dynoxide\/plan9-mips.*npm install/);
});

const put = (id: string) => ({
  Put: { TableName: 'things', Item: { id: { S: id } }, ConditionExpression: 'attribute_not_exists(id)' },
});

const rpc = async <T>(use: (provider: JsonRpcProvider) => Promise<T>): Promise<T> => {
  const provider = new JsonRpcProvider(`http://127.0.0.1:${ports.chain}`, localChainId, {
    staticNetwork: true,
  });
  try {
    return await use(provider);
  } finally {
    provider.destroy();
  }
};
const payOnce = () =>
  rpc(async (provider) => {
    const signer = await provider.getSigner(0);
    await (await signer.sendTransaction({ to: `0x${'11'.repeat(20)}`, value: 1n })).wait();
  });
const balance = () => rpc((provider) => provider.getBalance(`0x${'11'.repeat(20)}`));

const holdsPayment = (path: string) =>
  existsSync(path) && readFileSync(path, 'utf8').includes(`0x${'11'.repeat(20)}`);

const findNothing = () =>
  packageBinary({ package: '@dynoxide/plan9-mips', file: 'dynoxide', stands: 'DynamoDB' });

/** Addresses on which something listens at this port, from the kernel's tables. */
function listeners(port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) =>
    readFileSync(table, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => state === '0A' && local?.endsWith(`:${hex}`))
      .map(([, local = '']) => (local.startsWith('0100007F:') ? '127.0.0.1' : local)),
  );
}
