import { formatDuration } from '../format.ts';
import { linkTo } from '../location.ts';
import { Outcome } from '../pages/audit.tsx';
import { text } from '../text.ts';
import { ExecutionBadge } from '../ui/status.tsx';
import { Time } from '../ui/time.tsx';
import { Why } from '../update/executions.tsx';
import type { Chapter } from './story.ts';

/** All that is known of a device on one line of time, the latest first. */
export const Story = ({ chapters, cutAt }: { chapters: readonly Chapter[]; cutAt: number | undefined }) => (
  <>
    <ol className="story">
      {chapters.map((chapter) => (
        <li key={`${chapter.kind} ${chapter.key}`} className={`of-${chapter.kind}`}>
          <Time dt={chapter.dt} />
          <div>
            <Told chapter={chapter} />
          </div>
        </li>
      ))}
    </ol>
    {cutAt !== undefined && <p className="small">{text.device.older(cutAt)}</p>}
  </>
);

const Told = ({ chapter }: { chapter: Chapter }) => {
  switch (chapter.kind) {
    case 'execution':
      return <OfUpdate {...chapter} />;
    case 'version':
      return <OfVersion {...chapter} />;
    case 'change':
      return (
        <>
          {text.device.changed(chapter.line.action, chapter.line.caller)} <Outcome outcome={chapter.line.outcome} />
        </>
      );
    case 'renamed':
      return <>{text.device.wasCalled(chapter.before)}</>;
    case 'registered':
      return <>{text.device.registered}</>;
  }
};

const OfUpdate = ({ execution }: Chapter & { kind: 'execution' }) => (
  <>
    <a href={linkTo(`/updates/${execution.update_id}`)}>
      {text.device.updateTo(execution.update_id, execution.hardware_type, execution.firmware_version)}
    </a>{' '}
    <ExecutionBadge status={execution.status} />
    {execution.sent_dt !== null && execution.finished_dt !== null && (
      <span className="small">
        {' '}
        · {text.device.askedAt} <Time dt={execution.sent_dt} />
      </span>
    )}
    <Why {...execution} />
  </>
);

const OfVersion = ({ version }: Chapter & { kind: 'version' }) => (
  <>
    {text.device.nowRuns(version.hardware_type)} <strong>{version.version}</strong>{' '}
    <span className="small">{text.device.sources[version.source]}</span>
    {version.firmware_update_time !== null && (
      <span className="small"> · {text.device.took(formatDuration(version.firmware_update_time))}</span>
    )}
  </>
);
