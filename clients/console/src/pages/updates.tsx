import { useQuery } from '@tanstack/react-query';
import type { ListUpdatesSort, ListUpdatesStatus, Update } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { SmallStatusBar } from '../charts/status-bar.tsx';
import { formatNumber } from '../format.ts';
import { linkTo, useQueryOfPage } from '../location.ts';
import { text } from '../text.ts';
import { ButtonLink, SearchField, Select } from '../ui/controls.tsx';
import { useHardwareTypes } from '../ui/hardware-types.ts';
import { useList } from '../ui/list.ts';
import { Page } from '../ui/page.tsx';
import { useSorting } from '../ui/sorting.ts';
import { Answer, Empty } from '../ui/states.tsx';
import { UpdateBadge } from '../ui/status.tsx';
import { type Column, More, type Sorting, Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { pollList, totalOf } from '../update/situation.ts';

const columns: readonly Column<Update>[] = [
  { title: text.updates.number, cell: ({ id }) => <a href={linkTo(`/updates/${id}`)}>#{id}</a>, sort: 'created_dt' },
  { title: text.updates.status, cell: ({ status }) => <UpdateBadge status={status} /> },
  {
    title: text.updates.firmware,
    isName: true,
    cell: ({ firmware_id, hardware_type, firmware_version }) => (
      <a href={linkTo(`/firmwares/${firmware_id}`)}>
        {hardware_type} {firmware_version}
      </a>
    ),
  },
  { title: text.updates.progress, cell: ({ counts, progress }) => <SmallStatusBar counts={counts} progress={progress} /> },
  { title: text.updates.devices, cell: ({ counts }) => formatNumber(totalOf(counts)), isNumber: true, isMinor: true },
  { title: text.updates.comment, cell: ({ comment }) => <span className="cut">{comment}</span>, isMinor: true },
  { title: text.updates.by, cell: ({ created_by }) => <span className="cut">{created_by}</span>, isMinor: true },
  { title: text.updates.requested, cell: ({ created_dt }) => <Time dt={created_dt} />, isMinor: true, isName: true },
];

export const UpdateTable = ({ updates, sorting, isBusy }: { updates: readonly Update[]; sorting?: Sorting; isBusy?: boolean }) => (
  <Table label={text.updates.title} columns={columns} rows={updates} keyOf={({ id }) => id} sorting={sorting} isBusy={isBusy} />
);

const sorts = ['created_dt_descending', 'created_dt_ascending'] as const satisfies readonly ListUpdatesSort[];

const statuses: readonly ListUpdatesStatus[] = [
  'IN_PROGRESS',
  'PAUSED',
  'WAITING_FOR_APPROVAL',
  'SCHEDULED',
  'COMPLETED',
  'CANCELED',
  'ABORTED',
];

export const UpdatesPage = () => {
  const api = useApi();
  const [query, change] = useQueryOfPage();
  const status = query.get('status') ?? '';
  const hardware_type = query.get('hardware_type') ?? '';
  const created_by = query.get('created_by') ?? '';
  const { data: stats } = useQuery({
    queryKey: ['stats', 'of updates'],
    queryFn: ({ signal }) => api.getStats({}, { signal }),
    staleTime: 30_000,
  });
  const hardwareTypes = useHardwareTypes();
  const { sort, sorting } = useSorting(sorts);
  const list = useList(
    ['updates', status, hardware_type, created_by, sort],
    (page, options) =>
      api.listUpdates(
        {
          ...page,
          sort,
          ...(status && { status: status as ListUpdatesStatus }),
          ...(hardware_type && { hardware_type }),
          ...(created_by && { created_by }),
        },
        options,
      ),
    { pollMilliseconds: (items) => pollList(items, 5_000) },
  );
  const isFiltered = Boolean(status || hardware_type || created_by);
  return (
    <Page
      title={text.updates.title}
      actions={
        <ButtonLink kind="primary" scope="updates:write" href={linkTo('/updates/new')}>
          {text.updates.start}
        </ButtonLink>
      }
    >
      <div className="filters">
        <Select
          label={text.updates.status}
          value={status}
          any={text.filters.any}
          onChange={(value) => change({ status: value })}
          options={statuses.map((each) => ({
            value: each,
            label: stats ? `${text.updateStatus[each]} (${formatNumber(stats.updates[each])})` : (text.updateStatus[each] ?? each),
          }))}
        />
        <Select
          label={text.firmwares.type}
          value={hardware_type}
          any={text.filters.any}
          onChange={(value) => change({ hardware_type: value })}
          options={hardwareTypes.map(({ name }) => ({ value: name, label: name }))}
        />
        <SearchField label={text.updates.by} value={created_by} onChange={(value) => change({ created_by: value })} />
      </div>
      <Answer query={{ ...list, data: list.items }}>
        {(items) =>
          items.length === 0 ? (
            <Empty action={!isFiltered && <a href={linkTo('/updates/new')}>{text.updates.start}</a>}>
              {isFiltered ? text.filters.nothing : text.updates.none}
            </Empty>
          ) : (
            <>
              <UpdateTable updates={items} sorting={sorting} isBusy={list.isPlaceholderData} />
              <More query={list} />
            </>
          )
        }
      </Answer>
    </Page>
  );
};
