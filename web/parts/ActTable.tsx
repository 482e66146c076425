import type { ActRecord } from '#core/acts.js';
import { actsOf, type LoggedAct } from '../state/actLog.js';
import { short } from '../text/format.js';
import { strings } from '../text/strings.js';
import { Age, Hash } from './basics.js';
import { Table, type Column } from './Table.js';

/** Who did what here, newest first. @param target what it was done to; everything if left out */
export function ActTable({ records, target }: { records: readonly ActRecord[]; target?: string }) {
  const rows = actsOf(records, target).toReversed();
  return (
    <Table
      name="acts"
      caption={strings.acts.caption}
      stacks
      rows={rows}
      keyOf={({ seq }) => String(seq)}
      columns={target === undefined ? columns : columns.filter(({ title }) => title !== 'To')}
    />
  );
}

const columns: Column<LoggedAct>[] = [
  { title: 'When', show: ({ at }) => <Age of={at} />, value: ({ at }) => at },
  {
    title: 'Who',
    show: ({ signer }) => <Hash value={signer} />,
    value: ({ signer }) => signer,
  },
  {
    title: 'What',
    show: ({ statement }) => strings.acts[statement.action].verb,
    value: ({ statement }) => statement.action,
  },
  {
    title: 'To',
    show: ({ statement }) => short(statement.target),
    value: ({ statement }) => statement.target,
  },
  {
    title: 'Why',
    wide: true,
    show: ({ statement }) => statement.reason || '–',
    value: ({ statement }) => statement.reason,
  },
  {
    title: 'What came of it',
    show: ({ outcome }) => (
      <span class={outcome?.ok === false ? 'false' : ''}>{outcome?.words ?? strings.acts.unknown}</span>
    ),
    value: ({ outcome }) => outcome?.words ?? null,
  },
];
