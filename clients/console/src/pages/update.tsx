import { useQuery } from '@tanstack/react-query';
import { useRef } from 'react';
import type { UpdateDetail } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { StatusBar } from '../charts/status-bar.tsx';
import { formatClock, formatWholeShare } from '../format.ts';
import { linkTo, useQueryOfPage } from '../location.ts';
import { text } from '../text.ts';
import { Page, Section } from '../ui/page.tsx';
import { Answer } from '../ui/states.tsx';
import { type ExecutionStatus, executionStatuses, UpdateBadge } from '../ui/status.tsx';
import { useNow } from '../ui/time.tsx';
import { Controls } from '../update/controls.tsx';
import { Executions } from '../update/executions.tsx';
import { BackendTrouble, CanaryPart, PacePart, Settings, StopRules } from '../update/facts.tsx';
import { LeftOut } from '../update/left-out.tsx';
import { OverTime } from '../update/over-time.tsx';
import { Reasons } from '../update/reasons.tsx';
import { endedOf, pollInterval, situationOf, totalOf } from '../update/situation.ts';
import { useWaits, Waits } from '../update/waits.tsx';

export const useUpdate = (id: number) => {
  const api = useApi();
  const since = useRef(Date.now());
  return useQuery({
    queryKey: ['update', id],
    queryFn: ({ signal }) => api.getUpdate(id, { signal }),
    refetchInterval: ({ state }) => pollInterval(state.data, Date.now() - since.current),
  });
};

export const UpdatePage = ({ id }: { id: number }) => {
  const query = useUpdate(id);
  const update = query.data;
  const title = update ? text.update.title(update) : text.update.titleOf(id);
  return (
    <Page
      title={title}
      {...(update && { tabTitle: `${formatWholeShare(update.progress)} – #${id}` })}
      lead={update && <UpdateLead update={update} />}
      actions={update && <Controls update={update} />}
    >
      <Answer query={query} lines={14}>
        {(data) => <UpdateBody update={data} updatedAt={query.dataUpdatedAt} isStale={query.isError} />}
      </Answer>
    </Page>
  );
};

const UpdateLead = ({ update }: { update: UpdateDetail }) => (
  <>
    <UpdateBadge status={update.status} />{' '}
    <a href={linkTo(`/firmwares/${update.firmware_id}`)}>
      {update.hardware_type} {update.firmware_version}
    </a>
    {update.comment && <> · {update.comment}</>}
  </>
);

const UpdateBody = ({ update, updatedAt, isStale }: { update: UpdateDetail; updatedAt: number; isStale: boolean }) => {
  const now = useNow();
  const waits = useWaits(update);
  const [query, change] = useQueryOfPage();
  const wanted = query.get('status');
  const status = executionStatuses.find((each) => each === wanted);
  const choose = (chosen: ExecutionStatus | undefined) => change({ status: chosen, reason: undefined });
  return (
    <>
      <p className="situation" aria-live="polite">
        {text.situation(situationOf(update, now, waits))}
      </p>
      <Section
        title={text.update.progress}
        aside={
          <span className={isStale ? 'age stale' : 'age'}>
            {isStale ? text.update.stale(formatClock(new Date(updatedAt))) : text.update.asOf(formatClock(new Date(updatedAt)))}
          </span>
        }
      >
        <p className="big">
          <strong>{formatWholeShare(update.progress)}</strong> {text.update.ended(endedOf(update.counts), totalOf(update.counts))}
          {update.late_successes > 0 && <> · {text.update.late(update.late_successes)}</>}
        </p>
        <StatusBar counts={update.counts} chosen={status} onChoose={choose} />
        <Waits waits={waits} waiting={update.counts.QUEUED} />
        <LeftOut update={update} />
      </Section>
      <div className="columns">
        <PacePart update={update} now={now} />
        <CanaryPart update={update} now={now} />
        <StopRules update={update} />
        <BackendTrouble update={update} />
      </div>
      <OverTime update={update} />
      <Reasons update={update} onChoose={(chosen, reason) => change({ status: chosen, reason })} />
      <Executions update={update} />
      <Settings update={update} />
    </>
  );
};
