import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  BatchGetCommand,
  BatchWriteCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
  type QueryCommandInput,
  type TransactWriteCommandInput,
} from '@aws-sdk/lib-dynamodb';
import { awsDefaults, reportUnavailable } from '../aws.js';
import { together } from './together.js';

export interface Key {
  pk: string;
  sk: string;
}
export type Item = Key & Record<string, unknown>;

/** A write with a condition, in DynamoDB's expression language. Attributes are written #name: many words are reserved. */
export interface Change {
  expression: string;
  condition?: string;
  values: Record<string, unknown>;
}

/** Rows of the table: reads are strongly consistent, writes answer whether their condition held. */
export interface Items {
  get(key: Key): Promise<Item | null>;
  /** Those of these rows that are there, in no order. */
  getAll(keys: readonly Key[]): Promise<Item[]>;
  put(item: Item): Promise<void>;
  /** In no order, each by itself: after a failure some may be written. */
  putAll(items: readonly Item[]): Promise<void>;
  /** Also where there is none. */
  remove(key: Key): Promise<void>;
  /** False, with the row that is there, when one exists already. */
  create(item: Item): Promise<{ created: boolean; existing: Item | null }>;
  /** Writes unless a row with an equal or newer `seq` is there. */
  project(item: Item & { seq: number }): Promise<boolean>;
  /** False, with the row if there is one, when the condition did not hold. */
  update(key: Key, change: Change): Promise<{ updated: boolean; existing: Item | null }>;
  /** All rows of a partition whose sk starts with `prefix`, ascending. */
  query(pk: string, prefix?: string): Promise<Item[]>;
  /** Rows of a partition from one sk to another, both included, ascending; the last so many of them if limited. */
  between(pk: string, from: string, to: string, newest?: number): Promise<Item[]>;
  /** Rows of a partition behind that sk, ascending, at most so many. */
  after(pk: string, sk: string, limit: number): Promise<Item[]>;
  /** The row of a partition with the highest sk. */
  last(pk: string): Promise<Item | null>;
  /** The same through the index `lists`; reads there lag by milliseconds. */
  list(list: string, options?: { limit?: number | undefined; descending?: boolean }): Promise<Item[]>;
  /** Keys of rows waiting for `what` since before that time, oldest first; lags likewise. */
  waiting(what: string, before: string, limit: number): Promise<Key[]>;
  /** All or nothing; false when a condition did not hold. */
  transact(writes: NonNullable<TransactWriteCommandInput['TransactItems']>): Promise<boolean>;
  table: string;
}

export function openItems(table: string, client: DynamoDBClient): Items {
  const documents = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });

  async function queryAll(input: Omit<QueryCommandInput, 'TableName'>, limit = Infinity): Promise<Item[]> {
    const items: Item[] = [];
    let start: Record<string, unknown> | undefined;
    do {
      const page = await documents.send(
        new QueryCommand({
          TableName: table,
          ...input,
          ...(limit === Infinity ? {} : { Limit: limit - items.length }),
          ...(start ? { ExclusiveStartKey: start } : {}),
        }),
      );
      items.push(...((page.Items ?? []) as Item[]));
      start = page.LastEvaluatedKey;
    } while (start && items.length < limit);
    return items;
  }

  async function getOne({ pk, sk }: Key): Promise<Item | null> {
    const answer = await documents.send(
      new GetCommand({ TableName: table, Key: { pk, sk }, ConsistentRead: true }),
    );
    return (answer.Item as Item | undefined) ?? null;
  }

  async function getAll(keys: readonly Key[]): Promise<Item[]> {
    const items: Item[] = [];
    let left: Key[] = [...keys];
    while (left.length > 0) {
      const asked = left.slice(0, mostOfBatch);
      const answer = await documents.send(
        new BatchGetCommand({ RequestItems: { [table]: { Keys: asked, ConsistentRead: true } } }),
      );
      items.push(...((answer.Responses?.[table] ?? []) as Item[]));
      // What was too much for one answer is asked again.
      const again = (answer.UnprocessedKeys?.[table]?.Keys ?? []) as Key[];
      left = [...again, ...left.slice(mostOfBatch)];
    }
    return items;
  }

  return {
    table,
    get: together(getOne, getAll),
    getAll,

    async put(item) {
      await documents.send(new PutCommand({ TableName: table, Item: item }));
    },

    async putAll(all) {
      let left = all.map((Item) => ({ PutRequest: { Item } }));
      while (left.length > 0) {
        const answer = await documents.send(
          new BatchWriteCommand({ RequestItems: { [table]: left.slice(0, mostOfBatchWrite) } }),
        );
        const again = (answer.UnprocessedItems?.[table] ?? []) as typeof left;
        left = [...again, ...left.slice(mostOfBatchWrite)];
      }
    },

    async remove({ pk, sk }) {
      await documents.send(new DeleteCommand({ TableName: table, Key: { pk, sk } }));
    },

    async create(item) {
      try {
        await documents.send(
          new PutCommand({
            TableName: table,
            Item: item,
            ConditionExpression: 'attribute_not_exists(pk)',
          }),
        );
        return { created: true, existing: null };
      } catch (error) {
        if (!isConditionFailure(error)) throw error;
        return { created: false, existing: await this.get(item) };
      }
    },

    async project(item) {
      try {
        await documents.send(
          new PutCommand({
            TableName: table,
            Item: item,
            ConditionExpression: 'attribute_not_exists(pk) OR #seq < :seq',
            ExpressionAttributeNames: { '#seq': 'seq' },
            ExpressionAttributeValues: { ':seq': item.seq },
          }),
        );
        return true;
      } catch (error) {
        if (isConditionFailure(error)) return false;
        throw error;
      }
    },

    async update(key, change) {
      try {
        await documents.send(
          new UpdateCommand({
            TableName: table,
            Key: { pk: key.pk, sk: key.sk },
            UpdateExpression: change.expression,
            ...(change.condition === undefined ? {} : { ConditionExpression: change.condition }),
            ExpressionAttributeNames: namesIn(change),
            ExpressionAttributeValues: change.values,
          }),
        );
        return { updated: true, existing: null };
      } catch (error) {
        if (!isConditionFailure(error)) throw error;
        return { updated: false, existing: await this.get(key) };
      }
    },

    query: (pk, prefix = '') =>
      queryAll({
        KeyConditionExpression: prefix ? 'pk = :pk AND begins_with(sk, :prefix)' : 'pk = :pk',
        ExpressionAttributeValues: prefix ? { ':pk': pk, ':prefix': prefix } : { ':pk': pk },
        ConsistentRead: true,
      }),

    between: async (pk, from, to, newest) => {
      const items = await queryAll(
        {
          KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
          ExpressionAttributeValues: { ':pk': pk, ':from': from, ':to': to },
          ConsistentRead: true,
          ScanIndexForward: newest === undefined,
        },
        newest,
      );
      return newest === undefined ? items : items.toReversed();
    },
    after: (pk, sk, limit) =>
      queryAll(
        {
          KeyConditionExpression: 'pk = :pk AND sk > :sk',
          ExpressionAttributeValues: { ':pk': pk, ':sk': sk },
          ConsistentRead: true,
        },
        limit,
      ),

    last: async (pk) => {
      const [item] = await queryAll(
        {
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': pk },
          ConsistentRead: true,
          ScanIndexForward: false,
        },
        1,
      );
      return item ?? null;
    },

    list: (list, { limit, descending = false } = {}) =>
      queryAll(
        {
          IndexName: 'lists',
          KeyConditionExpression: '#list = :list',
          ExpressionAttributeNames: { '#list': 'list' },
          ExpressionAttributeValues: { ':list': list },
          ScanIndexForward: !descending,
        },
        limit,
      ),

    waiting: (what, before, limit) =>
      queryAll(
        {
          IndexName: 'waiting',
          KeyConditionExpression: '#waiting = :what AND #since < :before',
          ExpressionAttributeNames: { '#waiting': 'waiting', '#since': 'since' },
          ExpressionAttributeValues: { ':what': what, ':before': before },
        },
        limit,
      ),

    async transact(writes) {
      try {
        await documents.send(new TransactWriteCommand({ TransactItems: writes }));
        return true;
      } catch (error) {
        if (error instanceof Error && error.name === 'TransactionCanceledException') {
          const reasons = (error as { CancellationReasons?: { Code?: string }[] }).CancellationReasons ?? [];
          if (reasons.some(({ Code }) => Code === 'ConditionalCheckFailed')) return false;
        }
        throw error;
      }
    },
  };
}

/** As `transact`, and false as well when another transaction met this one at a row: look again and try again. */
export async function attempt(items: Items, writes: Parameters<Items['transact']>[0]): Promise<boolean> {
  try {
    return await items.transact(writes);
  } catch (error) {
    if (error instanceof Error && error.name === 'TransactionCanceledException') return false;
    throw error;
  }
}

/** Keys that DynamoDB takes in one BatchGetItem. */
const mostOfBatch = 100;
/** Rows that it takes in one BatchWriteItem. */
const mostOfBatchWrite = 25;

export function createTableClient(): DynamoDBClient {
  const client = new DynamoDBClient({ ...awsDefaults });
  client.middlewareStack.add(reportUnavailable('The table (DynamoDB)'), { step: 'initialize' });
  return client;
}

/** Numbers as sort keys: of equal length, so that text order is numeric order. */
export const ordinal = (value: number): string => String(value).padStart(12, '0');

function namesIn({ expression, condition = '' }: Change): Record<string, string> {
  const aliases = `${expression} ${condition}`.match(/#\w+/g) ?? [];
  return Object.fromEntries(aliases.map((alias) => [alias, alias.slice(1)]));
}

function isConditionFailure(error: unknown): boolean {
  return error instanceof Error && error.name === 'ConditionalCheckFailedException';
}
