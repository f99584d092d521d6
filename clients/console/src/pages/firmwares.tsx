import type { FirmwareListItem, ListFirmwaresSort, ListFirmwaresStatus } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { formatBytes, formatNumber } from '../format.ts';
import { linkTo, useQueryOfPage } from '../location.ts';
import { text } from '../text.ts';
import { Select } from '../ui/controls.tsx';
import { useHardwareTypes } from '../ui/hardware-types.ts';
import { useList } from '../ui/list.ts';
import { Page } from '../ui/page.tsx';
import { useSorting } from '../ui/sorting.ts';
import { Answer, Empty } from '../ui/states.tsx';
import { FirmwareBadge } from '../ui/status.tsx';
import { type Column, More, Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { DropZone } from '../upload/drop-zone.tsx';

const columns: readonly Column<FirmwareListItem>[] = [
  { title: text.firmwares.type, cell: ({ hardware_type }) => hardware_type },
  { title: text.firmwares.version, cell: ({ id, version }) => <a href={linkTo(`/firmwares/${id}`)}>{version}</a>, sort: 'version_num' },
  { title: text.updates.status, cell: ({ status }) => <FirmwareBadge status={status} /> },
  { title: text.firmwares.devices, cell: ({ device_count }) => formatNumber(device_count), isNumber: true },
  {
    title: text.firmwares.size,
    cell: ({ size_bytes }) => (size_bytes === null ? '–' : formatBytes(size_bytes)),
    isNumber: true,
    isMinor: true,
  },
  { title: text.updates.comment, cell: ({ comment }) => <span className="cut">{comment}</span>, isMinor: true },
  { title: text.firmwares.added, cell: ({ created_dt }) => <Time dt={created_dt} />, isMinor: true, isName: true, sort: 'created_dt' },
];

const sorts = [
  'version_num_descending',
  'version_num_ascending',
  'created_dt_descending',
  'created_dt_ascending',
] as const satisfies readonly ListFirmwaresSort[];

const statuses: readonly ListFirmwaresStatus[] = ['available', 'awaiting_upload', 'awaiting_signature', 'withdrawn', 'rejected', 'lost'];

export const FirmwaresPage = () => {
  const api = useApi();
  const [query, change] = useQueryOfPage();
  const hardware_type = query.get('hardware_type') ?? '';
  const status = query.get('status') ?? '';
  const hardwareTypes = useHardwareTypes();
  const { sort, sorting } = useSorting(sorts);
  const list = useList(['firmwares', hardware_type, status, sort], (page, options) =>
    api.listFirmwares(
      { ...page, sort, ...(hardware_type && { hardware_type }), ...(status && { status: status as ListFirmwaresStatus }) },
      options,
    ),
  );
  return (
    <Page title={text.firmwares.title}>
      <DropZone />
      <div className="filters">
        <Select
          label={text.firmwares.type}
          value={hardware_type}
          any={text.filters.any}
          options={hardwareTypes.map(({ name }) => ({ value: name, label: name }))}
          onChange={(value) => change({ hardware_type: value })}
        />
        <Select
          label={text.updates.status}
          value={status}
          any={text.filters.any}
          options={statuses.map((value) => ({ value, label: text.firmwareStatus[value] }))}
          onChange={(value) => change({ status: value })}
        />
      </div>
      <Answer query={{ ...list, data: list.items }}>
        {(items) =>
          items.length === 0 ? (
            <Empty>{hardware_type || status ? text.filters.nothing : text.firmwares.none}</Empty>
          ) : (
            <>
              <Table
                label={text.firmwares.title}
                columns={columns}
                rows={items}
                keyOf={({ id }) => id}
                sorting={sorting}
                isBusy={list.isPlaceholderData}
              />
              <More query={list} />
            </>
          )
        }
      </Answer>
    </Page>
  );
};
