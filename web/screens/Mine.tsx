import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Hex } from '#core/hex.js';
import { Age, Badge, Command, Facts, Hash, Note, Section } from '../parts/basics.js';
import { Table, type Column } from '../parts/Table.js';
import { config, sourcesOf } from '../state/config.js';
import { keepToken, mineDecisions, mineStatus, type MineDecision, type MineStatus } from '../state/mine.js';
import { useResource } from '../state/resource.js';
import { href } from '../state/route.js';
import { earnings } from '../state/stack.js';
import { verify, type Verification } from '../state/verification.js';
import { count, moment, tokens } from '../text/format.js';
import { strings } from '../text/strings.js';
import { decisionWords } from '../text/words.js';
import type { Payment } from '../verify/contracts.js';

/** A runner owner's own page: served by the runner, to this machine alone. */
export function Mine({ token }: { token: string | undefined }) {
  keepToken(token);
  const { data, error } = useResource(mineStatus);
  const log = useResource(mineDecisions).data.value;
  const status = data.value;
  if (!status)
    return (
      <>
        <h1>{strings.nav.mine}</h1>
        <Note kind={error.value === null ? '' : 'warn'}>{error.value ?? strings.loading}</Note>
      </>
    );
  return (
    <>
      <header class="title">
        <h1>{status.name}</h1>
        <Badge kind={status.running ? 'running' : 'offline'}>
          {status.running ? strings.mine.running : strings.mine.stopped}
        </Badge>
        {log && (
          <p class={`checked ${log.broken ? 'false' : 'true'}`}>
            {log.broken
              ? strings.mine.broken(log.broken.file, log.broken.line, log.broken.reason)
              : strings.mine.whole(count(log.records))}
          </p>
        )}
      </header>
      <Standing status={status} />
      <Section title={strings.mine.decisions}>
        {!log || log.items.length === 0 ? (
          <Note>{strings.mine.nothing}</Note>
        ) : (
          <Table
            name="decisions"
            caption={strings.mine.decisions}
            stacks
            rows={log.items.toReversed()}
            keyOf={({ seq }) => String(seq)}
            columns={columns}
          />
        )}
        <Command line="roundtable-runner log --verify" />
      </Section>
      <Earnings account={status.address as Hex} />
      <Section title={strings.mine.rules}>
        <ul>
          {status.rules.map((rule) => (
            <li key={rule}>{rule}</li>
          ))}
        </ul>
      </Section>
      <Command line="roundtable-runner status" />
    </>
  );
}

function Standing({ status }: { status: MineStatus }) {
  const { chain, chainProblem, stacks, data, address, member } = status;
  return (
    <>
      <Facts
        facts={[
          [strings.mine.address, <Hash value={address} />],
          [strings.mine.member, <Hash value={member} />],
          [strings.mine.onChain, chain ? chain.state : (chainProblem ?? '–')],
          chain && [strings.mine.stake, tokens(chain.stake)],
          chain && [strings.mine.gas, tokens(chain.wei, 18, 6)],
          [
            strings.mine.data,
            data.map(({ name, samples }) => `${name} (${count(samples)})`).join(', ') || strings.mine.noData,
          ],
        ]}
      />
      <Section title={strings.mine.stacks}>
        <Table
          name="stacks"
          caption={strings.mine.stacks}
          rows={stacks}
          keyOf={({ coordinator }) => coordinator}
          columns={stackColumns}
        />
      </Section>
    </>
  );
}

const stackColumns: Column<MineStatus['stacks'][number]>[] = [
  {
    title: 'Stack of',
    show: ({ coordinator }) => <Hash value={coordinator} />,
    value: ({ coordinator }) => coordinator,
  },
  { title: 'Where', wide: true, show: ({ api }) => api ?? '–', value: ({ api }) => api },
  {
    title: 'There it is',
    show: (stack) => <AtStack stack={stack} />,
    value: ({ answer, problem }) => answer?.suspension?.reason ?? answer?.state ?? problem?.message ?? null,
  },
  {
    title: 'Certificate until',
    wide: true,
    show: ({ until }) => (until === null ? '–' : moment(until)),
    value: ({ until }) => until,
  },
];

function AtStack({ stack: { answer, problem } }: { stack: MineStatus['stacks'][number] }) {
  if (!answer) return <span class="false">{problem?.message ?? '–'}</span>;
  if (answer.suspension) return <>{strings.runners.suspended(answer.suspension.reason)}</>;
  return (
    <>
      <Badge kind={answer.state}>{answer.state}</Badge>{' '}
      {answer.drain ? strings.acts['runner.drain'].verb : <Age of={answer.lastSeen} />}
    </>
  );
}

const text = (value: unknown): string =>
  value === null || value === undefined ? '' : Array.isArray(value) ? value.join(', ') : String(value);

const columns: Column<MineDecision>[] = [
  { title: 'When', show: ({ time }) => <Age of={time} />, value: ({ time }) => time },
  {
    title: 'What',
    show: ({ kind }) => <Badge kind={kind}>{decisionWords[kind] ?? kind}</Badge>,
    value: ({ kind }) => kind,
  },
  {
    title: 'Job',
    show: ({ name, job, round }) =>
      typeof job === 'string' ? (
        <a href={href('jobs', job)}>
          {text(name)}, round {text(round)}
        </a>
      ) : (
        '–'
      ),
    value: ({ name, round }) => `${text(name)} ${text(round)}`.trim(),
  },
  { title: 'Why, or what', show: detail, value: detail },
  {
    title: 'For',
    wide: true,
    show: ({ coordinator }) => (typeof coordinator === 'string' ? <Hash value={coordinator} /> : '–'),
    value: ({ coordinator }) => text(coordinator),
  },
];

function detail({ kind, code, reason, rule, data, samples, bytes, software, until }: MineDecision): string {
  switch (kind) {
    case 'refused':
      return `${text(code)}: ${text(reason)}`;
    case 'allowed':
      return strings.mine.allowed(text(data), text(rule));
    case 'sent':
      return strings.mine.sent(count(Number(samples)), count(Number(bytes)));
    case 'enrolled':
      return strings.mine.enrolled(text(data), text(until));
    default:
      return text(software);
  }
}

/** Kept between visits of the screen. */
const outcome = signal<Verification | null>(null);

/** Paid is what the chain says, by the owner's node; credited is this stack's word. */
function Earnings({ account }: { account: Hex }) {
  const settings = config.value;
  const told = useResource(earnings()).data.value?.items;
  const credited = told && (told.find(({ runner }) => runner === account)?.amount ?? '0');
  useEffect(() => {
    if (settings) verify(sourcesOf(settings), { kind: 'payments', account }, outcome);
  }, [settings, account]);
  const result = outcome.value;
  const payments = result?.found.payments ?? [];
  const paid = payments.reduce((sum, { amount }) => sum + BigInt(amount), 0n);
  return (
    <Section title={strings.mine.earnings}>
      <Facts
        facts={[
          [
            strings.mine.paid,
            result?.state === 'done' ? tokens(String(paid)) : (result?.reason ?? strings.loading),
          ],
          [strings.mine.credited, credited === undefined ? strings.loading : tokens(credited)],
        ]}
      />
      {payments.length > 0 && (
        <Table
          name="payments"
          caption={strings.mine.earnings}
          rows={payments.toReversed()}
          keyOf={({ transaction, payer }) => transaction + payer}
          columns={paymentColumns}
        />
      )}
      <p>
        <a href={href('rewards')}>{strings.mine.toClaim}</a>
      </p>
    </Section>
  );
}

const paymentColumns: Column<Payment>[] = [
  { title: 'Paid by', show: ({ payer }) => <Hash value={payer} />, value: ({ payer }) => payer },
  { title: 'Epoch', show: ({ epoch }) => epoch, value: ({ epoch }) => epoch },
  { title: 'Amount', right: true, show: ({ amount }) => tokens(amount), value: ({ amount }) => amount },
  {
    title: 'Transaction',
    wide: true,
    show: ({ transaction }) => <Hash value={transaction} />,
    value: ({ transaction }) => transaction,
  },
];
