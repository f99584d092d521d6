import { useState } from 'react';
import type { Device, ListDevicesSort } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { type FilterDraft, filterFromQuery, findWrongInFilter, isEmptyFilter, queryOfFilter, toListParameters } from '../filter/filter.ts';
import { FilterFields } from '../filter/filter-fields.tsx';
import { deviceLink, goTo, linkTo, useQueryOfPage } from '../location.ts';
import { text } from '../text.ts';
import { Button, ButtonLink } from '../ui/controls.tsx';
import { useAvailableFirmwares } from '../ui/firmwares.ts';
import { useList } from '../ui/list.ts';
import { Page } from '../ui/page.tsx';
import { useSorting } from '../ui/sorting.ts';
import { Answer, Empty } from '../ui/states.tsx';
import { type Column, More, Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { useSettled } from '../ui/use-settled.ts';
import { keepChosen } from '../wizard/chosen-devices.ts';

export const keyOfDevice = ({ kind, external_id }: Device): string => `${kind} ${external_id}`;

export const deviceColumns: readonly Column<Device>[] = [
  {
    title: text.fleet.device,
    cell: ({ kind, external_id, retired_dt }) => (
      <>
        <a href={deviceLink(kind, external_id)}>{external_id}</a>
        {retired_dt !== null && <span className="tag">{text.fleet.retired}</span>}
      </>
    ),
    isName: true,
    sort: 'external_id',
  },
  { title: text.fleet.kind, cell: ({ kind }) => text.kinds[kind], isMinor: true },
  { title: text.fleet.generation, cell: ({ version }) => version ?? '–', isMinor: true },
  { title: text.fleet.zone, cell: ({ zone }) => zone ?? '–', isMinor: true },
  { title: text.fleet.versions, cell: ({ firmwares }) => <Versions firmwares={firmwares} /> },
  {
    title: text.fleet.seen,
    cell: ({ last_seen_dt }) => (last_seen_dt ? <Time dt={last_seen_dt} isRelative /> : text.fleet.never),
    isName: true,
    isMinor: true,
    sort: 'last_seen_on',
  },
];

export const deviceSorts = [
  'external_id_ascending',
  'external_id_descending',
  'last_seen_on_descending',
  'last_seen_on_ascending',
] as const satisfies readonly ListDevicesSort[];

export const FleetPage = () => {
  const api = useApi();
  const [query, change] = useQueryOfPage();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const firmwares = useAvailableFirmwares();
  const catalogue = firmwares.data ?? [];
  const filter = filterFromQuery(query);
  const wrong = findWrongInFilter(filter, catalogue);
  // The catalogue says which firmware an older one is older than.
  const isKnown = filter.compare !== 'older' || firmwares.data !== undefined;
  const conditions = useSettled(isKnown ? toListParameters(filter, catalogue, new Date()) : undefined);
  const { sort, sorting } = useSorting(deviceSorts);
  const isFiltered = !isEmptyFilter(filter);
  const list = useList(
    ['devices', conditions, sort],
    // What is found is counted once, with the first page. The whole fleet is not: the overview has its number.
    (page, options) => api.listDevices({ ...page, ...conditions, sort, total: isFiltered && page.cursor === undefined }, options),
    { isEnabled: conditions !== undefined },
  );
  const found = list.data?.pages[0]?.total;
  const toggle = (key: string) => setChosen((before) => (before.has(key) ? without(before, key) : new Set([...before, key])));
  const columns: Column<Device>[] = [
    {
      title: text.fleet.choose,
      cell: (device) => (
        <input
          type="checkbox"
          aria-label={text.fleet.chooseOne(device.external_id)}
          checked={chosen.has(keyOfDevice(device))}
          onChange={() => toggle(keyOfDevice(device))}
        />
      ),
    },
    ...deviceColumns,
  ];
  return (
    <Page
      title={text.fleet.title}
      lead={found === undefined ? text.fleet.chooseSome : text.fleet.found(found)}
      actions={found === 0 ? null : <Actions chosen={chosen} filter={filter} />}
    >
      <FilterFields draft={filter} wrong={wrong} change={change} />
      <Answer query={{ ...list, data: list.items }}>
        {(items) =>
          items.length === 0 ? (
            <Empty>{isFiltered ? text.filters.nothing : text.fleet.none}</Empty>
          ) : (
            <>
              <Table
                label={text.fleet.title}
                columns={columns}
                rows={items}
                keyOf={keyOfDevice}
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

const without = (before: ReadonlySet<string>, key: string): ReadonlySet<string> => new Set([...before].filter((each) => each !== key));

/** What stands in every row stands there shortly: the newest ones without a word, the others marked. */
export const Versions = ({ firmwares }: Pick<Device, 'firmwares'>) => (
  <span className="versions">
    {firmwares.map(({ hardware_type, version, firmware_id, is_newest }) => (
      <span key={hardware_type} className={is_newest ? 'version newest' : 'version'}>
        {hardware_type}{' '}
        {firmware_id === null ? <em title={text.fleet.unknown}>{version}</em> : <a href={linkTo(`/firmwares/${firmware_id}`)}>{version}</a>}
        {is_newest && <span title={text.fleet.newest}> ✓</span>}
      </span>
    ))}
  </span>
);

/** For those that were ticked, or else for all that the filter finds. An update has devices of one kind. */
const Actions = ({ chosen, filter }: { chosen: ReadonlySet<string>; filter: FilterDraft }) => {
  const query = queryOfFilter(filter);
  if (chosen.size === 0)
    return isEmptyFilter(filter) ? null : (
      <>
        <ButtonLink scope="devices:write" href={linkTo('/groups', { ...query, new: 'true' })}>
          {text.fleet.saveGroup}
        </ButtonLink>
        <ButtonLink kind="primary" scope="updates:write" href={linkTo('/updates/new', query)}>
          {text.fleet.updateFound}
        </ButtonLink>
      </>
    );
  const kinds = new Set([...chosen].map((key) => key.split(' ')[0] ?? ''));
  const [kind = 'scooter'] = kinds;
  return (
    <Button
      kind="primary"
      scope="updates:write"
      disabled={kinds.size > 1}
      title={kinds.size > 1 ? text.fleet.oneKind : undefined}
      onClick={() => {
        keepChosen([...chosen].map((key) => key.slice(key.indexOf(' ') + 1)));
        goTo(`/updates/new?kind=${kind}`);
      }}
    >
      {text.fleet.updateChosen(chosen.size)}
    </Button>
  );
};
