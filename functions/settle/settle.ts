import type { Table } from '#services/table.js';
import type { Logger } from '#services/log.js';
import type { Temporal } from '../temporal.js';

/**
 * Starts the settlement that is due: of the last epoch while it is not effective yet (should its workflow have
 * failed, this takes it up again), else of the next one when jobs have ended that no epoch has paid.
 * @returns the epoch whose settlement runs now, or null
 */
export async function startSettlement(
  parts: {
    table: Pick<Table, 'listEpochs' | 'listWaiting'>;
    temporal: Pick<Temporal, 'startSettlement'>;
    log: Logger;
  },
  payer: `0x${string}`,
): Promise<number | null> {
  const { table, temporal, log } = parts;
  const last = (await table.listEpochs(payer)).at(-1);
  const epoch = last && last.state !== 'effective' ? last.epoch : (last?.epoch ?? 0) + 1;
  if (epoch !== last?.epoch) {
    const unpaid = await table.listWaiting('settlement', new Date().toISOString(), 10);
    if (!unpaid.some(({ coordinator }) => coordinator === payer)) return null;
  }
  await temporal.startSettlement(payer, epoch);
  log.info({ payer, epoch }, 'settlement started');
  return epoch;
}
