import { expiryAttribute, tableDefinition } from '#services/table/definition.js';
import type { StageRules } from '../settings.js';

/** The one table, as services/table/definition.ts has it; with backups to every second of the last 35 days. */
export function createTable(rules: StageRules) {
  return new sst.aws.Dynamo('Table', {
    fields: Object.fromEntries(
      (tableDefinition.AttributeDefinitions ?? []).map(({ AttributeName }) => [
        named(AttributeName),
        'string' as const,
      ]),
    ),
    primaryIndex: keys(tableDefinition.KeySchema),
    globalIndexes: Object.fromEntries(
      (tableDefinition.GlobalSecondaryIndexes ?? []).map(({ IndexName, KeySchema, Projection }) => [
        named(IndexName),
        {
          ...keys(KeySchema),
          projection: Projection?.ProjectionType === 'KEYS_ONLY' ? ('keys-only' as const) : ('all' as const),
        },
      ]),
    ),
    ttl: expiryAttribute,
    deletionProtection: rules.retain,
    transform: { table: { serverSideEncryption: { enabled: true } } },
  });
}

type KeySchema = { AttributeName: string | undefined; KeyType: 'HASH' | 'RANGE' | undefined }[];

function keys(schema: KeySchema | undefined) {
  const of = (type: string) => named(schema?.find(({ KeyType }) => KeyType === type)?.AttributeName);
  return { hashKey: of('HASH'), rangeKey: of('RANGE') };
}

function named(name: string | undefined): string {
  if (name === undefined) throw new Error('The table definition has an attribute or index without a name.');
  return name;
}
