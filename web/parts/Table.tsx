import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { hrefWith, route } from '../state/route.js';
import { csv } from '../text/csv.js';
import { count } from '../text/format.js';
import { strings } from '../text/strings.js';

export interface Column<Row> {
  title: string;
  /** A column without it is only in the files. */
  show?: (row: Row) => ComponentChildren;
  /** For CSV and JSON; a column without one is only for the eye. */
  value?: (row: Row) => string | number | null;
  right?: boolean;
  /** Left out on narrow screens. */
  wide?: boolean;
}

/** Rows that are drawn at a time: a page with thousands of them would be slow for everybody. */
const atOnce = 100;

/** A table that is also a file, and a page of it that is also a URL. */
export function Table<Row>(props: {
  name: string;
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  rowClass?: (row: Row) => string;
  files?: boolean;
  /** On narrow screens a row is a block with a line for each column: for tables with more than fits there. */
  stacks?: boolean;
  /** All rows for the file, where those at hand are not all. */
  everything?: () => Promise<readonly Row[]>;
  /** Where the pages are made by somebody else. */
  pager?: ComponentChildren;
}) {
  const { name, caption, columns, rows, keyOf, rowClass, files = true, stacks = false, everything } = props;
  const pages = Math.max(1, Math.ceil(rows.length / atOnce));
  const page = Math.min(pages, Math.max(1, Math.floor(Number(route.value.query.get(name) ?? 1)) || 1));
  return (
    <div class="table">
      <div class="scroll" role="region" aria-label={caption} tabIndex={0}>
        {/* A browser forgets what a table is when its rows are blocks. */}
        <table class={stacks ? 'stacks' : ''} role="table">
          <caption class="unseen">{caption}</caption>
          <thead role="rowgroup">
            <tr role="row">
              {columns.filter(isShown).map((column) => (
                <th key={column.title} role="columnheader" scope="col" class={cellClass(column)}>
                  {column.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {rows.slice((page - 1) * atOnce, page * atOnce).map((row) => (
              <Cells key={keyOf(row)} row={row} columns={columns} name={rowClass?.(row) ?? ''} />
            ))}
          </tbody>
        </table>
      </div>
      <footer>
        {props.pager ??
          (pages > 1 && (
            <Pager
              caption={caption}
              text={strings.rowsShown(
                count((page - 1) * atOnce + 1),
                count(Math.min(rows.length, page * atOnce)),
                count(rows.length),
              )}
              before={page > 1 ? hrefWith(name, page === 2 ? null : page - 1) : null}
              after={page < pages ? hrefWith(name, page + 1) : null}
            />
          ))}
        {files && (
          <Files
            name={name}
            columns={columns}
            rows={rows}
            {...(everything === undefined ? {} : { everything })}
          />
        )}
      </footer>
    </div>
  );
}

/** What a table shows, as files; for tables that are drawn by hand as well. */
export function Files<Row>({
  name,
  columns,
  rows,
  everything,
}: {
  name: string;
  columns: readonly Pick<Column<Row>, 'title' | 'value'>[];
  rows: readonly Row[];
  everything?: () => Promise<readonly Row[]>;
}) {
  const file = async (type: 'csv' | 'json') => {
    const all = everything ? await everything() : rows;
    const text = type === 'csv' ? asCsv(columns, all) : JSON.stringify(all, null, 2);
    saveFile(`${name}.${type}`, type === 'csv' ? 'text/csv' : 'application/json', text);
  };
  return (
    <span class="files">
      {strings.download}{' '}
      <button type="button" onClick={() => file('csv')}>
        CSV
      </button>{' '}
      <button type="button" onClick={() => file('json')}>
        JSON
      </button>
    </span>
  );
}

const isShown = ({ show }: { show?: unknown }): boolean => show !== undefined;

const cellClass = ({ right, wide }: { right?: boolean; wide?: boolean }): string =>
  `${right ? 'right' : ''} ${wide ? 'wide' : ''}`.trim();

const steady = signal(0);

/**
 * A row that is what it was is not drawn again: of a hundred, mostly one is new. What reads a signal is drawn anew only
 * when its own properties or signals change (shouldComponentUpdate of @preact/signals).
 */
function Cells<Row>({ row, columns, name }: { row: Row; columns: readonly Column<Row>[]; name: string }) {
  void steady.value;
  return (
    <tr class={name} role="row">
      {columns.filter(isShown).map((column) => (
        <td key={column.title} role="cell" class={cellClass(column)} data-title={column.title}>
          {column.show?.(row)}
        </td>
      ))}
    </tr>
  );
}

/** The way to the rows before and behind those that are shown. */
export function Pager({
  caption,
  text,
  before,
  after,
}: {
  caption: string;
  text: string;
  before: string | null;
  after: string | null;
}) {
  return (
    <nav class="pager" aria-label={`${strings.pagesOf} ${caption}`}>
      {before === null ? <span>← {strings.rowsBefore}</span> : <a href={before}>← {strings.rowsBefore}</a>}
      <span>{text}</span>
      {after === null ? <span>{strings.rowsAfter} →</span> : <a href={after}>{strings.rowsAfter} →</a>}
    </nav>
  );
}

export function saveFile(name: string, type: string, content: string | Uint8Array<ArrayBuffer>): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1_000);
}

function asCsv<Row>(columns: readonly Pick<Column<Row>, 'title' | 'value'>[], rows: readonly Row[]): string {
  const kept = columns.flatMap(({ title, value }) => (value ? [{ title, value }] : []));
  return csv([kept.map(({ title }) => title), ...rows.map((row) => kept.map(({ value }) => value(row)))]);
}
