import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { EpochView } from '#core/views.js';
import { Badge, Command, Hash, Note, Section } from '../parts/basics.js';
import { Table, type Column } from '../parts/Table.js';
import { config, sourcesOf } from '../state/config.js';
import { now, useResource } from '../state/resource.js';
import { epochs } from '../state/stack.js';
import { verify, type Verification } from '../state/verification.js';
import { age, count, moment, tokens } from '../text/format.js';
import { strings } from '../text/strings.js';

/** Since when amounts can be claimed is the chain's word; kept between visits of the screen. */
const windowsRead = signal<Verification | null>(null);

/** Every epoch with its root, and whether the window in which it can be objected to has passed. */
export function Epochs() {
  const published = useResource(epochs()).data.value?.items;
  const settings = config.value;
  // Asked again when one more stands on the chain.
  const known = published?.filter(({ state }) => state !== 'planned').length ?? 0;
  useEffect(() => {
    if (settings && known > 0)
      verify(sourcesOf(settings), { kind: 'windows', payer: settings.stack }, windowsRead);
  }, [settings, known]);
  const windows = new Map(
    windowsRead.value?.found.windows.map(({ epoch, effectiveAt }) => [epoch, effectiveAt]),
  );
  return (
    <Section title="Epochs">
      {!published?.length ? (
        <Note>{published ? strings.rewards.none : strings.rewards.fromChain}</Note>
      ) : (
        <Table
          name="epochs"
          caption="Epochs"
          stacks
          rows={published.toReversed()}
          keyOf={({ epoch }) => String(epoch)}
          columns={columnsOf(windows)}
        />
      )}
      <Command line="npx roundtable rewards show" />
    </Section>
  );
}

function columnsOf(windows: ReadonlyMap<number, number>): Column<EpochView>[] {
  return [
    { title: 'Epoch', show: ({ epoch }) => epoch, value: ({ epoch }) => epoch },
    {
      title: 'State',
      show: ({ state }) => <Badge kind={state}>{state}</Badge>,
      value: ({ state }) => state,
    },
    {
      title: 'Window',
      show: ({ epoch }) => <Window effectiveAt={windows.get(epoch)} />,
      value: ({ epoch }) => isoOf(windows.get(epoch)),
    },
    { title: 'Total', right: true, show: ({ total }) => tokens(total), value: ({ total }) => total },
    { title: 'Accounts', right: true, show: ({ leaves }) => count(leaves), value: ({ leaves }) => leaves },
    { title: 'Root', show: ({ root }) => <Hash value={root} />, value: ({ root }) => root },
    {
      title: 'Transaction',
      wide: true,
      show: ({ transaction }) => (transaction ? <Hash value={transaction.hash} /> : '–'),
      value: ({ transaction }) => transaction?.hash ?? null,
    },
    {
      title: 'Gas',
      right: true,
      wide: true,
      show: ({ transaction }) => count(transaction?.gas ?? null),
      value: ({ transaction }) => transaction?.gas ?? null,
    },
  ];
}

function Window({ effectiveAt }: { effectiveAt: number | undefined }) {
  if (effectiveAt === undefined) return <span class="quiet">–</span>;
  const passed = now.value - effectiveAt;
  const at = isoOf(effectiveAt) ?? '';
  return (
    <time dateTime={at} title={moment(at)}>
      {passed < 0 ? strings.rewards.openUntil(moment(at)) : strings.rewards.closedSince(age(passed))}
    </time>
  );
}

const isoOf = (at: number | undefined): string | null =>
  at === undefined ? null : new Date(at).toISOString();
