import { ApiProblem, ApiUnreachable, UploadRefused } from '../../api/src/index.ts';
import { CommandError, type ExitCode, exitCodes } from './exit-codes.ts';
import { Interrupted } from './interruption.ts';

/** What a person is told of an error, and how the command ends. */
export const explainFailure = (error: unknown): { text: string; exitCode: ExitCode } => {
  if (error instanceof Interrupted) return { text: 'Stopped.', exitCode: exitCodes.interrupted };
  if (error instanceof CommandError) return { text: error.message, exitCode: error.exitCode };
  if (error instanceof ApiProblem) return { text: describeProblem(error), exitCode: exitCodeOf(error.status) };
  if (error instanceof UploadRefused) return { text: error.message, exitCode: exitCodes.refused };
  if (error instanceof ApiUnreachable)
    return { text: `${error.message}. Is the address right? See: scu whoami`, exitCode: exitCodes.error };
  return { text: describeUnexpected(error), exitCode: exitCodes.error };
};

const describeProblem = ({ status, message, code, errors, requestId, problem }: ApiProblem): string => {
  const lines = [problem.detail ?? problem.title ?? message];
  for (const { in: where, path, message: wrong } of errors) lines.push(`  ${where} ${path}: ${wrong}`);
  if (status === 401) lines.push('Log in: scu login, or set SCU_TOKEN.');
  if (code === 'auth.insufficient_scope') lines.push('Your token does not allow this: scu whoami shows its scopes.');
  lines.push(`(${status} ${code}${requestId === null ? '' : `, request ${requestId}`})`);
  return lines.join('\n');
};

const exitCodeOf = (status: number): ExitCode => {
  if (status === 400 || status === 413 || status === 415) return exitCodes.usage;
  if (status === 401 || status === 403) return exitCodes.loginNeeded;
  return status === 409 || status === 412 || status === 422 ? exitCodes.refused : exitCodes.error;
};

const describeUnexpected = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' && path !== undefined) return `There is no file ${path}`;
  if (code === 'EACCES' && path !== undefined) return `${path} cannot be used by this user`;
  if (code === 'EISDIR') return `${path ?? 'What was named'} is a folder`;
  return error.message;
};
