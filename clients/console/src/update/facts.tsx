// The parts of an update's page that tell how it is carried out.
import type { UpdateDetail } from '../../../api/src/index.ts';
import { Gauge } from '../charts/gauge.tsx';
import { StatusBarPlain } from '../charts/status-bar.tsx';
import { formatDateTime, formatDuration, formatNumber, formatRelative, formatShare } from '../format.ts';
import { linkTo } from '../location.ts';
import { text } from '../text.ts';
import { Facts, Section } from '../ui/page.tsx';
import { Time } from '../ui/time.tsx';
import { windowText } from '../ui/window-fields.tsx';
import { canaryWaitEnds, gaugeOf } from './situation.ts';

type Part = { update: UpdateDetail };

export const PacePart = ({ update, now }: Part & { now: Date }) => {
  const { rollout, pace_per_minute, estimated_end_dt, finished_dt, started_dt, backend_gate } = update;
  const seconds = (until: string) => (new Date(until).getTime() - now.getTime()) / 1_000;
  return (
    <Section title={text.update.pace} className="card">
      {finished_dt === null ? (
        <>
          <p className="big">
            <strong>{formatNumber(pace_per_minute)}</strong> {text.update.paceNow}
          </p>
          <Facts
            items={[
              [text.update.paceAllowed, text.update.perMinute(rollout.maximum_per_minute)],
              [text.update.mostAtWork, rollout.maximum_in_progress === null ? null : formatNumber(rollout.maximum_in_progress)],
              [text.update.slowed, backend_gate.share < 1 ? text.update.slowedTo(formatShare(backend_gate.share)) : null],
              [
                text.update.estimatedEnd,
                update.continuous
                  ? null
                  : estimated_end_dt === null
                    ? text.update.notKnown
                    : `${formatDateTime(estimated_end_dt)} (${formatRelative(estimated_end_dt, now)})`,
              ],
            ]}
          />
        </>
      ) : (
        <Facts
          items={[
            [text.update.took, started_dt === null ? null : formatDuration(seconds(finished_dt) - seconds(started_dt))],
            [text.update.finished, <Time key="finished" dt={finished_dt} />],
          ]}
        />
      )}
    </Section>
  );
};

export const CanaryPart = ({ update, now }: Part & { now: Date }) => {
  const { canary, canary_counts, canary_passed_dt } = update;
  if (!canary) return null;
  const ends = canaryWaitEnds(update);
  const needed = Math.ceil((canary.size * canary.success_percentage) / 100);
  return (
    <Section title={text.update.canary} className="card">
      <p className="big">
        {canary_passed_dt === null ? (
          <>
            <strong>{formatNumber(canary_counts?.SUCCEEDED ?? 0)}</strong> {text.update.canaryNeeds(needed, canary.size)}
          </>
        ) : (
          text.update.canaryPassed
        )}
      </p>
      {canary_counts && <StatusBarPlain counts={canary_counts} />}
      <Facts
        items={[
          [text.update.canaryPassedAt, canary_passed_dt && <Time dt={canary_passed_dt} />],
          [
            text.update.canaryWait,
            canary_passed_dt === null && ends && ends > now ? formatDuration((ends.getTime() - now.getTime()) / 1_000) : null,
          ],
        ]}
      />
    </Section>
  );
};

export const StopRules = ({ update }: Part) => {
  if (update.abort.length === 0) return null;
  return (
    <Section title={text.update.stopRules} className="card">
      {update.abort.map((rule) => {
        const gauge = gaugeOf(rule, update);
        const label = text.update.rule(rule, gauge);
        return (
          <div className="rule" key={JSON.stringify(rule)}>
            <p>{label}</p>
            <Gauge share={gauge.share} threshold={gauge.threshold} label={label} />
            <p className="small">{text.update.ruleNow(gauge)}</p>
          </div>
        );
      })}
    </Section>
  );
};

export const BackendTrouble = ({ update: { backend_errors, backend_gate } }: Part) => {
  if (backend_errors.length === 0 && backend_gate.failures === 0) return null;
  return (
    <Section title={text.update.backend} className="card">
      {backend_gate.failures > 0 && <p>{text.update.backendFails(backend_gate)}</p>}
      <ul className="plain">
        {backend_errors.map(({ error, calls, last_dt }) => (
          <li key={error}>
            {error} <span className="small">{text.update.calls(calls)}</span> <Time dt={last_dt} isRelative />
          </li>
        ))}
      </ul>
    </Section>
  );
};

export const Settings = ({ update }: Part) => (
  <Section title={text.update.settings}>
    <Facts
      items={[
        [text.updates.by, update.created_by],
        [text.updates.requested, <Time key="requested" dt={update.created_dt} />],
        [text.update.started, update.started_dt && <Time dt={update.started_dt} />],
        [text.update.startsAt, update.start_dt && <Time dt={update.start_dt} />],
        [
          text.update.retryOf,
          update.retry_of_update_id && <a href={linkTo(`/updates/${update.retry_of_update_id}`)}>#{update.retry_of_update_id}</a>,
        ],
        [text.update.continuous, update.continuous ? text.yes : null],
        [
          text.update.replaces,
          update.replaces_update_id && <a href={linkTo(`/updates/${update.replaces_update_id}`)}>#{update.replaces_update_id}</a>,
        ],
        [text.update.rests, update.rests_dt && <Time dt={update.rests_dt} />],
        [text.update.retries, text.update.retriesOf(update.retry)],
        [text.update.timeouts, text.update.timeoutsOf(update.timeouts)],
        [text.update.growing, update.rollout.exponential && text.update.growingOf(update.rollout.exponential)],
        [
          text.update.approval,
          update.approval && text.update.approvalOf(update.approval.decision, update.approval.decided_by, update.approval.remark),
        ],
        [text.update.window, update.window && windowText(update.window)],
        [text.update.ignoresWindow, update.ignore_window ? text.yes : null],
        [
          text.update.budget,
          update.rollout.maximum_unavailable_percentage < 100 && `${formatNumber(update.rollout.maximum_unavailable_percentage)} %`,
        ],
        [text.update.downgrade, update.allow_downgrade ? text.yes : null],
        [text.update.force, update.force ? text.yes : null],
        [text.update.supersede, update.supersede ? text.update.supersedes(update.claimed) : null],
        [text.update.unknownVersion, text.update.unknownVersions[update.unknown_version]],
        [text.states.requestId, <code key="id">{update.request_id}</code>],
      ]}
    />
  </Section>
);
