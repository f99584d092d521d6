import { useQuery } from '@tanstack/react-query';
import type { DeviceExecution, DeviceWithHistory, InstalledFirmware } from '../../../api/src/index.ts';
import { useApi, useService } from '../api.ts';
import { DeviceActions } from '../device/device-actions.tsx';
import { storyOf } from '../device/story.ts';
import { Story } from '../device/story-line.tsx';
import { formatDuration } from '../format.ts';
import { linkTo } from '../location.ts';
import { text } from '../text.ts';
import { Facts, Page, Section } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { ExecutionBadge } from '../ui/status.tsx';
import { type Column, Table } from '../ui/table.tsx';
import { Time, TimeThere } from '../ui/time.tsx';
import { useZones } from '../ui/zones.ts';
import { Why } from '../update/executions.tsx';
import { keepChosen } from '../wizard/chosen-devices.ts';

const pageSize = 100;

export const DevicePage = ({ kind, externalId }: { kind: 'scooter' | 'cabinet'; externalId: string }) => {
  const api = useApi();
  const device = useQuery({
    queryKey: ['device', kind, externalId],
    queryFn: ({ signal }): Promise<DeviceWithHistory> =>
      kind === 'scooter'
        ? api.getScooter(externalId, { history: true, limit: pageSize }, { signal })
        : api.getCabinet(externalId, { history: true, limit: pageSize }, { signal }),
    refetchInterval: 10_000,
  });
  const updates = useQuery({
    queryKey: ['device', kind, externalId, 'updates'],
    queryFn: async ({ signal }): Promise<DeviceExecution[]> =>
      (kind === 'scooter'
        ? await api.listScooterUpdates(externalId, { limit: pageSize }, { signal })
        : await api.listCabinetUpdates(externalId, { limit: pageSize }, { signal })
      ).items,
    refetchInterval: 10_000,
  });
  const { scopes } = useService().session;
  const changes = useQuery({
    queryKey: ['device', kind, externalId, 'changes'],
    queryFn: ({ signal }) => api.listAudit({ resource: 'device', resource_id: `${kind}/${externalId}`, limit: pageSize }, { signal }),
    enabled: scopes.has('audit:read'),
  });
  const running = updates.data?.find(({ finished_dt }) => finished_dt === null);
  return (
    <Page
      title={externalId}
      lead={
        device.data && (
          <>
            {text.kinds[kind]}
            {device.data.retired_dt !== null && <span className="tag">{text.fleet.retired}</span>}
            {device.data.version !== null && ` · ${text.fleet.generation} ${device.data.version}`} · {text.channels[device.data.channel]} ·{' '}
            {device.data.last_seen_dt ? (
              <>
                {text.fleet.seen} <Time dt={device.data.last_seen_dt} isRelative />
              </>
            ) : (
              text.fleet.neverSeen
            )}
          </>
        )
      }
      actions={
        <>
          {device.data && <DeviceActions device={device.data} />}
          {device.data?.retired_dt === null && (
            <a className="button primary" href={linkTo('/updates/new', { kind })} onClick={() => keepChosen([externalId])}>
              {text.device.update}
            </a>
          )}
        </>
      }
    >
      {running && (
        <p className="situation">
          {text.device.isUpdated(running)} <a href={linkTo(`/updates/${running.update_id}`)}>#{running.update_id}</a>{' '}
          <ExecutionBadge status={running.status} /> <Why {...running} />
        </p>
      )}
      <Answer query={device} lines={8}>
        {(data) => (
          <>
            <Section title={text.device.runs}>
              {data.firmwares.length === 0 ? (
                <Empty>{text.device.nothingKnown}</Empty>
              ) : (
                <Table label={text.device.runs} columns={columns} rows={data.firmwares} keyOf={({ hardware_type }) => hardware_type} />
              )}
            </Section>
            <Section title={text.device.story}>
              <Answer query={updates} lines={4}>
                {(executions) => (
                  <Story chapters={storyOf(data, executions, changes.data?.items)} cutAt={isCut(data, executions) ? pageSize : undefined} />
                )}
              </Answer>
            </Section>
            <Place device={data} />
            <Attributes device={data} />
          </>
        )}
      </Answer>
    </Page>
  );
};

const isCut = (device: DeviceWithHistory, executions: readonly DeviceExecution[]): boolean =>
  device.history?.next_cursor != null || executions.length === pageSize;

const columns: readonly Column<InstalledFirmware>[] = [
  { title: text.firmwares.type, cell: ({ hardware_type }) => hardware_type },
  {
    title: text.firmwares.version,
    cell: ({ firmware_id, version, is_newest }) => (
      <>
        {firmware_id === null ? <em>{version}</em> : <a href={linkTo(`/firmwares/${firmware_id}`)}>{version}</a>}{' '}
        <span className="small">{firmware_id === null ? text.fleet.unknown : is_newest ? text.fleet.newest : ''}</span>
      </>
    ),
  },
  { title: text.device.since, cell: ({ firmware_update_dt }) => <Time dt={firmware_update_dt} /> },
  {
    title: text.statistics.updateTime,
    cell: ({ firmware_update_time }) => (firmware_update_time === null ? '–' : formatDuration(firmware_update_time)),
    isNumber: true,
    isMinor: true,
  },
  { title: text.device.observed, cell: ({ observed_dt }) => <Time dt={observed_dt} isRelative />, isMinor: true },
  { title: text.device.source, cell: ({ source }) => text.device.sources[source], isMinor: true },
];

/** Where it stands, and what it is called. */
const Place = ({ device: { zone, tags, revision } }: { device: DeviceWithHistory }) =>
  zone === null && tags.length === 0 && revision === null ? null : (
    <Section title={text.device.place}>
      <Facts
        items={[
          [text.fleet.zone, zone && <ZoneNow name={zone} />],
          [text.device.tags, tags.join(', ')],
          [text.device.revision, revision],
        ]}
      />
    </Section>
  );

/** With its own clock, which decides when it may be updated. */
const ZoneNow = ({ name }: { name: string }) => {
  const zone = useZones().find((each) => each.name === name);
  return (
    <>
      {name}
      {zone && (
        <span className="small">
          {' '}
          · <TimeThere timeZone={zone.time_zone} /> {zone.time_zone}
        </span>
      )}
    </>
  );
};

const Attributes = ({ device }: { device: DeviceWithHistory }) => {
  const attributes = Object.entries(device.attributes);
  if (attributes.length === 0) return null;
  return (
    <Section title={text.device.attributes}>
      <Facts items={attributes.map(([name, value]) => [name, String(value)] as const)} />
    </Section>
  );
};
