import { useState } from 'react';
import type { Device, ListDevicesParams } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { deviceLink, goTo, linkTo, useQueryOfPage } from '../location.ts';
import { text } from '../text.ts';
import { Button, SearchField, Select } from '../ui/controls.tsx';
import { useHardwareTypes } from '../ui/hardware-types.ts';
import { useList } from '../ui/list.ts';
import { Page } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { type Column, More, Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { useZones } from '../ui/zones.ts';
import { keepChosen } from '../wizard/chosen-devices.ts';
import { useAvailableFirmwares } from '../wizard/firmware-step.tsx';

const dayMilliseconds = 86_400_000;

/** From the address; what it has no word for is left to the service. */
export const conditionsOf = (query: URLSearchParams, today: Date): ListDevicesParams => {
  const get = (name: string) => query.get(name) ?? '';
  const number = (name: string) => (/^\d+$/.test(get(name)) ? Number(get(name)) : undefined);
  const [runs, older, days] = [number('runs_firmware_id'), number('older_than_firmware_id'), number('not_seen_days')];
  // Of the day, so that the list is the same one until midnight, and its cursors stay good.
  const midnight = Math.floor(today.getTime() / dayMilliseconds) * dayMilliseconds;
  return {
    ...(get('kind') && { kind: get('kind') as 'scooter' | 'cabinet' }),
    ...(get('id') && { external_id_prefix: get('id') }),
    ...(get('version') && { version: get('version') as '1' | '2' | 'none' }),
    ...(get('channel') && { channel: get('channel') as 'telematics' | 'iot' }),
    ...(get('zone') && { zone: get('zone') }),
    ...(get('tags') && { 'tags.all': get('tags') }),
    ...(runs !== undefined && { runs_firmware_id: runs }),
    ...(older !== undefined && { older_than_firmware_id: older }),
    ...(get('unknown_version') && { unknown_version: get('unknown_version') }),
    ...(days !== undefined && { not_seen_since: new Date(midnight - days * dayMilliseconds).toISOString() }),
  };
};

const keyOf = ({ kind, external_id }: Device): string => `${kind} ${external_id}`;

export const FleetPage = () => {
  const api = useApi();
  const [query] = useQueryOfPage();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const conditions = conditionsOf(query, new Date());
  const list = useList(['devices', conditions], (page, options) => api.listDevices({ ...page, ...conditions }, options));
  const isFiltered = Object.keys(conditions).length > 0;
  const toggle = (key: string) => setChosen((before) => (before.has(key) ? without(before, key) : new Set([...before, key])));
  const columns: Column<Device>[] = [
    {
      title: text.fleet.choose,
      cell: (device) => (
        <input
          type="checkbox"
          aria-label={text.fleet.chooseOne(device.external_id)}
          checked={chosen.has(keyOf(device))}
          onChange={() => toggle(keyOf(device))}
        />
      ),
    },
    { title: text.fleet.device, cell: ({ kind, external_id }) => <a href={deviceLink(kind, external_id)}>{external_id}</a>, isName: true },
    { title: text.fleet.kind, cell: ({ kind }) => text.kinds[kind], isMinor: true },
    { title: text.fleet.generation, cell: ({ version }) => version ?? '–', isMinor: true },
    { title: text.fleet.zone, cell: ({ zone }) => zone ?? '–', isMinor: true },
    { title: text.fleet.versions, cell: ({ firmwares }) => <Versions firmwares={firmwares} /> },
    { title: text.fleet.channel, cell: ({ channel }) => text.channels[channel], isMinor: true, isName: true },
    {
      title: text.fleet.seen,
      cell: ({ last_seen_dt }) => (last_seen_dt ? <Time dt={last_seen_dt} isRelative /> : text.fleet.never),
      isName: true,
    },
  ];
  return (
    <Page title={text.fleet.title} actions={<UpdateChosen chosen={chosen} />}>
      <FleetFilters />
      <Answer query={{ ...list, data: list.items }}>
        {(items) =>
          items.length === 0 ? (
            <Empty>{isFiltered ? text.filters.nothing : text.fleet.none}</Empty>
          ) : (
            <>
              <Table label={text.fleet.title} columns={columns} rows={items} keyOf={keyOf} />
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

/** Devices of one kind: an update has one kind of them. */
const UpdateChosen = ({ chosen }: { chosen: ReadonlySet<string> }) => {
  if (chosen.size === 0) return <span className="small">{text.fleet.chooseSome}</span>;
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

const FleetFilters = () => {
  const [query, change] = useQueryOfPage();
  const get = (name: string) => query.get(name) ?? '';
  const hardwareTypes = useHardwareTypes();
  const zones = useZones();
  const firmwares = useAvailableFirmwares();
  const options = (firmwares.data ?? []).map(({ id, hardware_type, version }) => ({
    value: String(id),
    label: `${hardware_type} ${version}`,
  }));
  return (
    <div className="filters">
      <SearchField label={text.fleet.search} value={get('id')} onChange={(value) => change({ id: value })} placeholder="S-00" />
      <Select
        label={text.fleet.kind}
        value={get('kind')}
        any={text.filters.any}
        options={(['scooter', 'cabinet'] as const).map((value) => ({ value, label: text.kinds[value] }))}
        onChange={(value) => change({ kind: value })}
      />
      <Select
        label={text.fleet.generation}
        value={get('version')}
        any={text.filters.any}
        options={[
          { value: '1', label: '1' },
          { value: '2', label: '2' },
          { value: 'none', label: text.fleet.ownIot },
        ]}
        onChange={(value) => change({ version: value })}
      />
      {zones.length > 0 && (
        <Select
          label={text.fleet.zone}
          value={get('zone')}
          any={text.filters.any}
          options={zones.map(({ name }) => ({ value: name, label: name }))}
          onChange={(value) => change({ zone: value })}
        />
      )}
      <SearchField label={text.fleet.tag} value={get('tags')} onChange={(value) => change({ tags: value })} />
      <Select
        label={text.fleet.runs}
        value={get('runs_firmware_id')}
        any={text.filters.any}
        options={options}
        onChange={(value) => change({ runs_firmware_id: value })}
      />
      <Select
        label={text.fleet.olderThan}
        value={get('older_than_firmware_id')}
        any={text.filters.any}
        options={options}
        onChange={(value) => change({ older_than_firmware_id: value })}
      />
      <Select
        label={text.fleet.unknownOf}
        value={get('unknown_version')}
        any={text.filters.any}
        options={hardwareTypes.map(({ name }) => ({ value: name, label: name }))}
        onChange={(value) => change({ unknown_version: value })}
      />
      <Select
        label={text.fleet.notSeen}
        value={get('not_seen_days')}
        any={text.filters.any}
        options={['1', '7', '30', '90'].map((value) => ({ value, label: text.fleet.days(Number(value)) }))}
        onChange={(value) => change({ not_seen_days: value })}
      />
    </div>
  );
};
