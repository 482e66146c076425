import type { CreditMessage } from '#core/messages.js';
import type { JobView, RoundView } from '#core/views.js';
import { Command, Facts, Hash, Note } from '../parts/basics.js';
import { Table } from '../parts/Table.js';
import { TimeTable } from '../parts/TimeBar.js';
import { VerifyVersion } from '../parts/Verify.js';
import { config } from '../state/config.js';
import { href } from '../state/route.js';
import { useMaybe, useResource } from '../state/resource.js';
import { creditsOf, versions } from '../state/stack.js';
import { bytes, count, loss, seconds, tokens } from '../text/format.js';
import { strings } from '../text/strings.js';
import { missingWords } from '../text/words.js';
import type { Names } from './Job.js';

/** Everything that one round leaves behind, and the way to each of it. */
export function Receipt({ job, round, names }: { job: JobView; round: RoundView | null; names: Names }) {
  const made = useResource(versions());
  const credits = useMaybe(round ? creditsOf(job.job, round.round) : null)?.data.value?.items ?? [];
  if (!round) return <Note>{strings.receipt.gone}</Note>;
  const version = round.version;
  const said = made.data.value?.items.find(({ model }) => model.versionId === version?.versionId) ?? null;
  return (
    <section class="receipt" aria-labelledby="receipt">
      <header class="head">
        <h2 id="receipt">{strings.receipt.title(round.round)}</h2>
        <nav aria-label="Other rounds" class="steps">
          {round.round > 1 && (
            <a href={href('jobs', job.job, 'rounds', round.round - 1)}>← {round.round - 1}</a>
          )}
          {round.round < job.round && (
            <a href={href('jobs', job.job, 'rounds', round.round + 1)}>{round.round + 1} →</a>
          )}
          <a href={href('jobs', job.job)}>close</a>
        </nav>
      </header>
      <div class="columns">
        <div>
          <h3>{strings.receipt.missing}</h3>
          <Missing round={round} names={names} />
          <h3>{strings.receipt.there}</h3>
          <There round={round} names={names} credits={credits} />
        </div>
        <div>
          <h3>{strings.receipt.time}</h3>
          <TimeTable seconds={round.seconds} />
        </div>
      </div>
      {version ? (
        <Anchored round={round} versionId={version.versionId} credits={credits} />
      ) : (
        <Note>{strings.receipt.running}</Note>
      )}
      {version && (
        <>
          <h3>{strings.model.verify}</h3>
          <VerifyVersion version={version.versionId} said={{ version: said, round, job, credits }} />
          <Command line={`npx roundtable model verify ${version.versionId.slice(0, 12)}`} />
        </>
      )}
    </section>
  );
}

function Missing({ round, names }: { round: RoundView; names: Names }) {
  if (round.missing.length === 0) return <p>{strings.receipt.nobodyMissing}</p>;
  return (
    <ul class="missing long">
      {round.missing.map(({ runner, code, reason }) => (
        <li key={runner}>
          <strong>{names(runner)}</strong> {missingWords[code]}: {reason}
        </li>
      ))}
    </ul>
  );
}

function There({
  round,
  names,
  credits,
}: {
  round: RoundView;
  names: Names;
  credits: readonly CreditMessage[];
}) {
  const amounts = new Map(credits.map(({ runner, amount }) => [runner, amount]));
  const here = round.participants.filter(({ state }) => state === 'done');
  if (here.length === 0) return <p class="quiet">–</p>;
  return (
    <Table
      name={`round-${round.round}`}
      caption={strings.receipt.there}
      rows={here}
      keyOf={({ runner }) => runner}
      columns={[
        { title: 'Runner', show: ({ runner }) => names(runner), value: ({ runner }) => runner },
        {
          title: 'Samples',
          right: true,
          show: ({ samples }) => count(samples),
          value: ({ samples }) => samples,
        },
        { title: 'Loss', right: true, wide: true, show: (row) => loss(row.loss), value: (row) => row.loss },
        { title: 'Time', right: true, show: (row) => seconds(row.seconds), value: (row) => row.seconds },
        {
          title: 'Sent',
          right: true,
          wide: true,
          show: (row) => bytes(row.bytes),
          value: (row) => row.bytes,
        },
        {
          title: 'Earned',
          right: true,
          show: ({ runner }) => (amounts.has(runner) ? tokens(amounts.get(runner) ?? '0') : '–'),
          value: ({ runner }) => amounts.get(runner) ?? null,
        },
      ]}
    />
  );
}

function Anchored({
  round,
  versionId,
  credits,
}: {
  round: RoundView;
  versionId: string;
  credits: readonly CreditMessage[];
}) {
  const paid = credits.reduce((sum, { amount }) => sum + BigInt(amount), 0n);
  const gateway = config.value?.gateways[0];
  const link = (id: string) => (gateway === undefined ? {} : { link: `${gateway}/${id}` });
  return (
    <div class="columns">
      <div>
        <h3>{strings.receipt.version}</h3>
        <Facts
          facts={[
            ['Version', <Hash value={versionId} link={href('versions', versionId)} />],
            round.version && ['Parameters', <Hash value={round.version.paramsRoot} />],
            round.rootHeader && ['Root of the sums', <Hash value={round.rootHeader} />],
            round.openHash && ['Opening', <Hash value={round.openHash} />],
          ]}
        />
        {round.archive && (
          <>
            <h3>{strings.receipt.archive}</h3>
            <Facts
              facts={[
                ['Manifest', <Hash value={round.archive.manifest} {...link(round.archive.manifest)} />],
                ['Its hash', <Hash value={round.archive.manifestHash} />],
                ['Model', <Hash value={round.archive.model} {...link(round.archive.model)} />],
              ]}
            />
          </>
        )}
      </div>
      <div>
        <h3>{strings.receipt.chain}</h3>
        <Table
          name={`transactions-${round.round}`}
          caption={`Transactions of round ${round.round}`}
          rows={round.transactions}
          keyOf={({ hash }) => hash}
          columns={[
            { title: 'For', show: ({ purpose }) => purpose, value: ({ purpose }) => purpose },
            { title: 'Transaction', show: ({ hash }) => <Hash value={hash} />, value: ({ hash }) => hash },
            { title: 'Block', right: true, show: ({ block }) => count(block), value: ({ block }) => block },
            { title: 'Gas', right: true, show: ({ gas }) => count(gas), value: ({ gas }) => gas },
          ]}
        />
        <p class="cost">
          The round cost <strong>{count(round.transactions.reduce((sum, { gas }) => sum + gas, 0))}</strong>{' '}
          gas{paid > 0n && `, and pays ${tokens(String(paid))} tokens to ${credits.length} runners`}.
        </p>
      </div>
    </div>
  );
}
