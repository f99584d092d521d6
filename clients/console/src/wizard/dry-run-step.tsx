import type { UseQueryResult } from '@tanstack/react-query';
import { useState } from 'react';
import type { DryRun, DryRunDevices, FirmwareListItem } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { formatClockIn, formatNumber } from '../format.ts';
import { deviceLink, linkTo } from '../location.ts';
import { text } from '../text.ts';
import { useList } from '../ui/list.ts';
import { Failure, Loading } from '../ui/states.tsx';
import { More } from '../ui/table.tsx';
import { useZones } from '../ui/zones.ts';
import type { StepProps } from './devices-step.tsx';
import { type Catalogue, planOf } from './draft.ts';
import { TakeSome } from './take-some.tsx';

type Reason = DryRun['reasons'][number];

/** Who would be updated and why others would not, before anything happens. */
export const DryRunStep = ({
  draft,
  firmware,
  query,
  plan,
  change,
  catalogue,
}: StepProps & {
  firmware: FirmwareListItem | undefined;
  query: UseQueryResult<DryRun>;
  plan: DryRun | undefined;
  catalogue: Catalogue;
}) => (
  <section className="step" aria-label={text.wizard.dryRun}>
    <h2>{text.wizard.dryRun}</h2>
    {!firmware ? (
      <p className="note">{text.wizard.firmwareFirst}</p>
    ) : query.error ? (
      <Failure error={query.error} onRetry={() => void query.refetch()} />
    ) : !plan ? (
      query.isFetching ? (
        <Loading lines={3} />
      ) : (
        <p className="note">{text.wizard.devicesFirst}</p>
      )
    ) : (
      <>
        <p className={`big ${query.isPlaceholderData ? 'counting' : ''}`}>
          <strong>{formatNumber(plan.eligible)}</strong> {text.wizard.eligible(draft.kind, plan.eligible)}
        </p>
        <When when={plan.when} eligible={plan.eligible} />
        <ul className="plan">
          {plan.reasons.map((reason) => (
            <ReasonOfPlan key={reason.reason} reason={reason} request={planOf(draft, firmware.id, catalogue)} kind={draft.kind} />
          ))}
        </ul>
        <Superseded superseded={plan.superseded} />
        <TakeSome
          plan={plan}
          request={planOf(draft, firmware.id, catalogue)}
          onTake={(ids) => change({ choice: 'ids', ids: ids.join('\n'), percentage: '' })}
        />
        {plan.parts.map(({ hardware_type, version, changes }) => (
          <p className="note" key={hardware_type}>
            {text.wizard.part(hardware_type, version)}{' '}
            {changes.map(({ change: what, from_version, count }) => text.wizard.partChange(what, from_version, count)).join(', ')}
          </p>
        ))}
      </>
    )}
    <fieldset className="checks">
      <legend>{text.wizard.take}</legend>
      <label className="check">
        <input type="checkbox" checked={draft.allowDowngrade} onChange={(event) => change({ allowDowngrade: event.target.checked })} />{' '}
        {text.wizard.allowDowngrade}
      </label>
      <label className="check">
        <input type="checkbox" checked={draft.force} onChange={(event) => change({ force: event.target.checked })} /> {text.wizard.force}
      </label>
      <label className="check">
        <input type="checkbox" checked={draft.supersede} onChange={(event) => change({ supersede: event.target.checked })} />{' '}
        {text.wizard.supersede}
      </label>
      <label className="check">
        <input
          type="checkbox"
          checked={draft.unknownVersion === 'INCLUDE'}
          onChange={(event) => change({ unknownVersion: event.target.checked ? 'INCLUDE' : 'EXCLUDE' })}
        />{' '}
        {text.wizard.includeUnknown}
      </label>
    </fieldset>
  </section>
);

/** What older updates lose. */
const Superseded = ({ superseded }: Pick<DryRun, 'superseded'>) =>
  superseded.length === 0 ? null : (
    <ul className="when">
      {superseded.map(({ update_id, executions }) => (
        <li key={update_id}>
          {text.wizard.superseded(executions)} <a href={linkTo(`/updates/${update_id}`)}>#{update_id}</a>
        </li>
      ))}
    </ul>
  );

/** When their turn comes, as far as zones say: nothing where all of them may be asked at once. */
const When = ({ when: { now, later }, eligible }: { when: DryRun['when']; eligible: number }) =>
  later.length === 0 || eligible === 0 ? null : (
    <ul className="when">
      {now > 0 && <li>{text.wizard.now(now)}</li>}
      {later.map(({ zone, cause, opens_dt, count }) => (
        <li key={`${zone} ${cause}`}>
          {text.wizard.later(zone, cause, opens_dt, count)}
          {opens_dt !== null && zone !== null && <ClockOfZone zone={zone} dt={opens_dt} />}
        </li>
      ))}
    </ul>
  );

/** The same moment by the clock on the wall there. */
const ClockOfZone = ({ zone: name, dt }: { zone: string; dt: string }) => {
  const zone = useZones().find((each) => each.name === name);
  return zone ? <span className="small"> · {text.wizard.there(formatClockIn(new Date(dt), zone.time_zone))}</span> : null;
};

const isTaken = (reason: string): boolean => reason.startsWith('ELIGIBLE');

const ReasonOfPlan = ({
  reason: { reason, count, devices },
  request,
  kind,
}: {
  reason: Reason;
  request: ReturnType<typeof planOf>;
  kind: string;
}) => {
  const [isOpen, setOpen] = useState(false);
  return (
    <li className={isTaken(reason) ? 'taken' : ''}>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <strong className="number">{formatNumber(count)}</strong> {text.eligibility[reason] ?? reason}
        </summary>
        {isOpen && <DevicesOfReason reason={reason} first={devices} total={count} request={request} kind={kind} />}
      </details>
    </li>
  );
};

/** The first hundred are in the answer already; the rest comes a page at a time. */
const DevicesOfReason = ({
  reason,
  first,
  total,
  request,
  kind,
}: {
  reason: Reason['reason'];
  first: Reason['devices'];
  total: number;
  request: ReturnType<typeof planOf>;
  kind: string;
}) => {
  const api = useApi();
  const [isAll, setAll] = useState(false);
  const list = useList(
    ['dry run', request, reason],
    ({ cursor, limit }) =>
      api.requestUpdate({ ...request, dry_run: { reason, limit, ...(cursor !== undefined && { cursor }) } }) as Promise<DryRunDevices>,
    { limit: 500, isEnabled: isAll },
  );
  const shown = list.items ?? first;
  return (
    <>
      <p className="ids">
        {shown.map(({ external_id, other_update_id, detail }) => (
          <span key={external_id}>
            <a href={deviceLink(kind, external_id)}>{external_id}</a>
            {other_update_id !== null && (
              <>
                {' '}
                (<a href={linkTo(`/updates/${other_update_id}`)}>#{other_update_id}</a>)
              </>
            )}
            {detail !== null && ` (${detail})`}{' '}
          </span>
        ))}
      </p>
      {!isAll && total > first.length && (
        <button type="button" onClick={() => setAll(true)}>
          {text.states.more}
        </button>
      )}
      {isAll && <More query={list} />}
    </>
  );
};
