import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { IntentStore } from './intentBook.js';
import { actTable, type ActTable } from './table/acts.js';
import { attestationTable, type AttestationTable } from './table/attestations.js';
import { entryTable, type EntryTable } from './table/entries.js';
import { ensureTable as ensureTableWith } from './table/definition.js';
import { intentTable } from './table/intents.js';
import { createTableClient, openItems } from './table/items.js';
import { jobTable, type JobTable } from './table/jobs.js';
import { onceOnly, type OnceOnly } from './table/onceOnly.js';
import { quotas, type Quotas } from './table/quotas.js';
import { receiptTable, type ReceiptTable } from './table/receipts.js';
import { restoration, type Restoration } from './table/restoration.js';
import { rewardTable, type RewardTable } from './table/rewards.js';
import { runnerTable, type RunnerTable } from './table/runners.js';
import { sealTable, type SealTable } from './table/seals.js';
import { triggerTable, type TriggerTable } from './table/triggers.js';
import { versionTable, type VersionTable } from './table/versions.js';

export type { Projection, Restoration, Standing } from './table/restoration.js';

/**
 * The table: projections of what workflows own, plus triggers, enrolments, credits and intents. Everything that
 * is read is parsed by its schema; a row of another form is INTERNAL. Every method can throw UNAVAILABLE.
 */
export interface Table
  extends
    JobTable,
    VersionTable,
    RunnerTable,
    TriggerTable,
    RewardTable,
    EntryTable,
    OnceOnly,
    Quotas,
    ReceiptTable,
    AttestationTable,
    SealTable,
    ActTable {
  /** Signed transactions, for services/chainSender.ts. */
  intents: IntentStore;
}

export function openTable(options: { table: string; client?: DynamoDBClient }): Table {
  const items = openItems(options.table, options.client ?? createTableClient());
  return {
    ...jobTable(items),
    ...versionTable(items),
    ...runnerTable(items),
    ...triggerTable(items),
    ...rewardTable(items),
    ...entryTable(items),
    ...onceOnly(items),
    ...quotas(items),
    ...actTable(items),
    ...receiptTable(items),
    ...attestationTable(items),
    ...sealTable(items),
    intents: intentTable(items),
  };
}

/** For whoever brings back what the table had. */
export function openRestoration(options: { table: string; client?: DynamoDBClient }): Restoration {
  return restoration(openItems(options.table, options.client ?? createTableClient()));
}

/** Creates the table if it is not there; for the local stack (in the cloud, infra does). */
export async function ensureTable(options: { table: string; client?: DynamoDBClient }): Promise<void> {
  await ensureTableWith({ table: options.table, client: options.client ?? createTableClient() });
}
