import type { ReactNode } from 'react';
import { text } from '../text.ts';

export interface Column<Row> {
  title: string;
  cell: (row: Row) => ReactNode;
  isNumber?: boolean;
  /** Short, and never broken: an id. */
  isName?: boolean;
  /** Left out on a narrow screen. */
  isMinor?: boolean;
  /** By what the list can be ordered. */
  sort?: string;
}

export interface Sorting {
  by: string;
  isDescending: boolean;
  onChange: (by: string) => void;
}

interface ScrollingProps {
  label: string;
  className?: string;
  isBusy?: boolean | undefined;
  children: ReactNode;
}

/** What is wider than the screen scrolls within, by keyboard too. */
export const Scrolling = ({ label, className = '', isBusy = false, children }: ScrollingProps) => (
  // biome-ignore lint/a11y/useSemanticElements: no group of fields
  // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
  <div className={`table ${className}`} role="group" aria-label={label} aria-busy={isBusy} tabIndex={0}>
    {children}
  </div>
);

/** Dense rows. `isBusy`: they answer the filter before, and those of the new one are under way. */
export const Table = <Row,>({
  label,
  columns,
  rows,
  keyOf,
  sorting,
  isBusy,
}: {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string | number;
  sorting?: Sorting | undefined;
  isBusy?: boolean | undefined;
}) => (
  <Scrolling label={label} isBusy={isBusy}>
    <table>
      <thead>
        <tr>
          {columns.map((column) => (
            <Heading key={column.title} column={column} sorting={sorting} />
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>
            {columns.map(({ title, cell, ...column }) => (
              <td key={title} className={classOf(column)}>
                {cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  </Scrolling>
);

const classOf = ({ isNumber, isMinor, isName }: { isNumber?: boolean; isMinor?: boolean; isName?: boolean }) =>
  [isNumber && 'number', isMinor && 'minor', isName && 'name'].filter(Boolean).join(' ') || undefined;

const Heading = <Row,>({ column, sorting }: { column: Column<Row>; sorting: Sorting | undefined }) => {
  const { title, sort } = column;
  if (sort === undefined || sorting === undefined)
    return (
      <th scope="col" className={classOf(column)}>
        {title}
      </th>
    );
  const isBy = sorting.by === sort;
  return (
    <th scope="col" className={classOf(column)} aria-sort={isBy ? (sorting.isDescending ? 'descending' : 'ascending') : 'none'}>
      <button type="button" className="sort" onClick={() => sorting.onChange(sort)}>
        {title}
        <span aria-hidden="true">{isBy ? (sorting.isDescending ? ' ↓' : ' ↑') : ' ↕'}</span>
      </button>
    </th>
  );
};

/** The foot of a list that goes on. */
export const More = ({ query }: { query: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown } }) =>
  query.hasNextPage ? (
    <p className="more">
      <button type="button" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
        {query.isFetchingNextPage ? text.states.loading : text.states.more}
      </button>
    </p>
  ) : null;
