import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { DeviceExecution, DeviceWithHistory, InstalledFirmware } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { formatDuration } from '../format.ts';
import { linkTo } from '../location.ts';
import { text } from '../text.ts';
import { Button } from '../ui/controls.tsx';
import { Confirmation } from '../ui/dialog.tsx';
import { Facts, Page, Section } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { ExecutionBadge } from '../ui/status.tsx';
import { type Column, Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { Why } from '../update/executions.tsx';
import { type Chapter, storyOf } from '../update/story.ts';
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
  const running = updates.data?.find(({ finished_dt }) => finished_dt === null);
  return (
    <Page
      title={externalId}
      lead={
        device.data && (
          <>
            {text.kinds[kind]}
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
          {device.data?.channel === 'iot' && <Token kind={kind} externalId={externalId} />}
          <a className="button primary" href={linkTo('/updates/new', { kind })} onClick={() => keepChosen([externalId])}>
            {text.device.update}
          </a>
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
                {(executions) => <Story chapters={storyOf(data, executions)} isCut={isCut(data, executions)} />}
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

/** All that is known of a device on one line of time, the latest first. */
const Story = ({ chapters, isCut: isCutOff }: { chapters: readonly Chapter[]; isCut: boolean }) => (
  <>
    <ol className="story">
      {chapters.map((chapter) => (
        <li key={`${chapter.kind} ${chapter.key}`} className={`of-${chapter.kind}`}>
          <Time dt={chapter.dt} />
          <div>
            {chapter.kind === 'execution' ? (
              <>
                <a href={linkTo(`/updates/${chapter.execution.update_id}`)}>
                  {text.device.updateTo(chapter.execution.update_id, chapter.execution.hardware_type, chapter.execution.firmware_version)}
                </a>{' '}
                <ExecutionBadge status={chapter.execution.status} /> <Why {...chapter.execution} />
              </>
            ) : chapter.kind === 'version' ? (
              <>
                {text.device.nowRuns(chapter.version.hardware_type)} <strong>{chapter.version.version}</strong>{' '}
                <span className="small">{text.device.sources[chapter.version.source]}</span>
                {chapter.version.firmware_update_time !== null && (
                  <span className="small"> · {text.device.took(formatDuration(chapter.version.firmware_update_time))}</span>
                )}
              </>
            ) : (
              text.device.registered
            )}
          </div>
        </li>
      ))}
    </ol>
    {isCutOff && <p className="small">{text.device.older(pageSize)}</p>}
  </>
);

/** Where it stands, and what it is called. */
const Place = ({ device: { zone, tags, revision } }: { device: DeviceWithHistory }) =>
  zone === null && tags.length === 0 && revision === null ? null : (
    <Section title={text.device.place}>
      <Facts
        items={[
          [text.fleet.zone, zone],
          [text.device.tags, tags.join(', ')],
          [text.device.revision, revision],
        ]}
      />
    </Section>
  );

const Attributes = ({ device }: { device: DeviceWithHistory }) => {
  const attributes = Object.entries(device.attributes);
  if (attributes.length === 0) return null;
  return (
    <Section title={text.device.attributes}>
      <Facts items={attributes.map(([name, value]) => [name, String(value)] as const)} />
    </Section>
  );
};

/** Shown once, and nowhere kept. */
const Token = ({ kind, externalId }: { kind: 'scooter' | 'cabinet'; externalId: string }) => {
  const api = useApi();
  const [isOpen, setOpen] = useState(false);
  const { mutate, data, isPending, error, reset } = useMutation({ mutationFn: () => api.issueDeviceToken(kind, externalId) });
  const close = () => {
    setOpen(false);
    reset();
  };
  return (
    <>
      <Button scope="devices:write" onClick={() => setOpen(true)}>
        {text.device.newToken}
      </Button>
      {isOpen && (
        <Confirmation
          title={text.device.tokenTitle(externalId)}
          act={text.device.newToken}
          kind="danger"
          isBlocked={data !== undefined}
          {...{ onAct: mutate, onClose: close, isPending, error }}
        >
          {data ? (
            <>
              <p>{text.device.tokenOnce}</p>
              <p>
                <code className="secret">{data.token}</code>
              </p>
            </>
          ) : (
            <p>{text.device.tokenSays}</p>
          )}
        </Confirmation>
      )}
    </>
  );
};
