import { useMemo } from 'preact/hooks';
import { Badge, Command, Note, Section } from '../parts/basics.js';
import { Table } from '../parts/Table.js';
import {
  chainVersions,
  lineageRows,
  listedVersions,
  type LineageRow,
  type LineageVersion,
} from '../lineage.js';
import { useChainLineage } from '../state/chain.js';
import { href } from '../state/route.js';
import { useResource } from '../state/resource.js';
import { versions } from '../state/stack.js';
import { percent, short } from '../text/format.js';
import { strings } from '../text/strings.js';

export function Models() {
  const { all, note } = useLineages();
  const byName = useMemo(() => grouped(all ?? []), [all]);
  return (
    <>
      <h1>{strings.nav.models}</h1>
      {note !== null && <Note kind={all ? '' : 'warn'}>{note}</Note>}
      {all?.length === 0 && <Note>{strings.model.none}</Note>}
      {[...byName].map(([name, members]) => (
        <Section key={name} title={name}>
          <Lineage name={name} versions={members} chosen={null} />
        </Section>
      ))}
      <Command line="npx roundtable model lineage" />
    </>
  );
}

/** All versions, from the API where it answers and from the chain where it does not. */
export function useLineages(): { all: readonly LineageVersion[] | null; note: string | null } {
  const { data, silent } = useResource(versions());
  const views = data.value?.items;
  const isSilent = silent.value;
  const chain = useChainLineage(views === undefined ? (isSilent ? 'read' : 'wait') : 'mark');
  const found = chain.versions;
  const all = useMemo(
    () => (views ? listedVersions(views, found ?? []) : found ? chainVersions(found) : null),
    [views, found],
  );
  if (views) return { all, note: null };
  if (!isSilent) return { all: null, note: strings.loading };
  if (chain.problem !== null) return { all: null, note: strings.model.chainSilent(chain.problem) };
  return { all, note: found ? strings.model.fromChain : strings.model.askingChain };
}

function grouped(versions: readonly LineageVersion[]): Map<string, LineageVersion[]> {
  const names = new Map<string, LineageVersion[]>();
  for (const version of versions) {
    const members = names.get(version.lineage);
    if (members) members.push(version);
    else names.set(version.lineage, [version]);
  }
  return names;
}

/** Versions newest first, their descent in lanes beside them. */
export function Lineage({
  name,
  versions,
  chosen,
}: {
  name: string;
  versions: readonly LineageVersion[];
  chosen: string | null;
}) {
  const rows = useMemo(() => lineageRows(versions), [versions]);
  const lanes = Math.min(
    mostLanes,
    rows.reduce((most, { passing }) => passing.reduce((a, b) => Math.max(a, b), most), 0) + 1,
  );
  return (
    <Table
      name={`lineage-${name}`}
      caption={`${strings.model.lineage} ${name}`}
      rows={rows}
      keyOf={({ version }) => version.id}
      rowClass={({ version }) =>
        `lineage ${version.version === chosen ? 'opened' : ''} ${version.isVoid ? 'void' : ''}`
      }
      columns={[
        { title: 'Descent', show: (row) => <Lanes row={row} lanes={lanes} /> },
        {
          title: 'Nr',
          right: true,
          show: ({ version }) => version.number,
          value: ({ version }) => version.number,
        },
        {
          title: 'Version',
          show: ({ version: { version, isVoid } }) => (
            <>
              <a class="strong" href={href('versions', version)} title={version}>
                <code>{short(version, 10)}</code>
              </a>{' '}
              {isVoid && <Badge kind="failed">{strings.model.void}</Badge>}
            </>
          ),
          value: ({ version }) => version.version,
        },
        {
          title: 'Accuracy',
          right: true,
          show: ({ version }) => percent(version.accuracy),
          value: ({ version }) => version.accuracy,
        },
        {
          title: 'From',
          show: ({ version: { job, round } }) => (
            <a href={round === 0 ? href('jobs', job) : href('jobs', job, 'rounds', round)}>
              {round === 0 ? 'start of ' : `round ${round} of `}
              <code>{short(job, 8)}</code>
            </a>
          ),
          value: ({ version }) => `${version.job}/${version.round}`,
        },
      ]}
    />
  );
}

const laneWidth = 14;
const rowHeight = 30;

/** Beyond this many forks side by side the last lane stands for all further ones. */
const mostLanes = 16;

function Lanes({ row, lanes }: { row: LineageRow; lanes: number }) {
  const x = (lane: number) => 8 + Math.min(lane, lanes - 1) * laneWidth;
  const middle = rowHeight / 2;
  const others = row.passing.filter((lane) => lane !== row.lane && !row.joined.includes(lane));
  const through = [...new Set(others.map(x))].map((at) => `M${at} 0V${rowHeight}`).join('');
  return (
    <svg class="lanes" width={lanes * laneWidth + 4} height={rowHeight} aria-hidden="true">
      {through !== '' && <path d={through} />}
      {row.joined.map((lane) => (
        <path key={lane} d={`M${x(lane)} 0 Q${x(lane)} ${middle} ${x(row.lane)} ${middle}`} />
      ))}
      {!row.tip && <line x1={x(row.lane)} x2={x(row.lane)} y1="0" y2={middle} />}
      {row.forkTo !== null ? (
        <path d={`M${x(row.lane)} ${middle} Q${x(row.lane)} ${rowHeight} ${x(row.forkTo)} ${rowHeight}`} />
      ) : (
        row.down && <line x1={x(row.lane)} x2={x(row.lane)} y1={middle} y2={rowHeight} />
      )}
      <circle cx={x(row.lane)} cy={middle} r="4.5" class={row.version.round === 0 ? 'start' : ''} />
    </svg>
  );
}
