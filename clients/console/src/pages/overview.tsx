import { useQuery } from '@tanstack/react-query';
import type { ListUpdatesStatus, Stats } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { formatNumber, formatShare } from '../format.ts';
import { linkTo } from '../location.ts';
import { text } from '../text.ts';
import { ButtonLink } from '../ui/controls.tsx';
import { Page, Section } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { UpdateTable } from './updates.tsx';

/** These stand still until somebody acts or their time comes. */
const standing: readonly ListUpdatesStatus[] = ['PAUSED', 'WAITING_FOR_APPROVAL', 'SCHEDULED'];

export const OverviewPage = () => {
  const api = useApi();
  const stats = useQuery({
    queryKey: ['stats', 'overview'],
    queryFn: ({ signal }) => api.getStats({}, { signal }),
    refetchInterval: 30_000,
  });
  const running = useQuery({
    queryKey: ['updates', 'running'],
    queryFn: async ({ signal }) => (await api.listUpdates({ status: 'IN_PROGRESS', limit: 20 }, { signal })).items,
    refetchInterval: 10_000,
  });
  const others = useQuery({
    queryKey: ['updates', 'standing'],
    queryFn: async ({ signal }) =>
      (await Promise.all(standing.map((status) => api.listUpdates({ status, limit: 20 }, { signal })))).flatMap(({ items }) => items),
    refetchInterval: 30_000,
  });
  const open = { ...running, data: running.data && others.data && [...running.data, ...others.data], error: running.error ?? others.error };
  const recent = useQuery({
    queryKey: ['updates', 'recent'],
    // Those that run stand above.
    queryFn: async ({ signal }) =>
      (await api.listUpdates({ limit: 20 }, { signal })).items.filter(({ finished_dt }) => finished_dt !== null).slice(0, 10),
    refetchInterval: 30_000,
  });
  return (
    <Page
      title={text.places.overview}
      actions={
        <ButtonLink kind="primary" scope="updates:write" href={linkTo('/updates/new')}>
          {text.updates.start}
        </ButtonLink>
      }
    >
      <Section title={text.overview.running}>
        <Answer query={open} lines={2}>
          {(items) => (items.length === 0 ? <Empty>{text.overview.nothingRuns}</Empty> : <UpdateTable updates={items} />)}
        </Answer>
      </Section>
      <Answer query={stats} lines={6}>
        {(data) => (
          <>
            <Fleet stats={data} />
            <Newest stats={data} />
          </>
        )}
      </Answer>
      <Section title={text.overview.recent}>
        <Answer query={recent} lines={5}>
          {(items) =>
            items.length === 0 ? (
              <Empty action={<a href={linkTo('/firmwares')}>{text.firmwares.upload}</a>}>{text.updates.none}</Empty>
            ) : (
              <UpdateTable updates={items} />
            )
          }
        </Answer>
      </Section>
    </Page>
  );
};

const Fleet = ({ stats }: { stats: Stats }) => (
  <Section title={text.overview.fleet} className="tiles">
    {stats.devices.map(({ kind, devices, not_seen, never_seen }) => (
      <div className="tile" key={kind}>
        <a className="figure" href={linkTo('/fleet', { kind })}>
          {formatNumber(devices)}
        </a>
        <span>{text.kindsMany[kind]}</span>
        <span className="small">
          {not_seen === 0 ? (
            text.overview.allSeen(stats.not_seen_days)
          ) : (
            <a href={linkTo('/fleet', { kind, not_seen_days: String(stats.not_seen_days) })}>
              {text.overview.notSeen(not_seen, never_seen, stats.not_seen_days)}
            </a>
          )}
        </span>
      </div>
    ))}
    {stats.devices.length === 0 && <Empty>{text.fleet.none}</Empty>}
    {stats.late_updates > 0 && (
      <div className="tile wrong">
        <span className="figure">{formatNumber(stats.late_updates)}</span>
        <span>{text.overview.late}</span>
      </div>
    )}
    {stats.backend_gate.failures > 0 && (
      <div className="tile wrong">
        <span className="figure">{formatNumber(stats.backend_gate.failures)}</span>
        <span>{text.update.backendFails(stats.backend_gate)}</span>
      </div>
    )}
  </Section>
);

/** How far each hardware type is: the share of its devices that run the newest version. */
const Newest = ({ stats }: { stats: Stats }) => (
  <Section title={text.overview.newest}>
    <ul className="shares">
      {stats.hardware_types
        .filter(({ devices }) => devices > 0)
        .map(({ hardware_type, newest, on_newest, on_unknown_version }) => (
          <li key={hardware_type}>
            <a href={linkTo('/statistics', { type: hardware_type })}>{hardware_type}</a>
            <svg className="share-bar" viewBox="0 0 100 8" preserveAspectRatio="none" height="8" aria-hidden="true">
              <rect className="track" width="100" height="8" />
              <rect className="fill-accent" width={100 * on_newest.share} height="8" />
            </svg>
            <span className="number">{formatShare(on_newest.share)}</span>
            <span className="small">
              {newest ? text.overview.runNewest(on_newest.devices, newest.version) : text.overview.noNewest}
              {on_unknown_version.devices > 0 && ` · ${text.overview.unknown(on_unknown_version.devices)}`}
            </span>
          </li>
        ))}
    </ul>
  </Section>
);
