import { brokenActRecord } from '#core/actLog.js';
import type { ActRecord } from '#core/acts.js';
import { sha256 } from '#services/sha256.js';
import { isActSigned } from '#services/acts.js';
import { addVerb, CheckFailed, type Context } from '../command.js';
import { openPublicRecord } from '../model/sources.js';
import type { Verb } from '../run.js';
import { glyphs } from '../terminal/theme.js';

export const actsVerb: Verb = (program, does) => {
  addVerb(
    program,
    'acts',
    'what members and runners did here: pauses, drains, redrives, each as it was signed',
    'acts --verify',
  )
    .option('--verify', 'recompute the chain of hashes and check every signature')
    .option('--last <count>', 'so many acts', '20')
    .action(
      does<{ verify?: boolean; last: string }>(async (context, { verify, last }) => {
        const records = await context.api().acts();
        if (verify === true) return verifyActs(context, records);
        const acts = actsOf(records).slice(-Math.max(1, Math.floor(Number(last) || 20)));
        context.print(acts, () =>
          acts.length === 0 ? ['Nobody did anything here yet.'] : acts.map(actLine),
        );
      }),
    );
};

interface DoneAct {
  seq: number;
  at: string;
  signer: string;
  action: string;
  target: string;
  reason: string;
  outcome: string | null;
}

/** Each act with what came of it, which is a record of its own. */
function actsOf(records: readonly ActRecord[]): DoneAct[] {
  const outcomes = new Map<number, string>();
  for (const { entry } of records) {
    if (entry.kind === 'done') outcomes.set(entry.act, entry.outcome);
    if (entry.kind === 'failed') outcomes.set(entry.act, `${entry.code} ${entry.outcome}`);
  }
  return records.flatMap(({ seq, at, entry }) => {
    if (entry.kind !== 'admitted') return [];
    const { action, target, reason } = entry.statement;
    return [{ seq, at, signer: entry.signer, action, target, reason, outcome: outcomes.get(seq) ?? null }];
  });
}

function actLine({ at, signer, action, target, reason, outcome }: DoneAct): string {
  const why = reason === '' ? '' : ` (${reason})`;
  return `${at}  ${signer.slice(0, 10)}  ${action} ${target.slice(0, 12)}${why}: ${outcome ?? 'nothing is known of its outcome'}`;
}

/** Signatures are compared with the contracts of this stack, which the person's own configuration names. */
async function verifyActs(context: Context, records: readonly ActRecord[]): Promise<void> {
  const { ok, fail } = glyphs(context.terminal.theme());
  const broken = brokenActRecord(sha256, records);
  const forged = await forgedActs(context, records);
  const head = records.at(-1)?.hash ?? null;
  context.print({ records: records.length, head, broken, forged }, () => [
    broken === null
      ? `${ok} ${records.length} records follow from each other; the last hash is ${head ?? 'none'}.`
      : `${fail} Record ${broken} does not follow from the one before.`,
    forged.length === 0
      ? `${ok} Every act was signed by whom it names.`
      : `${fail} Not signed by whom they name: ${forged.join(', ')}.`,
  ]);
  if (broken !== null || forged.length > 0) throw new CheckFailed();
}

/** Numbers of the records that were not signed by whom they name. Contract accounts are asked by the stack's node. */
async function forgedActs(context: Context, records: readonly ActRecord[]): Promise<number[]> {
  const { chain } = openPublicRecord(context.stack());
  try {
    const forged: number[] = [];
    for (const { seq, entry } of records)
      if (entry.kind === 'admitted' && !(await isActSigned(chain.deployment, entry, chain))) forged.push(seq);
    return forged;
  } finally {
    chain.close();
  }
}
