import type { Execution, ListExecutionsParams, ListExecutionsSort, UpdateDetail } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { deviceLink, useQueryOfPage } from '../location.ts';
import { text } from '../text.ts';
import { SearchField, Select } from '../ui/controls.tsx';
import { useList } from '../ui/list.ts';
import { Section } from '../ui/page.tsx';
import { useSorting } from '../ui/sorting.ts';
import { Answer, Empty } from '../ui/states.tsx';
import { ExecutionBadge, type ExecutionStatus, executionStatuses } from '../ui/status.tsx';
import { type Column, More, Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { tellingReasons } from './reasons.tsx';
import { pollBeside } from './situation.ts';

/** What a device says, or what it waits for while it has nothing to say. */
export const Why = ({ reason, detail, waits_for, late_success_dt }: Execution) => (
  <span className="why">
    {reason && <span>{text.spoken(reason)}</span>}
    {detail && <q>{detail}</q>}
    {waits_for && <span className="small">{text.waitsFor(waits_for)}</span>}
    {late_success_dt && <span className="small">{text.update.lateSuccess}</span>}
  </span>
);

const columns: readonly Column<Execution>[] = [
  { title: text.update.device, cell: ({ kind, external_id }) => <a href={deviceLink(kind, external_id)}>{external_id}</a>, isName: true },
  { title: text.updates.status, cell: ({ status }) => <ExecutionBadge status={status} /> },
  { title: text.update.why, cell: (execution) => <Why {...execution} /> },
  {
    title: text.update.attempt,
    cell: ({ attempt, is_canary }) => (
      <>
        {attempt}
        {is_canary && <span className="tag">{text.update.canary}</span>}
      </>
    ),
    isNumber: true,
    isMinor: true,
  },
  { title: text.update.asked, cell: ({ sent_dt }) => <Time dt={sent_dt} />, isMinor: true },
  { title: text.update.finished, cell: ({ finished_dt }) => <Time dt={finished_dt} />, isMinor: true, sort: 'finished_dt' },
];

const sorts = ['id_ascending', 'finished_dt_descending', 'finished_dt_ascending'] as const satisfies readonly ListExecutionsSort[];

/** The devices of an update, under what the address says. */
export const Executions = ({ update }: { update: UpdateDetail }) => {
  const api = useApi();
  const [query, change] = useQueryOfPage();
  const status = (query.get('status') ?? '') as ExecutionStatus | '';
  const reason = query.get('reason') ?? '';
  const external_id = query.get('device') ?? '';
  const isCanary = query.get('canary') === 'true';
  const { sort, sorting } = useSorting(sorts);
  const conditions: ListExecutionsParams = {
    sort,
    ...(status && { status }),
    ...(reason && { reason: reason.split(':')[0] ?? reason }),
    ...(external_id && { external_id }),
    ...(isCanary && { is_canary: true }),
  };
  const list = useList(
    ['update', update.id, 'executions', conditions],
    (page, options) => api.listExecutions(update.id, { ...page, ...conditions }, options),
    { pollMilliseconds: pollBeside(update, 5_000) },
  );
  const reasons = new Set(tellingReasons(update.reasons).flatMap(({ reason: each }) => each?.split(':')[0] ?? []));
  return (
    <Section title={text.update.devicesTitle}>
      <div className="filters">
        <Select
          label={text.updates.status}
          value={status}
          any={text.filters.any}
          onChange={(value) => change({ status: value })}
          options={executionStatuses.map((value) => ({ value, label: text.executionStatus[value] }))}
        />
        <Select
          label={text.update.why}
          value={reason}
          any={text.filters.any}
          onChange={(value) => change({ reason: value })}
          options={[...reasons].map((value) => ({ value, label: text.reason[value] ?? value }))}
        />
        {update.canary && (
          <Select
            label={text.update.canary}
            value={isCanary ? 'true' : ''}
            any={text.filters.any}
            onChange={(value) => change({ canary: value })}
            options={[{ value: 'true', label: text.update.canaryAlone }]}
          />
        )}
        <SearchField label={text.update.deviceId} value={external_id} onChange={(value) => change({ device: value })} />
      </div>
      {update.executions_removed_dt !== null ? (
        <Empty>{text.update.executionsRemoved}</Empty>
      ) : (
        <Answer query={{ ...list, data: list.items }}>
          {(items) =>
            items.length === 0 ? (
              <Empty>{text.filters.nothing}</Empty>
            ) : (
              <>
                <Table
                  label={text.update.devicesTitle}
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
      )}
    </Section>
  );
};
