import type { VersionView } from '#core/views.js';
import { Command, Note, Section } from '../parts/basics.js';
import { lineageRows, type LineageRow } from '../lineage.js';
import { href } from '../state/route.js';
import { useResource } from '../state/resource.js';
import { versions } from '../state/stack.js';
import { percent, short } from '../text/format.js';
import { strings } from '../text/strings.js';
import { Table } from '../parts/Table.js';

export function Models() {
  const { data } = useResource(versions());
  if (!data.value) return <Note>{strings.loading}</Note>;
  const all = data.value.items;
  if (all.length === 0) return <Note>{strings.model.none}</Note>;
  const names = [...new Set(all.map(({ lineage }) => lineage))];
  return (
    <>
      <h1>{strings.nav.models}</h1>
      {names.map((name) => (
        <Section key={name} title={name}>
          <Lineage versions={all.filter(({ lineage }) => lineage === name)} chosen={null} />
        </Section>
      ))}
      <Command line="npx roundtable model lineage" />
    </>
  );
}

/** Versions newest first, their descent in lanes beside them. */
export function Lineage({ versions, chosen }: { versions: readonly VersionView[]; chosen: string | null }) {
  const rows = lineageRows(versions);
  const lanes = rows.reduce((most, { passing }) => Math.max(most, ...passing), 0) + 1;
  return (
    <Table
      name={`lineage-${versions[0]?.lineage ?? ''}`}
      caption={`${strings.model.lineage} ${versions[0]?.lineage ?? ''}`}
      rows={rows}
      keyOf={({ version }) => version.model.versionId}
      rowClass={({ version }) => `lineage ${version.model.versionId === chosen ? 'opened' : ''}`}
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
          show: ({ version: { model } }) => (
            <a class="strong" href={href('versions', model.versionId)} title={model.versionId}>
              <code>{short(model.versionId, 10)}</code>
            </a>
          ),
          value: ({ version }) => version.model.versionId,
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

function Lanes({ row, lanes }: { row: LineageRow; lanes: number }) {
  const x = (lane: number) => 8 + lane * laneWidth;
  const middle = rowHeight / 2;
  return (
    <svg class="lanes" width={lanes * laneWidth + 4} height={rowHeight} aria-hidden="true">
      {row.passing
        .filter((lane) => lane !== row.lane && !row.joined.includes(lane))
        .map((lane) => (
          <line key={lane} x1={x(lane)} x2={x(lane)} y1="0" y2={rowHeight} />
        ))}
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
