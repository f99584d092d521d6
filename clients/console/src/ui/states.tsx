// What a list or a page shows while it has nothing to show.
import type { ReactNode } from 'react';
import { ApiProblem } from '../../../api/src/index.ts';
import { LoginEnded } from '../login/session.ts';
import { text } from '../text.ts';

/** As high as what it waits for, so that nothing jumps when that comes. */
export const Loading = ({ lines = 5 }: { lines?: number }) => (
  <div className="loading" role="status" aria-label={text.states.loading}>
    {Array.from({ length: lines }, (_, line) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: the lines are alike
      <span key={line} />
    ))}
  </div>
);

/** Says what to do about it. */
export const Empty = ({ children, action }: { children: ReactNode; action?: ReactNode }) => (
  <div className="empty">
    <p>{children}</p>
    {action}
  </div>
);

/** What the service says, its wrong fields, and the id by which its operators find the request. */
export const Failure = ({ error, onRetry }: { error: unknown; onRetry?: (() => void) | undefined }) => {
  const problem = error instanceof ApiProblem ? error : undefined;
  return (
    <div className="failure" role="alert">
      <p>
        <strong>{problem ? (problem.problem.title ?? text.states.refused) : text.states.failed}.</strong> {sentenceOf(error)}
      </p>
      {problem && problem.errors.length > 0 && (
        <ul>
          {problem.errors.map(({ path, message }) => (
            <li key={`${path} ${message}`}>
              <code>{path}</code> {message}
            </li>
          ))}
        </ul>
      )}
      {problem && (
        <p className="small">
          <code>{problem.code}</code>
          {problem.requestId && (
            <>
              {' · '}
              {text.states.requestId} <code>{problem.requestId}</code>
            </>
          )}
        </p>
      )}
      {onRetry && (
        <button type="button" onClick={onRetry}>
          {text.states.tryAgain}
        </button>
      )}
    </div>
  );
};

const sentenceOf = (error: unknown): string => {
  if (error instanceof LoginEnded) return text.login.ended;
  if (error instanceof ApiProblem) return error.problem.detail ?? text.states.noReason;
  return error instanceof Error ? error.message : String(error);
};

/** A query's three ways to be: it waits, it failed without having anything older, it has something. */
export const Answer = <Data,>({
  query,
  lines,
  children,
}: {
  query: { data: Data | undefined; error: unknown; refetch: () => unknown };
  lines?: number;
  children: (data: Data) => ReactNode;
}) => {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <Failure error={query.error} onRetry={() => void query.refetch()} />;
  return <Loading {...(lines === undefined ? {} : { lines })} />;
};
