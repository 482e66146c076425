import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { csv } from '../text/csv.js';
import { count } from '../text/format.js';
import { strings } from '../text/strings.js';

export interface Column<Row> {
  title: string;
  show: (row: Row) => ComponentChildren;
  /** For CSV and JSON; a column without one is only for the eye. */
  value?: (row: Row) => string | number | null;
  right?: boolean;
  /** Left out on narrow screens. */
  wide?: boolean;
}

const step = 100;

/** A table that is also a file. Rows beyond the first hundred are drawn when asked for. */
export function Table<Row>(props: {
  name: string;
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  rowClass?: (row: Row) => string;
  files?: boolean;
}) {
  const { name, caption, columns, rows, keyOf, rowClass, files = true } = props;
  const [shown, setShown] = useState(step);
  const cellClass = ({ right, wide }: Column<Row>) => `${right ? 'right' : ''} ${wide ? 'wide' : ''}`.trim();
  return (
    <div class="table">
      <div class="scroll" role="region" aria-label={caption} tabIndex={0}>
        <table>
          <caption class="unseen">{caption}</caption>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column.title} scope="col" class={cellClass(column)}>
                  {column.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, shown).map((row) => (
              <tr key={keyOf(row)} class={rowClass?.(row) ?? ''}>
                {columns.map((column) => (
                  <td key={column.title} class={cellClass(column)}>
                    {column.show(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <footer>
        {rows.length > shown && (
          <button type="button" onClick={() => setShown(shown + 5 * step)}>
            {strings.more(count(Math.min(rows.length - shown, 5 * step)))}
          </button>
        )}
        {files && (
          <span class="files">
            {strings.download}{' '}
            <button type="button" onClick={() => save(`${name}.csv`, 'text/csv', asCsv(columns, rows))}>
              CSV
            </button>{' '}
            <button
              type="button"
              onClick={() => save(`${name}.json`, 'application/json', JSON.stringify(rows, null, 2))}
            >
              JSON
            </button>
          </span>
        )}
      </footer>
    </div>
  );
}

function asCsv<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const kept = columns.flatMap(({ title, value }) => (value ? [{ title, value }] : []));
  return csv([kept.map(({ title }) => title), ...rows.map((row) => kept.map(({ value }) => value(row)))]);
}

function save(name: string, type: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1_000);
}
