import { readTable } from '#audit/restoration/table.js';
import { RoundtableError } from '#core/errors.js';
import { address, parseMessage } from '#core/schema.js';
import { openArchive } from '#services/archive.js';
import { sha256 } from '#services/sha256.js';
import type { Projection, Restoration, Standing } from '#services/table.js';
import { openChainOf } from '../chain.js';
import { addVerb, CheckFailed, type Context } from '../command.js';
import { placeOfRecord, type RecordOptions } from '../model/record.js';
import { several } from '../model/recordOptions.js';
import { notRestored } from '../restore/notRestored.js';
import { openLostTable } from '../restore/stores.js';
import type { Verb } from '../run.js';
import { table, wrap } from '../terminal/text.js';

interface RestoreOptions extends Pick<RecordOptions, 'rpc' | 'gateway' | 'deployment'> {
  table?: string;
  member?: string;
  overwrite?: boolean;
}

export const restoreVerb: Verb = (program, does) => {
  addVerb(
    program,
    'restore',
    "bring a stack's lost table back, from the chain and the archive alone",
    'restore',
    'restore --table roundtable-production-Table --member 0x… --rpc https://NODE --gateway https://GATEWAY --deployment consortium.json',
  )
    .option('--table <name>', 'the table, reached as AWS_* say (default: that of the stack on this machine)')
    .option('--member <address>', "whose stack it is (default: this stack's)")
    .option(
      '--rpc <url>',
      "a node of the chain; several: the first that answers (default: this stack's)",
      several,
    )
    .option('--gateway <url>', "an Arweave gateway; several: in this order (default: this stack's)", several)
    .option('--deployment <file>', "JSON with the addresses of the contracts (default: this stack's)")
    .option('--overwrite', 'also what the table has newer than the chain, or otherwise')
    .action(
      does<RestoreOptions>(async (context, options) => {
        const place = placeOfRecord(context, options);
        const member = parseMessage(
          address,
          (options.member ?? context.stack().coordinator).toLowerCase(),
          '--member',
        );
        const lost = openLostTable(context, options.table);
        const chain = openChainOf(context, { rpcUrls: place.rpc, deployment: place.deployment });
        try {
          const sources = { chain, archive: openArchive({ gateways: place.gateway }), hash: sha256 };
          const read = await readTable(sources, member, (done, of) =>
            say(context, `chain and archive: ${done} of ${of} jobs`),
          );
          const outcome = await write(context, lost.restoration, read.rows, options.overwrite === true);
          await lost.restoration.recount(member);
          const { problems } = read;
          context.print({ table: lost.table, member, ...outcome, problems, notRestored }, () =>
            report(context, lost.table, outcome, problems),
          );
          if (problems.length > 0) throw new CheckFailed();
        } finally {
          chain.close();
          lost.close();
        }
      }),
    );
};

interface Outcome {
  written: Counts;
  unchanged: Counts;
  /** Of those written: what the table had newer, or otherwise. */
  overwritten: Counts;
}
type Counts = Record<Projection['kind'], number>;

/** Looks at all rows before it writes any. @throws CONFLICT when the table has newer ones, unless told to overwrite */
async function write(
  context: Context,
  restoration: Restoration,
  rows: readonly Projection[],
  overwrite: boolean,
): Promise<Outcome> {
  const standings: Standing[] = [];
  for (const row of rows) {
    context.signal.throwIfAborted();
    standings.push(await restoration.compare(row));
  }
  const newer = rows.filter((_, index) => standings[index] === 'newer');
  if (newer.length > 0 && !overwrite)
    throw new RoundtableError(
      'CONFLICT',
      `The table has ${newer.length} rows that are newer than what chain and archive say, or say something else: ` +
        `${newer.slice(0, 3).map(nameOf).join('; ')}${newer.length > 3 ? '; …' : ''}. Nothing was written. ` +
        'With --overwrite they are replaced.',
      { details: { newer: newer.map(nameOf) } },
    );
  const outcome: Outcome = { written: none(), unchanged: none(), overwritten: none() };
  for (const [index, row] of rows.entries()) {
    context.signal.throwIfAborted();
    if (index % 100 === 0) say(context, `table: ${index} of ${rows.length} rows`);
    const standing = standings[index];
    if (standing === 'same') {
      outcome.unchanged[row.kind]++;
      continue;
    }
    await restoration.restore(row);
    outcome.written[row.kind]++;
    if (standing === 'newer') outcome.overwritten[row.kind]++;
  }
  return outcome;
}

const none = (): Counts => ({ epoch: 0, credit: 0, version: 0, round: 0, job: 0 });

function nameOf({ kind, view }: Projection): string {
  switch (kind) {
    case 'epoch':
      return `epoch ${view.epoch}`;
    case 'credit':
      return `the credit of ${view.runner} for round ${view.round} of job ${view.job}`;
    case 'version':
      return `version ${view.number} of ${view.lineage}`;
    case 'round':
      return `round ${view.round} of job ${view.job}`;
    case 'job':
      return `job ${view.job}`;
  }
}

function report(
  context: Context,
  name: string,
  { written, unchanged }: Outcome,
  problems: readonly { subject: string; problem: string }[],
): string[] {
  const theme = context.terminal.theme();
  const kinds = Object.keys(written) as Projection['kind'][];
  return [
    `${name}:`,
    ...table(
      theme,
      [{ title: 'rows' }, { title: 'written', align: 'right' }, { title: 'there already', align: 'right' }],
      kinds.map((kind) => [titles[kind], String(written[kind]), String(unchanged[kind])]),
    ),
    ...problems.flatMap(({ subject, problem }) => wrap(`Left out: ${subject}: ${problem}`, theme.columns)),
    '',
    'What chain and archive do not have:',
    ...notRestored.flatMap(({ what, why }) => wrap(`- ${what}: ${why}`, theme.columns)),
  ];
}

const titles: Record<Projection['kind'], string> = {
  epoch: 'epochs',
  credit: 'credits',
  version: 'versions',
  round: 'rounds',
  job: 'jobs',
};

/** How far it is, beside the answer. */
function say(context: Context, line: string): void {
  if (!context.json) context.terminal.writeError(`${line}\n`);
}
